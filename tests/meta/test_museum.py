"""The museum: every documented bug is caught by the check that has to catch it, and its twin is not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from template_checks.cli.main import main
from template_checks.engine import known_bugs as engine
from template_checks.engine.known_bugs import KnownBug, evaluate_bug, known_bugs
from template_checks.engine.profiles import PROFILES

ALL = known_bugs()
QUICK = (1, 30)
THOROUGH = (20, PROFILES["ci"].draws)


@pytest.mark.parametrize(("seeds", "draws"), [QUICK, pytest.param(*THOROUGH, marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize("bug", [e for e in ALL if e.not_expressed is None], ids=lambda bug: bug.id)
def test_a_documented_bug_is_caught_and_its_twin_is_not(
    bug: KnownBug, seeds: int, draws: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_PROFILE", replace(PROFILES["ci"], draws=draws))
    seen = evaluate_bug(bug, seeds)
    assert seen.caught == seeds
    assert not seen.false_positives
    if bug.outcome == "error":
        return
    assert seen.size is not None
    messages, characters = seen.size
    assert messages <= (4 if bug.history else 2)
    assert characters <= 3


def test_at_most_eight_cannot_be_expressed() -> None:
    assert sum(bug.not_expressed is not None for bug in ALL) <= 8


def test_the_command_prints_a_line_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_PROFILE", replace(PROFILES["ci"], draws=QUICK[1]))
    result = CliRunner().invoke(main, ["museum", "M01", "M26", "--format", "json"])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["id"], line["check"], line["holds"]) for line in lines] == [
        ("M01", "same-tokens", True),
        ("M26", "tool-arguments", True),
    ]


def test_an_unknown_bug_is_named() -> None:
    result = CliRunner().invoke(main, ["museum", "M0"])
    assert result.exit_code == 2
    assert "There is no known bug 'M0'" in result.output
