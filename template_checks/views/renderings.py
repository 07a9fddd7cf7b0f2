"""Renderings of one conversation, and where two of them part."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from template_checks.core.display import visible
from template_checks.core.rendering import IGNORE_INDEX
from template_checks.record.models import FindingLine, RenderingFacts
from template_checks.views.terminal import show_evidence, show_facts, subject


def show_rendering(rendering: RenderingFacts, console: Console) -> None:
    """Text and tokens that one renderer makes of a conversation; * marks supervised tokens."""
    console.print(Text(f"{rendering.renderer}  {rendering.purpose}", style="bold"))
    if rendering.error is not None:
        console.print(Text(f"  {rendering.error}\n"))
        return
    ids, tokens, labels = rendering.ids or (), rendering.tokens or (), rendering.labels
    if rendering.text is not None:
        console.print(Text(f"  text    {visible(rendering.text)}"), soft_wrap=True)
    console.print(Text(f"  tokens  {len(ids)}, * marks supervised ones\n"))
    line = Text("   ")
    for position, (index, shown) in enumerate(zip(ids, tokens, strict=True)):
        supervised = "*" if labels is not None and labels[position] != IGNORE_INDEX else ""
        cell = f" {index}{supervised} {shown} "
        if len(line) + len(cell) > console.width:
            console.print(line)
            line = Text("   ")
        line.append(cell)
    console.print(line)
    console.print()


def show_differences(differences: Sequence[FindingLine], console: Console) -> None:
    """Where two renderings of one conversation part, first difference first."""
    for difference in differences:
        console.print(Text(f"✗ {subject(difference)}", style="bold red").append(f"    {difference.purpose}", "dim"))
        console.print()
        show_evidence(difference, console)
        facts = [("Likely cause", f"{difference.cause}: {difference.summary}")]
        if difference.source:
            facts.append(("Comes from", difference.source))
        show_facts(facts, console)
        console.print()
