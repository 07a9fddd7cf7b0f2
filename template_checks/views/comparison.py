"""Two records side by side, on a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from template_checks.core.display import on_one_line
from template_checks.record.compare import Comparison, FindingChange, OutcomeChange
from template_checks.views.terminal import show_defect

_LONGEST = 2_000


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Print what changed, worst first, what appeared in full."""
    for name in comparison.cut_off:
        console.print(Text(f"The {name} run was cut off or interrupted: what it did not see is unknown.", "bold red"))
    for circumstance in comparison.circumstances:
        _print_wrapped("changed  ", circumstance, console)
    if comparison.cut_off or comparison.circumstances:
        console.print()
    several = len({change.first.target for change in comparison.changes}) > 1
    if comparison.appeared:
        console.print(Text("Appeared\n", "bold red"))
    for defect in comparison.appeared:
        show_defect(defect, comparison.findings_of(defect), console, name_target=several)
    altered = [change for change in comparison.of("unchanged") if change.standing[0] != change.standing[1]]
    _show_changes("Stayed, and is judged otherwise", altered, console)
    _show_changes(
        "Unknown: only one of the runs saw it, and the other did not get to look", comparison.of("unknown"), console
    )
    _show_changes("Disappeared", comparison.of("disappeared"), console)
    _show_endings(comparison.endings, console)
    _show_totals(comparison, console)


def _show_changes(title: str, changes: list[FindingChange], console: Console) -> None:
    if not changes:
        return
    console.print(Text(title, "bold"))
    for change in changes:
        first, (old, new) = change.first, change.standing
        standing = f"{old} → {new}" if old and new else f"{old or new}, in the {'old' if old else 'new'} record"
        items = ", ".join(dict.fromkeys(line.item_id for line in change.new or change.old))
        sign, style = ("✗", "bold red") if change.blocks_now else (" ", "")
        text = f"{first.fingerprint}  {first.target}: {items}: {first.cause} ({standing})"
        _print_wrapped(f"{sign} ", text, console, style)
    console.print()


def _show_endings(endings: Iterable[OutcomeChange], console: Console) -> None:
    """Items that end otherwise, those with the same change together."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for ending in endings:
        alike.setdefault((ending.target, ending.old, ending.new), []).append(ending.item)
    if alike:
        console.print(Text("Outcomes", "bold"))
    for (target, old, new), items in alike.items():
        _print_wrapped("  ", f"{old} → {new}  {target}: {', '.join(items)}", console)
    if alike:
        console.print()


def _print_wrapped(start: str, text: str, console: Console, style: str = "") -> None:
    """As wide as the console; further lines are indented as the first one's text."""
    room = max(30, console.width - len(start))
    lines = textwrap.wrap(on_one_line(text, _LONGEST), room, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        console.print(Text(f"{' ' * len(start) if number else start}{line}", style))


def _show_totals(comparison: Comparison, console: Console) -> None:
    counts = {state: len(comparison.of(state)) for state in ("appeared", "disappeared", "unchanged", "unknown")}
    console.print(Text(", ".join(f"{count} {state}" for state, count in counts.items())))
    blocking = sum(change.blocks_now for change in comparison.changes)
    if blocking:
        finding = "finding blocks that did not" if blocking == 1 else "findings block that did not"
        console.print(Text(f"Verdict: {blocking} {finding} before", "bold red"))
    elif comparison.complete:
        console.print(Text("Verdict: no blocking finding appeared", "bold green"))
    else:
        console.print(Text("Verdict: no blocking finding is known to have appeared", "bold red"))
