"""Consoles that views print to."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

CUT_OFF = "This record has no footer: the run was cut off."


def make_console(*, stderr: bool = False) -> Console:
    """A console: as wide as the terminal, 80 columns where there is none."""
    console = Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, soft_wrap=True, width=80, emoji=False)
    return console


def print_table(table: Table, console: Console) -> None:
    """Print a table; without the spaces that pad its last column where nobody sees colours."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as capture:
        console.print(table)
    console.file.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def printed(show: Callable[[Console], None]) -> str:
    """What `show` prints, in 80 columns and without colours: CI often sets FORCE_COLOR, and a report is no terminal."""
    console = Console(
        file=io.StringIO(),
        force_terminal=False,
        color_system=None,
        highlight=False,
        soft_wrap=True,
        width=80,
        emoji=False,
    )
    show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
