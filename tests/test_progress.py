"""The line that says how far a run is."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

from template_checks.checks.findings import Progress
from template_checks.views import progress


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the line says; every look at the clock finds it two seconds later."""
    texts: list[str] = []
    clock = iter(range(0, 100, 2))

    @contextmanager
    def status(**_options: object) -> Iterator[object]:
        yield texts.append

    monkeypatch.setattr(progress, "late_status", status)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    return texts


def test_it_says_share_rate_and_time_left(said: list[str]) -> None:
    with progress.run_progress(quiet=False) as on_progress:
        on_progress(Progress("bot", 100, 400, 1))
        on_progress(Progress("bot", 200, 400, 2))
        on_progress(Progress("bot", 400, 400, 3))
    assert said[1:] == [
        "bot: 100 of about 400 conversations, 1 finding",
        "bot: 200 of about 400 conversations, 50 a second, 4 s left, 2 findings",
        "bot: 400 of about 400 conversations, 75 a second, 0 s left, 3 findings",
    ]


def test_the_rate_is_each_targets_own(said: list[str]) -> None:
    """Whatever the first one took, and loading what it is made of."""
    with progress.run_progress(quiet=False) as on_progress:
        for count in (100, 200, 300, 400):
            on_progress(Progress("bot", count, 400, 0))
        on_progress(Progress("other", 20, 400, 0))
        on_progress(Progress("other", 120, 400, 0))
    assert said[-1] == "other: 120 of about 400 conversations, 50 a second, 6 s left, 0 findings"


def test_it_says_nothing_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.run_progress(quiet=False) as on_progress:
        on_progress(Progress("bot", 100, 400, 2))
    assert capsys.readouterr() == ("", "")


def test_what_takes_longer_than_a_second_is_seen_on_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(seconds: float) -> str:
        console = Console(file=io.StringIO(), force_terminal=True)
        monkeypatch.setattr(progress, "make_console", lambda *, stderr=False: console)
        clock = iter([0.0, *[seconds] * 5])
        monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
        with progress.late_status(quiet=False) as say:
            monkeypatch.undo()
            monkeypatch.setattr(progress.time, "monotonic", lambda: seconds)
            say("training: seam 1 of 4")
        monkeypatch.undo()
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    assert "seam 1 of 4" in shown(1.5)
    assert shown(0.5) == ""
