"""What became of a record's artefacts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from template_checks.record.verify import Verification


def show_verification(seen: Verification, console: Console) -> None:
    """What changed, what is to be known, and how many artefacts are unchanged."""
    for change in seen.changes:
        console.print(Text(f"changed  {change.name} ({change.owner}) {change.how}", style="bold red"))
    for note in seen.notes:
        console.print(Text(f"note     {note}"))
    console.print(Text(f"{seen.unchanged} of {seen.artefacts} artefacts are unchanged."))


def show_rerun(seed: int, outcomes: int, found: Sequence[str], console: Console) -> None:
    """What ended differently in a run that was repeated."""
    for text in found:
        console.print(Text(f"differs  {text}", style="bold red"))
    console.print(Text(f"Run again with seed {seed}: {outcomes} outcomes, {len(found)} differences."))
