"""Views of a record. No view computes anything."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from template_checks.core.display import shortened, visible

if TYPE_CHECKING:
    from template_checks.record.writer import Line

CUT_OFF = "This record has no footer: the run was cut off."

STALE = frozenset({"fixed", "unmatched", "contradicting"})
"""States of accepted entries that have to go or to change."""

_SHOWN = frozenset(" \n\\·⏎⇥␍")
"""What stays as it is where text is shown that may have been made visible already."""


@dataclass(frozen=True)
class Parts:
    """The lines of one record, by kind. Kinds that no view knows are left out."""

    header: Line | None
    findings: list[Line]
    outcomes: list[Line]
    coverage: list[Line]
    footer: Line | None

    @classmethod
    def of(cls, lines: Iterable[Line]) -> Parts:
        """Take a record apart."""
        kinds: dict[str, list[Line]] = {}
        for line in lines:
            kinds.setdefault(line["kind"], []).append(line)
        header, footer = kinds.get("header"), kinds.get("footer")
        found, ended, covered = (kinds.get(kind, []) for kind in ("finding", "outcome", "coverage"))
        return cls(header[0] if header else None, found, ended, covered, footer[-1] if footer else None)

    @property
    def targets(self) -> list[str]:
        """Names of the targets, of those that could not be built too."""
        known = [*self.header["targets"], *self.header["failed"]] if self.header else []
        return list(dict.fromkeys([*known, *(line["target"] for line in [*self.outcomes, *self.findings])]))

    @property
    def failed(self) -> dict[str, str]:
        """Targets that could not be built, and why."""
        return self.header["failed"] if self.header else {}

    @property
    def ledger(self) -> list[Line]:
        """What became of the accepted entries."""
        return self.footer["ledger"] if self.footer else []


def printable(text: str) -> str:
    r"""`text` with everything escaped that is not seen, or changes how its surroundings look; spaces and `\n` stay.

    A record may come from anywhere: names and reasons in it can hold control characters, bidirectional overrides and
    half surrogate pairs.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if character in _SHOWN else visible(character) for character in text)


def harmless(value: Any, key: str = "") -> Any:
    """A line of a record whose texts can go to a terminal; contents are left to `visible`, which shows more."""
    if isinstance(value, str):
        return value if key == "content" else printable(value)
    if isinstance(value, list):
        return [item if key == "content" else harmless(item) for item in value]
    if isinstance(value, dict):
        return {printable(name): harmless(item, name) for name, item in value.items()}
    return value


def on_one_line(text: str, width: int) -> str:
    """`text` as one printable line of at most `width` characters."""
    return shortened(printable(text).replace("\n", "⏎"), width)


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
