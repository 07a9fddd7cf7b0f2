"""Documented bugs as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from template_checks.record.known_bugs import KnownBugLine, KnownBugTotals
from template_checks.views.console import print_table


def show_known_bugs(lines: Sequence[KnownBugLine], totals: KnownBugTotals, console: Console) -> None:
    """The table, what went wrong, what cannot be expressed, and the totals."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("bug", "check that fired", "seeds", "after", "size", "twin"):
        table.add_column(Text(name, style="bold"), justify="right" if name in {"seeds", "after"} else "left")
    searched = [line for line in lines if line.not_expressed is None]
    for line in searched:
        _add_row(table, line)
    print_table(table, console)
    console.print()
    for line in searched:
        for text in line.false_positives:
            console.print(Text(f"✗ {line.id}, twin: {text}", style="red"))
    for line in lines:
        if line.not_expressed is not None:
            console.print(Text(f"not expressed  {line.id} {line.bug}: {line.not_expressed}"))
    _show_totals(totals, console)


def _add_row(table: Table, line: KnownBugLine) -> None:
    check = line.check or ""
    fired = check if line.severity == "blocking" else f"{check} ({line.severity})"
    fired = f"{check} (error)" if line.expected_outcome == "error" else fired
    table.add_row(
        Text(f"{line.id} {line.bug}"),
        Text(fired if line.caught else f"✗ {check}", style="" if line.caught else "bold red"),
        Text(f"{line.caught}/{line.seeds}", style="" if line.caught == line.seeds else "bold red"),
        Text("-" if line.conversations is None else f"{line.conversations:g}"),
        Text("-" if line.messages is None else f"{line.messages}×{line.characters}"),
        Text("✗ not silent", style="bold red") if line.false_positives else Text("silent"),
    )


def _show_totals(totals: KnownBugTotals, console: Console) -> None:
    if not totals.bugs:
        return
    style = "bold green" if totals.hold == totals.bugs else "bold red"
    console.print(Text(f"{totals.hold} of {totals.bugs} bugs caught by every seed, with silent twins", style=style))
    if totals.conversations is not None:
        console.print(
            Text(
                f"after: conversations until the first hit, median {totals.conversations:g}   "
                f"size: messages × characters, {totals.small} of {totals.with_size} are small"
            )
        )
