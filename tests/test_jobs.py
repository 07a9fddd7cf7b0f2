"""The drawn conversations of a thorough profile, shared among processes: the same record for any number of them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from template_checks.config.target import Target
from template_checks.core.conversation import Conversation
from template_checks.core.errors import ArtefactError, TemplateChecksError
from template_checks.engine import parallel, profiles, search
from template_checks.engine.profiles import Profile
from template_checks.record.facts import Request
from template_checks.record.models import Line
from template_checks.record.reader import read_record
from template_checks.record.runner import Surroundings, execute
from tests.agents import AgentRenderer, Given, agent
from tests.command_line import Cli, cli, elsewhere, records
from tests.systems import make_target

assert cli and elsewhere
"""Fixtures."""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, where the system can")

FEW = Profile("few", 60, 7, "for tests")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few draws are cut into parts already."""
    monkeypatch.setattr(parallel, "PARTS_FROM", 20)
    monkeypatch.setattr(search, "PARTS_FROM", 20)
    monkeypatch.setattr(parallel, "_PART", 16)
    monkeypatch.setitem(profiles.PROFILES, "few", FEW)


def without_times(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in {"started", "seconds"}} for line in lines]


def run(target: Target, jobs: int, *checks: str) -> list[dict[str, Any]]:
    """The lines of a run over a target, without times."""
    lines: list[Line] = []
    request = Request(FEW, 7, checks=checks)
    execute([target], request, Surroundings(lines.append, jobs=jobs))
    return without_times([line.model_dump() for line in lines])


def forgetful(given: Given) -> str:
    """An agent that now and then loses what is drawn only: the mark before the reasoning, where tools are offered."""
    text = agent(given)
    return text.replace("<think>", "", 1) if given["tools"] and len(text) % 3 == 0 else text


def tools_target() -> Target:
    return make_target(lambda context: [AgentRenderer("server", context, forgetful)], referee=AgentRenderer)


# The same record


def test_signoff_writes_the_same_record(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the Web UI's script in a process of its own, which each process of the search starts for itself."""
    found = []
    for jobs in ("1", "2", "3"):
        folder = tmp_path / jobs
        folder.mkdir()
        monkeypatch.chdir(folder)
        ended = cli("signoff", "--example", "internlm2", "--profile", "few", "--jobs", jobs)
        assert ended.code == 1
        assert "Sign-off: refused" in ended.out
        found.append(without_times(records((folder / "signoff.ndjson").read_text(encoding="ascii"))))
    assert found[0] == found[1] == found[2]
    assert len({line["kind"] for line in found[0]}) == 6


def test_also_of_what_only_drawn_conversations_with_tools_show() -> None:
    one, two = run(tools_target(), 1), run(tools_target(), 2)
    assert one == two
    coverage = next(line for line in one if line["kind"] == "coverage")
    assert coverage["features"]["tool-calls"] > 0
    drawn = [line for line in one if line["kind"] == "finding" and line["check"] == "same-tokens"]
    fixed = coverage["conversations"] - FEW.draws
    assert len({line["conversations_until_found"] for line in drawn}) > 1
    assert all(line["conversations_until_found"] > fixed for line in drawn)


# What goes wrong in a process


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The processes that were started; none is left, and nothing hangs."""
    started: list[int] = []
    real = parallel._start

    def start(*arguments: Any) -> Any:
        child, pipe = real(*arguments)
        started.append(child)
        return child, pipe

    def hangs(*_: object) -> None:
        raise TimeoutError("the search hangs")

    monkeypatch.setattr(parallel, "_start", start)
    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(60)
    yield started
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    assert started
    for child in started:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def in_a_child(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do this in a process of the search, from its third conversation on."""
    real, parent, count = search.Search.examine, os.getpid(), 0

    def examine(self: search.Search, conversation: Conversation) -> None:
        nonlocal count
        count += os.getpid() != parent
        if count >= 3:  # again when Hypothesis looks at it again
            act()
        real(self, conversation)

    monkeypatch.setattr(search.Search, "examine", examine)


def break_down() -> None:
    raise ValueError("out of order")


def refuse() -> None:
    raise ArtefactError("The script is gone.", where="web_demo.py")


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    sys.exit(0)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (break_down, r"A process of the search failed: ValueError: out of order"),
        (refuse, "A process of the search failed: The script is gone.\n  where  web_demo.py$"),
        (be_killed, "A process of the search failed: it was killed$"),
        (leave, "A process of the search failed: it was killed$"),
    ],
    ids=["raises", "refuses", "is-killed", "exits"],
)
def test_what_a_process_says_is_one_message(
    monkeypatch: pytest.MonkeyPatch, children: list[int], act: Callable[[], None], said: str
) -> None:
    in_a_child(monkeypatch, act)
    with pytest.raises(TemplateChecksError) as caught:
        run(tools_target(), 2, "same-text")
    assert re.match(said, caught.value.what)
    assert caught.value.hint == "--jobs 1 uses one process"
    assert len(children) >= 2


def test_the_command_line_says_it_once(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, children: list[int], tmp_path: Path
) -> None:
    in_a_child(monkeypatch, be_killed)
    ended = cli("run", "--example", "internlm2", "--profile", "few", "--jobs", "2", "--record", "r.ndjson")
    assert ended.code == 3
    assert ended.out == ""
    assert ended.err.splitlines() == [
        "template-checks: A process of the search failed: it was killed",
        "  hint   --jobs 1 uses one process",
    ]
    assert read_record(tmp_path / "r.ndjson").footer is None
    assert children


def test_an_interrupt_ends_the_processes(monkeypatch: pytest.MonkeyPatch, children: list[int], tmp_path: Path) -> None:
    """What was found until then counts."""

    def interrupt() -> None:
        time.sleep(1)  # until both are there
        with contextlib.suppress(FileExistsError):  # one of them is enough
            (tmp_path / "interrupted").touch(exist_ok=False)
            os.kill(os.getppid(), signal.SIGINT)
        time.sleep(60)

    in_a_child(monkeypatch, interrupt)
    lines = run(tools_target(), 2, "same-text", "control-injected")
    assert lines[-1]["interrupted"]
    assert lines[-1]["exit_code"] == 3
    assert any(line["kind"] == "finding" for line in lines)
    assert len(children) == 2
