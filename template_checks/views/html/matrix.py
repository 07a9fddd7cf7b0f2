"""Which check ended how for which renderer, and what was not tested and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from template_checks.checks.registry import all_checks
from template_checks.record.writer import Line

SIGNS = {"pass": "✓", "mismatch": "✗", "accepted": "a", "error": "!", "unsupported": "u", "not-exercised": "?"}
"""Of each outcome; it always stands beside its word."""

_UNTESTED = ("error", "not-exercised", "unsupported")

Key = tuple[str, str, Any, Any, str]
"""Of a finding: target, check, renderer, purpose, fingerprint."""


@dataclass(frozen=True)
class Ending:
    """How one item ended, and the numbers of its findings in this report."""

    line: Line
    sign: str
    counts: str
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One check of one target. `cells` has a list for each renderer; `once` is set for a check of the target."""

    check: str
    promise: str
    cells: tuple[tuple[Ending, ...], ...]
    once: Ending | None


@dataclass(frozen=True)
class Note:
    """What kept checks from being tested, once for all that it kept."""

    outcome: str
    sign: str
    checks: str
    renderers: str
    reason: str


@dataclass(frozen=True)
class Matrix:
    """Outcomes of one target: rows by family, in the order of `template-checks checks`."""

    target: str
    renderers: tuple[str, ...]
    families: tuple[tuple[str, tuple[Row, ...]], ...]
    notes: tuple[Note, ...]


def matrix_of(target: str, header: Line | None, outcomes: list[Line], numbers: Mapping[Key, str]) -> Matrix:
    """What became of one target.

    Args:
        target: its name.
        header: of the record, if it has one.
        outcomes: all outcome lines of this target.
        numbers: the number of each finding in the report.
    """
    known = header["targets"].get(target, {}) if header else {}
    named = [*known.get("renderers", ()), *known.get("broken", ())]
    renderers = tuple(dict.fromkeys([*named, *(line["renderer"] for line in outcomes if line["renderer"])]))
    checks = all_checks()
    ordered = [name for name in checks if any(line["check"] == name for line in outcomes)]
    ordered += [name for name in dict.fromkeys(line["check"] for line in outcomes) if name not in checks]
    families: dict[str, list[Row]] = {}
    for name in ordered:
        family, promise = (checks[name].family, checks[name].promise) if name in checks else ("other", "")
        endings = [_ending(line, numbers) for line in outcomes if line["check"] == name]
        families.setdefault(family, []).append(_row(name, promise, renderers, endings))
    rows = tuple((family, tuple(rows)) for family, rows in families.items())
    return Matrix(target, renderers, rows, tuple(_notes(outcomes)))


def _row(name: str, promise: str, renderers: tuple[str, ...], endings: list[Ending]) -> Row:
    once = next((ending for ending in endings if ending.line["renderer"] is None), None)
    cells = [tuple(e for e in endings if e.line["renderer"] == renderer) for renderer in renderers]
    return Row(name, promise, tuple(cells), once)


def _ending(line: Line, numbers: Mapping[Key, str]) -> Ending:
    keys = [(line["target"], line["check"], line["renderer"], line["purpose"], mark) for mark in line["findings"]]
    sign = SIGNS[line["outcome"]]
    advisory = len(line["findings"]) - line["blocking"] - line["accepted"]
    counts = [(line["blocking"], "blocking"), (advisory, "advisory"), (line["accepted"], "accepted")]
    words = [f"{count} {word}" for count, word in counts if count > 0]
    words += [f"{line['more']} more like them"] if line["more"] else []
    return Ending(line, sign, ", ".join(words), tuple(numbers[key] for key in keys if key in numbers))


def _notes(outcomes: list[Line]) -> list[Note]:
    notes = []
    for outcome in _UNTESTED:
        reasons: dict[str, list[Line]] = {}
        for line in outcomes:
            if line["outcome"] == outcome:
                reasons.setdefault(line["reason"] or "no reason given", []).append(line)
        for reason, lines in reasons.items():
            checks = ", ".join(dict.fromkeys(line["check"] for line in lines))
            renderers = ", ".join(dict.fromkeys(line["renderer"] for line in lines if line["renderer"]))
            notes.append(Note(outcome, SIGNS[outcome], checks, renderers, reason))
    return notes
