"""pytest plugin: collects template-checks.toml, one item per target × check × renderer × purpose.

In a project without that file it says nothing and imports nothing of this package: what builds the targets, runs and
keeps the record is `pytest_run`.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from template_checks.engine.profiles import Profile
    from template_checks.pytest.items import Account, TargetRun

FILE_NAME = "template-checks.toml"
ADVISORY = "advisory"
MARK = "template_checks"


class State:
    """What the plugin knows in one session.

    Under xdist the controller draws the seed, its workers receive it, collect and search, and give back an account.
    `folder` is where workers leave for one another what they found.
    """

    def __init__(self, config: pytest.Config) -> None:
        """In a worker, with what the controller sent."""
        self.is_worker = hasattr(config, "workerinput")
        given = getattr(config, "workerinput", {}).get(MARK, {})
        self.seed: int = given.get("seed", random.SystemRandom().randrange(2**32))
        self.folder: str | None = given.get("folder")
        self.began = time.time()
        self.files: list[ChecksFile] = []
        self.runs: list[TargetRun] = []
        self.failed: dict[str, str] = {}
        self.profile: tuple[Profile, int] | None = None
        self.workers: list[Any] = []
        self.accounts: list[Account] = []
        self.recorded = False


STATE = pytest.StashKey[State]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """What to look at, how much, and where the record goes."""
    group = parser.getgroup("template-checks")
    group.addoption(
        "--target",
        action="append",
        default=[],
        metavar="NAME",
        help="only this target of template-checks.toml",
    )
    group.addoption("--check", action="append", default=[], metavar="NAME", help="only this check")
    group.addoption("--check-profile", default="dev", metavar="NAME", help="how much to look at: dev, ci or signoff")
    group.addoption("--check-seed", type=int, default=None, metavar="N", help="seed of the drawn conversations")
    group.addoption("--check-record", type=Path, default=None, metavar="FILE", help="write the run's record here")


def pytest_configure(config: pytest.Config) -> None:
    """Collect the root's file also where `testpaths` names other folders; empty the record of an earlier run."""
    config.addinivalue_line("markers", f"{MARK}: a check of template-checks.toml")
    state = config.stash[STATE] = State(config)
    path = config.rootpath / FILE_NAME
    if config.args_source == pytest.Config.ArgsSource.TESTPATHS and path.is_file():
        within = any(path.is_relative_to(config.rootpath / argument) for argument in config.args)
        config.args += [] if within else [str(path)]
    record = _record_path(config)
    if record is not None and not state.is_worker:
        try:
            record.write_bytes(b"")
        except OSError as error:
            raise pytest.UsageError(f"--check-record: {record} cannot be written: {error.strerror}") from error


def _record_path(config: pytest.Config) -> Path | None:
    """Where the record goes, if there is to be one."""
    path: Path | None = config.option.check_record
    return None if path is None or config.option.collectonly else config.invocation_params.dir / path


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: all workers draw with one seed, and share what they find, unless each has to look for itself."""
    state = node.config.stash[STATE]
    if not state.workers and node.config.getvalue("dist") != "each":
        state.folder = tempfile.mkdtemp(prefix="template-checks-")
        node.config.add_cleanup(lambda: shutil.rmtree(state.folder, ignore_errors=True))
    state.workers.append(node)
    node.workerinput[MARK] = {"seed": state.seed, "folder": state.folder}


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take template-checks.toml."""
    if file_path.name == FILE_NAME:
        collector: pytest.Collector = ChecksFile.from_parent(parent, path=file_path)
        return collector
    return None


@pytest.hookimpl(trylast=True)  # behind xdist's, which waits for the workers
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the record; a worker of xdist sends its part of it."""
    config = session.config
    state, path = config.stash[STATE], _record_path(config)
    if state.files:
        from template_checks.pytest.items import account

        state.accounts = [account(config, recorded=path is not None)]
        if state.is_worker:
            config.workeroutput[MARK] = json.dumps(state.accounts[0])  # type: ignore[attr-defined]
    for worker in state.workers:
        if MARK in getattr(worker, "workeroutput", {}):
            state.accounts.append(json.loads(worker.workeroutput[MARK]))
    if path is not None and state.accounts and not state.is_worker:
        from template_checks.pytest.items import merged

        lines = merged(state.accounts, time.time() - state.began)
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="ascii")
        state.recorded = bool(lines)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Advisory findings fail nothing; they are shown at the end, with how to repeat the run and where its record is."""
    state, path = config.stash[STATE], _record_path(config)
    accounts = state.accounts
    title = f"Captured {ADVISORY} call"
    reports = terminalreporter.stats.get("passed", []) if accounts else []
    texts = [text for report in reports for name, text in getattr(report, "sections", []) if name == title]
    if texts:
        terminalreporter.section("template-checks: advisory findings")
        for text in dict.fromkeys(texts):
            terminalreporter.write_line(text)
    for note in dict.fromkeys(note for account in accounts for note in account["notes"]):
        terminalreporter.write_line(f"template-checks: {note}")
    if path is not None:
        said = f"record written to {path}" if state.recorded else f"no record: no {FILE_NAME} could be collected"
        terminalreporter.write_line(f"template-checks: {said}")


class ChecksFile(pytest.File):
    """One configuration file."""

    def collect(self) -> Iterator[pytest.Collector]:
        """One node for each selected target."""
        from template_checks.pytest.items import collect_targets

        state = self.config.stash[STATE]
        state.files.append(self)
        yield from collect_targets(self, state)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our errors without traceback."""
        from template_checks.core.errors import TemplateChecksError

        if isinstance(excinfo.value, TemplateChecksError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)
