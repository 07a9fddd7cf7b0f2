"""Text of a record as the report shows it: nothing hidden in it, and nothing longer than a reader can use."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from template_checks.core.display import visible

LONGEST = 1000
"""Characters of one text in the report; what is longer loses its middle, and the report says how much."""


@dataclass(frozen=True)
class Excerpt:
    """A content, white space visible: whole, or its two ends and how many characters stand between them."""

    head: str
    omitted: int = 0
    tail: str = ""


def excerpt(text: str, room: int) -> Excerpt:
    """At most `room` characters of `text` as `visible` shows it. A megabyte is not made visible to be thrown away."""
    if len(text) <= room and len(whole := visible(text)) <= room:
        return Excerpt(whole)
    head = _that_fits(text, room // 2)
    tail = _that_fits(reversed(text[len(head) :]), room // 2)
    omitted = len(text) - len(head) - len(tail)
    return Excerpt("".join(head), omitted, "".join(reversed(tail)))


def _that_fits(characters: Iterable[str], room: int) -> list[str]:
    shown = []
    for character in characters:
        seen = visible(character)
        room -= len(seen)
        if room < 0:
            break
        shown.append(seen)
    return shown


def plain(text: str) -> str:
    """`text` as a sentence of the report: control characters and those that change direction escaped, cut if long.

    Spaces and glyphs stay as they are, unlike in contents: the record has made white space visible where it matters.
    """
    if len(text) > LONGEST:
        half, omitted = LONGEST // 2, len(text) - LONGEST
        text = f"{text[:half]} [… {omitted:,} characters left out …] {text[-half:]}"
    if text.isprintable():
        return text
    return "".join(character if _is_shown(character) else visible(character) for character in text)


def _is_shown(character: str) -> bool:
    return character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs"
