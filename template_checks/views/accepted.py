"""An entry that was accepted, on a terminal."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.text import Text

from template_checks.config.schema import Accepted
from template_checks.config.toml_edit import ORDER
from template_checks.views.terminal import show_conversation


def show_accepted(entry: Accepted, item: str, where: str, console: Console) -> None:
    """Say what was accepted, and where the entry was written."""
    console.print(Text(f"Accepted {item}: written to {where}\n"))
    for key in ORDER:
        value = getattr(entry, key)
        if value is not None:
            lines = textwrap.wrap(str(value), max(30, console.width - 17)) or [""]
            console.print(Text(f"  {key:<15}" + ("\n" + " " * 17).join(lines)))
    if entry.witness is not None:
        console.print(Text("  witness"))
        show_conversation(entry.witness, console, indent=4)
