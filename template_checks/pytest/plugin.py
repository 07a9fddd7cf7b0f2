"""pytest plug-in: collects template-checks.toml, one item per target × check × renderer × purpose.

In a project without that file it says nothing and imports nothing of this package but `state`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from template_checks.pytest.state import FILE_NAME, MARKER, STATE, State


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: a number from 0 up is expected")
    return int(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What to look at, how much, and where the record goes."""
    group = parser.getgroup("template-checks")
    group.addoption(
        "--check-target",
        action="append",
        default=[],
        metavar="NAME",
        help=f"only this target of {FILE_NAME}",
    )
    group.addoption("--check-only", action="append", default=[], metavar="NAME", help="only this check")
    group.addoption("--check-profile", default="dev", metavar="NAME", help="how much to look at: dev, ci or signoff")
    group.addoption("--check-seed", type=_seed, default=None, metavar="N", help="seed of the drawn conversations")
    group.addoption("--check-record", type=Path, default=None, metavar="FILE", help="write the run's record here")
    group.addoption("--check-advisory", action="store_true", help="show advisory findings, which fail nothing")


def pytest_configure(config: pytest.Config) -> None:
    """Collect the root's file also where `testpaths` names other folders; empty the record of an earlier run."""
    config.addinivalue_line("markers", f"{MARKER}: a check of {FILE_NAME}")
    state = config.stash[STATE] = State.of(config)
    path = config.rootpath / FILE_NAME
    if config.args_source == pytest.Config.ArgsSource.TESTPATHS and path.is_file():
        within = any(path.is_relative_to(config.rootpath / argument) for argument in config.args)
        config.args += [] if within else [str(path)]
    record = state.options.record
    if record is not None and not state.is_worker:
        try:
            record.write_bytes(b"")
        except OSError as error:
            raise pytest.UsageError(f"--check-record: {record} cannot be written: {error.strerror}") from error


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: all workers draw with one seed, and share what they find, unless each has to look for itself."""
    state = node.config.stash[STATE]
    if not state.workers and node.config.getvalue("dist") != "each":
        state.folder = tempfile.mkdtemp(prefix="template-checks-")
        node.config.add_cleanup(lambda: shutil.rmtree(state.folder, ignore_errors=True))
    state.workers.append(node)
    node.workerinput[MARKER] = {"seed": state.seed, "folder": state.folder}


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take template-checks.toml."""
    if file_path.name == FILE_NAME:
        from template_checks.pytest.file import ChecksFile

        collector: pytest.Collector = ChecksFile.from_parent(parent, path=file_path)
        return collector
    return None


@pytest.hookimpl(trylast=True)  # after xdist's, which waits for the workers
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the record; a worker of xdist sends its part of it."""
    state = session.config.stash[STATE]
    if not (state.files or any(MARKER in getattr(worker, "workeroutput", {}) for worker in state.workers)):
        return
    from template_checks.pytest.session import account, read_account, write_record

    if state.files:
        state.accounts = [account(session.config)]
        if state.is_worker:
            session.config.workeroutput[MARKER] = state.accounts[0].model_dump_json()  # type: ignore[attr-defined]
            return
    for worker in state.workers:
        if MARKER in getattr(worker, "workeroutput", {}):
            state.accounts.append(read_account(worker.workeroutput[MARKER]))
    if state.options.record is not None:
        state.recorded = write_record(state.options.record, state.accounts, time.time() - state.began)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """How to repeat the run, what is advisory, and where the record is."""
    state = config.stash[STATE]
    if state.accounts and not config.option.collectonly:
        from template_checks.pytest.session import summary_lines

        for line in summary_lines(state):
            terminalreporter.write_line(line)
    if state.options.record is not None:
        said = (
            f"record written to {state.options.record}"
            if state.recorded
            else f"no record: no {FILE_NAME} could be collected"
        )
        terminalreporter.write_line(f"template-checks: {said}")
