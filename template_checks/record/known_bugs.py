"""What became of a documented bug, as a line of NDJSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Literal

from template_checks.checks.base import Severity
from template_checks.core.ndjson import Count, RecordModel, Text
from template_checks.engine.known_bugs import BugResult

_MESSAGES, _WITH_HISTORY, _CHARACTERS = 2, 4, 3
"""A counterexample is small with a question and an answer, a turn more where the bug needs history, and contents that
are only just there."""


class KnownBugLine(RecordModel):
    """One documented bug: how many seeds caught it, after how many conversations (the median), with a counterexample of
    what size, and what was wrongly found about its corrected twin."""

    kind: Literal["known-bug"] = "known-bug"
    id: Text
    bug: Text
    check: Text | None
    severity: Severity
    expected_outcome: Text
    not_expressed: Text | None
    seeds: Count
    caught: Count
    conversations: float | None
    messages: Count | None
    characters: Count | None
    small: bool | None
    false_positives: tuple[Text, ...]
    holds: bool


class KnownBugTotals(RecordModel):
    """All bugs together."""

    bugs: Count
    hold: Count
    conversations: float | None
    with_size: Count
    small: Count


def known_bug_line(result: BugResult) -> KnownBugLine:
    """One result as a line."""
    bug, size = result.bug, result.size
    most = _WITH_HISTORY if bug.history else _MESSAGES
    return KnownBugLine(
        id=bug.id,
        bug=bug.kind,
        check=bug.check,
        severity=bug.severity,
        expected_outcome=bug.outcome,
        not_expressed=bug.not_expressed,
        seeds=len(result.seed_results),
        caught=result.caught,
        conversations=result.after,
        messages=size[0] if size else None,
        characters=size[1] if size else None,
        small=size[0] <= most and size[1] <= _CHARACTERS if size else None,
        false_positives=result.false_positives,
        holds=result.holds,
    )


def totals_of(lines: Iterable[KnownBugLine]) -> KnownBugTotals:
    """The totals of those that were searched."""
    searched = [line for line in lines if line.not_expressed is None]
    counts = [line.conversations for line in searched if line.conversations is not None]
    sizes = [line.small for line in searched if line.small is not None]
    return KnownBugTotals(
        bugs=len(searched),
        hold=sum(line.holds for line in searched),
        conversations=statistics.median(counts) if counts else None,
        with_size=len(sizes),
        small=sum(sizes),
    )
