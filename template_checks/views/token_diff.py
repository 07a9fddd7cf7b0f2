"""Two token sequences side by side around the position where they part, as wide as the terminal allows."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len

from template_checks.core.display import shortened
from template_checks.record.models import FindingLine

_GAP = "–"
_MORE = "…"
_CONTEXT = 2
_TOKEN = 22
"""Cells a token's text may take."""


@dataclass(frozen=True)
class Column:
    """One token on both sides; `differs` where it is part of the difference."""

    number: str
    expected: str
    actual: str
    differs: bool

    @property
    def width(self) -> int:
        """In terminal cells."""
        return max(cell_len(self.number), cell_len(self.expected), cell_len(self.actual))


def strip_lines(finding: FindingLine, width: int) -> list[str]:
    """The strip of a finding: numbers, expected, actual, a marker line. Empty where there are no ids."""
    if finding.actual_ids is None or finding.actual_range is None:
        return []
    names = [finding.expected_name, finding.actual_name] if finding.expected_ids else [finding.actual_name]
    margin = max(cell_len(name) for name in [*names, "#"]) + 3
    columns = _fitting(finding, width - 4 - margin)
    rows = [_row("#", [c.number for c in columns], columns, margin)]
    if finding.expected_ids:
        rows.append(_row(finding.expected_name, [c.expected for c in columns], columns, margin))
    rows.append(_row(finding.actual_name, [c.actual for c in columns], columns, margin))
    if not any(column.differs for column in columns):
        return [f"    {row.rstrip()}" for row in rows]
    marks = _row("", ["^" * c.width if c.differs else "" for c in columns], columns, margin)
    rows.append(f"{marks.rstrip()} {verb(finding)}")
    return [f"    {row.rstrip()}" for row in rows]


def verb(finding: FindingLine) -> str:
    """What happened to the marked tokens, in a word."""
    expected, actual = finding.expected_range, finding.actual_range
    if expected is None or actual is None:
        return "here"
    if expected[0] == expected[1]:
        return "inserted"
    return "missing" if actual[0] == actual[1] else "replaced"


def _row(name: str, cells: list[str], columns: list[Column], margin: int) -> str:
    text = name + " " * (margin - cell_len(name))
    for cell, column in zip(cells, columns, strict=True):
        text += cell + " " * (column.width - cell_len(cell) + 3)
    return text


def _fitting(finding: FindingLine, room: int) -> list[Column]:
    """Columns that fit: context gives way first, then the middle of a long difference."""
    middle = differing(finding)
    for before, after in ((2, 2), (2, 1), (1, 1), (1, 0), (0, 0)):
        columns = context(finding, -before) + middle + context(finding, after)
        if _width(columns) <= room:
            return columns
    more = Column(_MORE, _MORE, _MORE, True)
    for kept in range(min(len(middle) - 1, 20), 1, -1):
        shown = [*middle[: (kept + 1) // 2], more, *middle[len(middle) - kept // 2 :]]
        if _width(shown) <= room:
            return shown
    return [middle[0], more] if len(middle) > 1 else middle


def _width(columns: list[Column]) -> int:
    return sum(column.width + 3 for column in columns)


def differing(finding: FindingLine) -> list[Column]:
    """The tokens of the difference."""
    assert finding.actual_range is not None
    start, end = finding.actual_range
    columns = []
    if finding.expected_range is None:
        return [Column(str(n), "", _cell(finding, "actual", n), True) for n in range(start, end)]
    first, last = finding.expected_range
    for offset in range(max(end - start, last - first)):
        number = str(start + offset) if start + offset < end else ""
        columns.append(
            Column(
                number,
                _cell(finding, "expected", first + offset) if first + offset < last else _GAP,
                _cell(finding, "actual", start + offset) if start + offset < end else _GAP,
                True,
            )
        )
    return columns


def context(finding: FindingLine, count: int) -> list[Column]:
    """Columns before (negative) or after the difference."""
    assert finding.actual_range is not None
    start, end = finding.actual_range
    expected_ids, actual_ids = finding.expected_ids or (), finding.actual_ids or ()
    positions = range(start + count, start) if count < 0 else range(end, end + count)
    columns = []
    for position in positions:
        if not 0 <= position < len(actual_ids):
            continue
        expected = ""
        if finding.expected_range is not None:
            first, last = finding.expected_range
            other = first - (start - position) if count < 0 else last + (position - end)
            expected = _cell(finding, "expected", other) if 0 <= other < len(expected_ids) else ""
        columns.append(Column(str(position), expected, _cell(finding, "actual", position), False))
    return columns


def _cell(finding: FindingLine, side: str, position: int) -> str:
    expected = side == "expected"
    ids = (finding.expected_ids if expected else finding.actual_ids) or ()
    tokens = (finding.expected_tokens if expected else finding.actual_tokens) or ()
    return f"{ids[position]} {shortened(tokens[position], _TOKEN)}"
