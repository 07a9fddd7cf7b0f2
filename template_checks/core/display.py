"""White space and control characters made visible. For display only; nothing is compared in this form."""

from __future__ import annotations

import unicodedata

_GLYPHS = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍"}
_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Hangul fillers and the empty braille pattern: letters and signs by category, and nothing to see."""
_ESCAPED = frozenset(_GLYPHS.values()) | frozenset(_BLANK_LETTERS)
_MARKS = frozenset({"Mn", "Me"})
"""Categories of marks that have no width of their own: accents, variation selectors, enclosing marks."""


def visible(text: str) -> str:
    """`text` with each space, newline, tab and carriage return as a glyph and other invisibles escaped.

    A character that is itself one of the glyphs is escaped, and a backslash is doubled, so that the result is never
    ambiguous. A mark that would be drawn onto the character before it is escaped too: an accented letter in two
    characters must not look like the one in one.
    """
    return "".join(_GLYPHS.get(character) or _escape(character) for character in text)


def _escape(character: str) -> str:
    if character == "\\":
        return r"\\"
    if character in _ESCAPED or _is_hidden(character):
        code = ord(character)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return character


def _is_hidden(character: str) -> bool:
    """Whether it is not seen, or seen only on the character before it."""
    category = unicodedata.category(character)
    return category[0] in "CZ" or category in _MARKS or unicodedata.combining(character) != 0


def shortened(text: str, width: int) -> str:
    """`text` cut in the middle to at most `width` characters."""
    if len(text) <= width:
        return text
    left = (width - 1) // 2
    return text[:left] + "…" + text[len(text) - (width - 1 - left) :]


def spell_out(text: str) -> str:
    """A white-space string in words: `4 spaces`, `1 newline`; anything else quoted and visible."""
    names = {" ": "space", "\n": "newline", "\t": "tab", "\r": "carriage return"}
    if text and len(set(text)) == 1 and text[0] in names:
        return f"{len(text)} {names[text[0]]}{'' if len(text) == 1 else 's'}"
    return f"“{visible(text)}”"


_AS_IS = frozenset(" \n\\·⏎⇥␍")
"""What stays as it is where text is shown that may have been made visible already."""


def printable(text: str) -> str:
    r"""`text` with everything escaped that is not seen, or changes how its surroundings look; spaces and `\n` stay.

    Names, reasons and messages may come from anywhere: they can hold control characters, bidirectional overrides and
    half surrogate pairs.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if character in _AS_IS else visible(character) for character in text)


def on_one_line(text: str, width: int) -> str:
    """`text` as one printable line of at most `width` characters."""
    return shortened(printable(text).replace("\n", "⏎"), width)
