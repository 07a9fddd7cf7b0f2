"""The two token sequences of a finding around the place where they part, aligned as the terminal aligns them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from template_checks.record.writer import Line
from template_checks.views.token_diff import Column, context, differing, verb

_NONE = "–"
"""Where a side has no token."""


@dataclass(frozen=True)
class Room:
    """How many tokens are shown: on either side of a difference, and of the ends of a long one."""

    context: int
    head: int
    tail: int


@dataclass(frozen=True)
class Token:
    """One cell: a token, or nothing where this side has none here."""

    text: str
    id: str = ""
    stop: bool = False


@dataclass(frozen=True)
class Position:
    """One column of the strip: both sides at one place, or how many tokens of each are left out there."""

    number: str
    sides: tuple[Token, ...]
    differs: bool = False


@dataclass(frozen=True)
class Strip:
    """Names of the sides, the columns, and the word for what differs."""

    names: tuple[str, ...]
    positions: tuple[Position, ...]
    verb: str


def strip_of(finding: Line, stops: Collection[int], room: Room) -> Strip | None:
    """The strip of a finding; None where the record has no ids or no place.

    Args:
        finding: a line of the record.
        stops: ids that are stop tokens of the target.
        room: how much of it is shown.
    """
    if finding["actual_ids"] is None or finding["actual_range"] is None:
        return None
    finding = _within(finding)
    names = [finding["expected_name"]] if finding["expected_ids"] else []
    both = bool(names)
    start, end = finding["actual_range"]
    first, last = finding["expected_range"] or (0, 0)
    aligned = finding["expected_range"] is not None

    def shown(columns: list[Column]) -> list[Position]:
        return [_position(column, stops, both) for column in columns]

    before, after = context(finding, -room.context), context(finding, room.context)
    positions = _left_out(start - len(before), first - _filled(before) if aligned else None, both)
    positions += shown(before)
    length = max(end - start, last - first)
    if not length and not aligned:
        positions.append(Position(_NONE, (Token(_NONE),) * (1 + both), True))
    elif length <= room.head + room.tail + 1:
        positions += shown(differing(finding))
    else:
        positions += shown(differing(_part(finding, 0, room.head)))
        counts = [max(0, min(n, length - room.tail) - room.head) for n in (end - start, last - first)]
        positions += _left_out(counts[0], counts[1] if aligned else None, both, differs=True)
        positions += shown(differing(_part(finding, length - room.tail, length)))
    positions += shown(after)
    left = len(finding["expected_ids"]) - last - _filled(after) if both and aligned else None
    positions += _left_out(len(finding["actual_ids"]) - end - len(after), left, both)
    return Strip((*names, finding["actual_name"]), tuple(positions), verb(finding))


def _within(finding: Line) -> Line:
    """The finding with ranges that end where its ids do: a check may point at what follows the last token."""
    cut = {}
    for side in ("expected", "actual"):
        if finding[f"{side}_range"] is not None:
            cut[f"{side}_range"] = [min(at, len(finding[f"{side}_ids"] or ())) for at in finding[f"{side}_range"]]
    return {**finding, **cut}


def _filled(columns: list[Column]) -> int:
    """How many of them hold a token of the expected side."""
    return sum(bool(column.expected) for column in columns)


def _part(finding: Line, begin: int, end: int) -> Line:
    """The finding with ranges that hold only some of its differing tokens, counted from the first of them."""
    cut = {}
    for key in ("expected_range", "actual_range"):
        if finding[key] is not None:
            first, last = finding[key]
            cut[key] = [first + begin, min(last, first + end)]
    return {**finding, **cut}


def _left_out(actual: int, expected: int | None, both: bool, *, differs: bool = False) -> list[Position]:
    counts = [expected or 0, actual] if both else [actual]
    if all(count <= 0 for count in counts):
        return []
    sides = [Token(f"{count:,} left out" if count > 0 else _NONE) for count in counts]
    return [Position("…", tuple(sides), differs)]


def _position(column: Column, stops: Collection[int], both: bool) -> Position:
    sides = [_token(cell, stops) for cell in ((column.expected, column.actual) if both else (column.actual,))]
    return Position(column.number or _NONE, tuple(sides), column.differs)


def _token(cell: str, stops: Collection[int]) -> Token:
    index, _, text = cell.partition(" ")
    return Token(text, index, int(index) in stops) if text else Token(cell or _NONE)
