"""Contents: what a message may hold, built from fragments that templates and tokenizers are known to trip over."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

PLAIN = ("a", "0", "Hi", "ok.", "one two", "你好", "ß", "Я", "3.14", "x = 1")
WHITE_SPACE = (
    " ",
    "\n",
    "  ",
    "\n\n",
    "    ",
    "\t",
    "\r\n",
    "\r",
    " \n",
    "\n ",
    "\n    ",
    "\u00a0",
    "\u3000",
    "\u2028",
    "\u200b",
)
COMBINING = ("e\u0301", "👍", "👩\u200d💻", "🇨🇳", "\ufeff", "\u202e", "한", "अ")
CONTROL = ("\x00", "\x07", "\x1b", "\x7f", "\ufffd")
BRACES = ("{", "}", "{}", "{0}", "{input}", "{user}", "{{ x }}", "{% if %}", "{#", "%s", "$x", "\\n")
MARKUP = ("<", "&", "'", '"', "<b>", "&amp;", "[INST]", "###", "```", "</s", "▁", "Ġ", "·")

FRAGMENTS = (*PLAIN, *WHITE_SPACE, *COMBINING, *CONTROL, *BRACES, *MARKUP)


def fragments(target_strings: Iterable[str] = ()) -> list[str]:
    """All fragments, simplest first, with the target's own strings at the end."""
    return list(dict.fromkeys([*FRAGMENTS, *target_strings]))


def contents(*, target_strings: Iterable[str] = (), max_fragments: int = 3) -> st.SearchStrategy[str]:
    """Contents of one message: empty, one fragment or a few in a row, now and then arbitrary characters.

    Shrinks towards the empty text and towards the first fragments.

    Args:
        target_strings: the target's own strings, used as text.
        max_fragments: most fragments in a row.
    """
    pieces = st.lists(st.sampled_from(fragments(target_strings)), max_size=max_fragments).map("".join)
    return pieces | st.text(st.characters(codec="utf-8"), min_size=1, max_size=4)
