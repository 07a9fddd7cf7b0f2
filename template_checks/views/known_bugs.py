"""The museum as a table and as lines."""

from __future__ import annotations

import statistics

from rich.console import Console
from rich.table import Table
from rich.text import Text

from template_checks.engine.known_bugs import BugResult, KnownBug
from template_checks.record.writer import Line
from template_checks.views.terminal import print_table


def museum_line(seen: BugResult) -> Line:
    """One exhibit as an object."""
    exhibit = seen.exhibit
    return {
        "kind": "exhibit",
        "id": exhibit.id,
        "bug": exhibit.kind,
        "check": exhibit.check,
        "severity": exhibit.severity,
        "not_expressed": exhibit.not_expressed,
        "seeds": len(seen.seed_results),
        "caught": seen.caught,
        "conversations": seen.after,
        "messages": seen.size[0] if seen.size else None,
        "characters": seen.size[1] if seen.size else None,
        "twin": list(seen.alarms),
        "holds": seen.holds,
    }


def show_museum(seen: list[BugResult], missing: list[KnownBug], console: Console) -> None:
    """The table, what went wrong, what cannot be expressed, and the totals."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("bug", "check that fired", "seeds", "after", "size", "twin"):
        table.add_column(Text(name, style="bold"), justify="right" if name in {"seeds", "after"} else "left")
    for one in seen:
        caught = f"{one.caught}/{len(one.seed_results)}"
        check = one.exhibit.check or ""
        mark = check if one.exhibit.severity == "blocking" else f"{check} ({one.exhibit.severity})"
        mark = f"{check} (error)" if one.exhibit.outcome == "error" else mark
        table.add_row(
            Text(f"{one.exhibit.id} {one.exhibit.kind}"),
            Text(mark if one.caught else f"✗ {check}", style="" if one.caught else "bold red"),
            Text(caught, style="" if one.caught == len(one.seed_results) else "bold red"),
            Text("-" if one.after is None else f"{one.after:g}"),
            Text("-" if one.size is None else f"{one.size[0]}×{one.size[1]}"),
            Text("silent") if not one.alarms else Text("✗ not silent", style="bold red"),
        )
    print_table(table, console)
    console.print()
    for one in seen:
        for alarm in one.alarms:
            console.print(Text(f"✗ {one.exhibit.id}, twin: {alarm}", style="red"))
    for exhibit in missing:
        console.print(Text(f"not expressed  {exhibit.id} {exhibit.kind}: {exhibit.not_expressed}"))
    _show_totals(seen, console)


def _show_totals(seen: list[BugResult], console: Console) -> None:
    if not seen:
        return
    held = sum(one.holds for one in seen)
    style = "bold green" if held == len(seen) else "bold red"
    console.print(Text(f"{held} of {len(seen)} bugs caught by every seed, with silent twins", style=style))
    counts = [one.after for one in seen if one.after is not None]
    sizes = [(one, one.size) for one in seen if one.size is not None]
    small = sum(size[0] <= (4 if one.exhibit.history else 2) and size[1] <= 3 for one, size in sizes)
    if counts:
        console.print(
            Text(
                f"after: conversations until the first hit, median {statistics.median(counts):g}   "
                f"size: messages × characters, {small} of {len(sizes)} are small"
            )
        )
