"""The two token sequences of a finding around the place where they part, aligned as the terminal aligns them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from template_checks.record.models import FindingLine
from template_checks.views.token_diff import Column, context, differing, verb

_NONE = "–"
"""Where a side has no token."""


@dataclass(frozen=True)
class StripLimits:
    """How many tokens are shown: on either side of a difference, and of the ends of a long one."""

    context: int
    head: int
    tail: int


@dataclass(frozen=True)
class StripToken:
    """One cell: a token, or nothing where this side has none here."""

    text: str
    id: str = ""
    stop: bool = False


@dataclass(frozen=True)
class StripColumn:
    """One column of the strip: both sides at one place, or how many tokens of each are left out there."""

    number: str
    sides: tuple[StripToken, ...]
    differs: bool = False


@dataclass(frozen=True)
class Strip:
    """Names of the sides, the columns, and the word for what differs."""

    names: tuple[str, ...]
    columns: tuple[StripColumn, ...]
    verb: str


def strip_of(finding: FindingLine, stops: Collection[int], limits: StripLimits) -> Strip | None:
    """The strip of a finding; None where the record has no ids or no place.

    Args:
        finding: a line of the record.
        stops: ids that are stop tokens of the target.
        limits: how much of it is shown.
    """
    finding = _within(finding)
    if finding.actual_ids is None or finding.actual_range is None:
        return None
    names = [finding.expected_name] if finding.expected_ids else []
    both = bool(names)
    start, end = finding.actual_range
    first, last = finding.expected_range or (0, 0)
    aligned = finding.expected_range is not None

    def shown(columns: list[Column]) -> list[StripColumn]:
        return [_position(column, stops, both) for column in columns]

    before, after = context(finding, -limits.context), context(finding, limits.context)
    positions = _left_out(start - len(before), first - _filled(before) if aligned else None, both)
    positions += shown(before)
    length = max(end - start, last - first)
    if not length and not aligned:
        positions.append(StripColumn(_NONE, (StripToken(_NONE),) * (1 + both), True))
    elif length <= limits.head + limits.tail + 1:
        positions += shown(differing(finding))
    else:
        positions += shown(differing(_part(finding, 0, limits.head)))
        counts = [max(0, min(n, length - limits.tail) - limits.head) for n in (end - start, last - first)]
        positions += _left_out(counts[0], counts[1] if aligned else None, both, differs=True)
        positions += shown(differing(_part(finding, length - limits.tail, length)))
    positions += shown(after)
    left = len(finding.expected_ids or ()) - last - _filled(after) if both and aligned else None
    positions += _left_out(len(finding.actual_ids) - end - len(after), left, both)
    return Strip((*names, finding.actual_name), tuple(positions), verb(finding))


def _within(finding: FindingLine) -> FindingLine:
    """The finding with ranges that end where its ids do: a check may point at what follows the last token."""
    expected, actual = finding.expected_range, finding.actual_range
    return _with_ranges(
        finding,
        _clipped(expected, len(finding.expected_ids or ())) if expected is not None else None,
        _clipped(actual, len(finding.actual_ids or ())) if actual is not None else None,
    )


def _clipped(span: tuple[int, int], length: int) -> tuple[int, int]:
    return min(span[0], length), min(span[1], length)


def _with_ranges(finding: FindingLine, expected: tuple[int, int] | None, actual: tuple[int, int] | None) -> FindingLine:
    return finding.model_copy(update={"expected_range": expected, "actual_range": actual})


def _filled(columns: list[Column]) -> int:
    """How many of them hold a token of the expected side."""
    return sum(bool(column.expected) for column in columns)


def _part(finding: FindingLine, begin: int, end: int) -> FindingLine:
    """The finding with ranges that hold only some of its differing tokens, counted from the first of them."""

    def part(span: tuple[int, int] | None) -> tuple[int, int] | None:
        return (span[0] + begin, min(span[1], span[0] + end)) if span is not None else None

    return _with_ranges(finding, part(finding.expected_range), part(finding.actual_range))


def _left_out(actual: int, expected: int | None, both: bool, *, differs: bool = False) -> list[StripColumn]:
    counts = [expected or 0, actual] if both else [actual]
    if all(count <= 0 for count in counts):
        return []
    sides = [StripToken(f"{count:,} left out" if count > 0 else _NONE) for count in counts]
    return [StripColumn("…", tuple(sides), differs)]


def _position(column: Column, stops: Collection[int], both: bool) -> StripColumn:
    sides = [_token(cell, stops) for cell in ((column.expected, column.actual) if both else (column.actual,))]
    return StripColumn(column.number or _NONE, tuple(sides), column.differs)


def _token(cell: str, stops: Collection[int]) -> StripToken:
    index, _, text = cell.partition(" ")
    return StripToken(text, index, int(index) in stops) if text else StripToken(cell or _NONE)
