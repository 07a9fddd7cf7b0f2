"""Whether a sign-off is granted, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from template_checks.record.reader import Record


def show_signoff(record: Record, written: Sequence[Path], console: Console) -> None:
    """Granted, or refused and why; what was written."""
    signoff = record.footer.signoff if record.footer is not None else None
    if signoff is not None and signoff.granted:
        console.print(Text("Sign-off: granted", style="bold green"))
    else:
        console.print(Text("Sign-off: refused", style="bold red"))
        for reason in signoff.refused if signoff is not None else ("the run was cut off",):
            console.print(Text(f"  {reason}"))
    console.print(Text(f"Written: {', '.join(map(str, written))}"))
