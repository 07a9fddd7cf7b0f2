"""The plugin under xdist: one seed, one search for each target, one record."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from template_checks.pytest.session import Account, merged
from template_checks.record.models import Footer, OutcomeLine, TargetLines
from tests import records
from tests.projects import BOS_TWICE, BOTH, TURNS, Line, project, read_record, write_toml

pytest.importorskip("xdist")

assert project
"""The fixture."""

WATCH = """
import os
from template_checks.engine.search import Search

real = Search.run

def run(self):
    with open("searches.log", "a", encoding="ascii") as log:
        print(self.target.name, self.options.seed, os.getpid(), file=log, flush=True)
    real(self)

Search.run = run
"""
"""A conftest that notes who searched what, and with which seed."""


def searches(folder: Path) -> list[list[str]]:
    """(target, seed, process) of each search so far."""
    path = folder / "searches.log"
    return [line.split() for line in path.read_text(encoding="ascii").splitlines()] if path.exists() else []


def without_times(lines: list[Line]) -> list[Line]:
    return [{**line, "started": None, "seconds": None} for line in lines]


def test_each_target_is_searched_once_and_one_record_tells_it(project: pytest.Pytester) -> None:
    """With the default distribution, a drawn seed, an accepted entry that is stale, and tests of the project's own."""
    entry = '{ fingerprint = "c7f2a91b", reason = "a debt", check = "single-bos" }'
    write_toml(project.path, template=BOS_TWICE + TURNS)
    write_toml(project.path, name="other", target=f"accepted = [{entry}]")
    project.makeconftest(WATCH)
    project.makepyfile("import pytest\n@pytest.mark.parametrize('n', range(8))\ndef test_own(n): pass")
    result = project.runpytest_subprocess("-n", "2", *BOTH, "--check-record", "r.ndjson", "--junitxml", "r.xml")
    result.assert_outcomes(passed=12, failed=3)
    text = result.stdout.str()
    assert "Traceback" not in text
    assert "pytest/session.py" not in text
    said = re.findall(r"template-checks: profile dev, seed (\d+) ", text)
    assert len(said) == 1
    assert sorted((target, seed) for target, seed, _ in searches(project.path)) == [("m", said[0]), ("other", said[0])]
    assert (project.path / "r.xml").read_text(encoding="utf-8").count("<failure ") == 3
    many = read_record(project.path / "r.ndjson")
    assert (many[-1]["blocking"], many[-1]["stale"], many[-1]["exit_code"]) == (1, 1, 1)
    shutil.rmtree(project.path / ".template-checks")
    again = ("-p", "no:xdist", "--check-seed", said[0])
    project.runpytest_subprocess(*BOTH, "--check-record", "one.ndjson", *again).assert_outcomes(passed=12, failed=3)
    assert without_times(many) == without_times(read_record(project.path / "one.ndjson"))


@pytest.mark.parametrize(("xdist", "groups"), [("xdist", {("m",)}), ("no:xdist", {None})])
def test_items_of_a_target_are_one_group(project: pytest.Pytester, xdist: str, groups: set[tuple[str, ...]]) -> None:
    """For `--dist loadgroup`: a worker that waits for another's search could run other tests."""
    write_toml(project.path)
    items, _ = project.inline_genitems("-p", xdist, "--strict-markers", *BOTH)
    assert len(items) == 3
    assert {mark and mark.args for mark in (item.get_closest_marker("xdist_group") for item in items)} == groups


def test_an_interrupt_ends_all_workers_and_closes_the_record(project: pytest.Pytester) -> None:
    """As a terminal sends it: to every process."""
    write_toml(project.path, template=BOS_TWICE + TURNS)
    project.makeconftest(WATCH)
    command = [sys.executable, "-m", "pytest", "-n", "2", "--check-profile", "signoff", "--check-record", "r.ndjson"]
    with subprocess.Popen(command, cwd=project.path, stdout=subprocess.PIPE, text=True, start_new_session=True) as run:
        limit = time.monotonic() + 180
        while not [*project.path.glob(".template-checks/counterexamples/m/*.json")] and time.monotonic() < limit:
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGINT)
        text, _ = run.communicate(timeout=180)
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in text
    lines = read_record(project.path / "r.ndjson")
    assert [line for line in lines if line["kind"] == "finding"]
    assert (lines[-1]["interrupted"], lines[-1]["exit_code"]) == (True, 3)


def test_silence_without_the_file(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a word nor an import, in no process, nor a folder that stays."""
    code = """
        import sys

        def ours():
            return sorted(name for name in sys.modules if name.startswith("template_checks"))

        def pytest_unconfigure():
            print("in the controller:", ours())
        """
    project.makeconftest(code)
    project.makepyfile("import conftest\ndef test_worker(): assert len(conftest.ours()) == 4")
    folder = project.mkdir("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    result = project.runpytest_subprocess("-n", "2", "-s")
    result.assert_outcomes(passed=1)
    text = result.stdout.str()
    plugin = "template_checks.pytest"
    assert f"in the controller: {['template_checks', plugin, f'{plugin}.plugin', f'{plugin}.state']}" in text
    assert "template-checks:" not in text
    assert not [*folder.glob("template-checks-*")]


SELECTED = (("m", "special-ids"),)


def outcome(name: str) -> OutcomeLine:
    own = {"target": "m", "check": "special-ids", "renderer": None, "purpose": None}
    return records.outcome(**own, outcome=name)


def told(*lines: OutcomeLine, interrupted: bool = False) -> Account:
    """What a worker tells that has searched."""
    found = TargetLines(lines=lines, interrupted=interrupted)
    return Account(notes=(), header=records.header(), selected=SELECTED, found=(found,))


def footer(*accounts: Account) -> Footer:
    last = merged([*accounts], 1.0)[-1]
    assert isinstance(last, Footer)
    return last


@pytest.mark.parametrize("names", [("pass", "error"), ("error", "pass"), ("error", "error")])
def test_where_workers_disagree_the_worse_counts(names: tuple[str, str]) -> None:
    """They may, where each searches for itself: under several versions of Python, say."""
    lines = merged([told(outcome(name)) for name in names], 1.0)
    assert [line.outcome for line in lines if isinstance(line, OutcomeLine)] == ["error"]
    last = footer(*(told(outcome(name)) for name in names))
    assert (last.counts["error"], last.counts["pass"]) == (1, 0)
    assert not last.interrupted


def test_what_no_worker_tells_of_was_cut_off() -> None:
    """One that is killed tells nothing."""
    lost = Account(notes=(), header=records.header(), selected=SELECTED)
    assert footer(lost).interrupted
    assert not footer(lost, told(outcome("pass"))).interrupted
    assert footer(told(outcome("pass"), interrupted=True), lost).interrupted
