"""The seams of renderers on a terminal: where pieces meet, and the tokens that can merge across."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from template_checks.core.display import shortened, spell_out, visible
from template_checks.seams.records import MergeLine, NextContent, RendererLine, SeamLine, SeamsLine
from template_checks.views.console import print_table

_ROWS = 50
_TOKEN, _IDS = 14, 14
"""Cells of a column; what is left goes to the content."""
_INDENT = " " * 5


def show_seams(lines: Sequence[SeamsLine], console: Console, *, name_target: bool) -> None:
    """Print the lines of one renderer: itself, its seams, and after each seam what can cross it."""
    head = lines[0]
    assert isinstance(head, RendererLine)
    name = f"{head.target}: {head.renderer}" if name_target else head.renderer
    text = Text(name, style="bold")
    if head.outcome is not None:
        _print_wrapped(text.append(f"   {head.outcome}: {head.reason}", "default"), console)
    elif not head.seams:
        console.print(text.append("   tokenizes the whole text: it has no seams", "default"))
    else:
        count = head.seams
        console.print(text.append(f"   tokenizes in pieces: {count} seam{'' if count == 1 else 's'}", "default"))
    if head.note is not None:
        _print_wrapped(Text(f"  {head.note}"), console)
    console.print()
    for seam in (line for line in lines if isinstance(line, SeamLine)):
        crossings = [line for line in lines if isinstance(line, MergeLine) and line.seam == seam.seam]
        _show_seam(seam, crossings, console)


def _show_seam(seam: SeamLine, crossings: list[MergeLine], console: Console) -> None:
    width = console.width - 14
    console.print(Text(f"  {seam.seam}  {seam.place}", style="bold"))
    for side, shown in (
        ("before", _side(seam.left, seam.before, width, in_front=True)),
        ("behind", _side(seam.right, seam.behind, width, in_front=False)),
    ):
        console.print(Text(f"{_INDENT}{side}  {shown}"))
    _print_wrapped(Text(f"{_INDENT}{_count(seam)}"), console)
    console.print()
    if crossings:
        _show_table(crossings[:_ROWS], console)
        if len(crossings) > _ROWS:
            console.print(Text(f"{_INDENT}… and {len(crossings) - _ROWS} more: --format json lists all of them"))
        console.print()


def _side(content: NextContent | None, fixed: str, width: int, *, in_front: bool) -> str:
    """What is on one side, in words and with white space visible, from left to right."""
    message = f"content of message {content.message} ({content.role})" if content else ""
    edge = message or ("the start" if in_front else "the end")
    if not fixed:
        return edge
    quoted = f"“{shortened(visible(fixed), max(16, width - len(edge) - 4))}”"
    return f"{edge}, {quoted}" if in_front else f"{quoted}, {edge}"


def _count(seam: SeamLine) -> str:
    count = seam.crossings
    tokens = f"{count} token{'' if count == 1 else 's'}"
    if seam.added:
        names = ", ".join(f"{visible(one.token)} ({one.id})" for one in seam.added)
        return f"The renderer puts {names} here, and nothing merges across it."
    if not seam.complete:
        return f"{tokens if count else 'No token'} found that can merge across it. There may be more: {seam.reason}."
    if not count:
        return "No token can merge across it, whatever the contents are."
    return f"{tokens} can merge across it, and no other."


def _show_table(crossings: list[MergeLine], console: Console) -> None:
    titles = ("token", "id", "content that provokes it", "whole", "in pieces")
    rows = [
        [_quoted(line.text, _TOKEN), str(line.id), "", _ids(line.whole_ids), _ids(line.piece_ids)] for line in crossings
    ]
    taken = sum(max(map(cell_len, column)) for column in zip(titles, *rows, strict=True)) - len(titles[2])
    left = max(len(titles[2]), console.width - taken - len(_INDENT) - 2 * len(titles))
    for row, line in zip(rows, crossings, strict=True):
        contents = [f"{one.role} {_quoted(one.content, left - len(one.role) - 1)}" for one in line.contents]
        row[2] = shortened(" ".join(contents) or "any", left)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for title in (_INDENT + titles[0], *titles[1:]):
        table.add_column(Text(title, style="bold"), no_wrap=True)
    for row in rows:
        table.add_row(Text(_INDENT + row[0]), *map(Text, row[1:]))
    print_table(table, console)


def _quoted(text: str, width: int) -> str:
    """In quotes with white space visible; in words, or cut in the middle, where that is too long."""
    quoted = f'"{visible(text)}"'
    if cell_len(quoted) <= width:
        return quoted
    spelled = spell_out(text)
    return spelled if len(spelled) <= width else f'"{shortened(visible(text), width - 2)}"'


def _ids(ids: Sequence[int]) -> str:
    shown = " ".join(map(str, ids))
    while len(shown) > _IDS and len(ids) > 1:
        ids = ids[:-1]
        shown = " ".join(map(str, ids)) + " …"
    return shown


def _print_wrapped(text: Text, console: Console) -> None:
    indent = " " * (len(text.plain) - len(text.plain.lstrip()) or 4)
    if len(text.plain) <= console.width:
        console.print(text)
        return
    for line in textwrap.wrap(text.plain, console.width, subsequent_indent=indent, break_on_hyphens=False):
        console.print(Text(line))
