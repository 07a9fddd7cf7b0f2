"""What is shown: no white space, control or bidi character is printed as it is, and no two texts look the same."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from template_checks.cli.main import main
from template_checks.core.display import shortened, spell_out, visible

BLOCKS = (
    range(0x3100),
    range(0xD7A0, 0x11000),
    range(0x1D100, 0x1D200),
    range(0x1F000, 0x20000),
    range(0xE0000, 0xE0200),
)
"""All of Unicode that is not mere letters: white space, controls, combining characters, surrogates, emoji, tags."""
UNICODE = [chr(code) for block in BLOCKS for code in block]
NAMED = {
    " ": "·",
    "\n": "⏎",
    "\t": "⇥",
    "\r": "␍",
    "\x00": r"\x00",
    "\x1b": r"\x1b",
    "\x85": r"\x85",
    "\u00a0": r"\xa0",
    "\u00ad": r"\xad",
    "\u0301": r"\u0301",
    "\u200b": r"\u200b",
    "\u200d": r"\u200d",
    "\u2028": r"\u2028",
    "\u202e": r"\u202e",
    "\u2066": r"\u2066",
    "\u3000": r"\u3000",
    "\ufeff": r"\ufeff",
    "\ud800": r"\ud800",
    "\U000e0041": r"\U000e0041",
    "·": r"\xb7",
    "⏎": r"\u23ce",
    "\\": r"\\",
    "\u034f": r"\u034f",
    "\u115f": r"\u115f",
    "\u1160": r"\u1160",
    "\u17b4": r"\u17b4",
    "\u180b": r"\u180b",
    "\u20e3": r"\u20e3",
    "\u2800": r"\u2800",
    "\u3164": r"\u3164",
    "\ufe0f": r"\ufe0f",
    "\uffa0": r"\uffa0",
    "\U000e0100": r"\U000e0100",
}
WORDS = st.text(st.sampled_from([*NAMED, "a", "b", "0", "1", "2", "e", "x", "ÿ", "你", "👍"]), max_size=8)


def hidden(text: str) -> list[str]:
    """Characters that a reader would not see, or that would change what surrounds them."""
    blank = re.compile("HANGUL.* FILLER|BLANK$|VARIATION SELECTOR|GRAPHEME JOINER|COMBINING")
    return [
        c
        for c in text
        if unicodedata.category(c)[0] in "CZ" or unicodedata.combining(c) or blank.search(unicodedata.name(c, ""))
    ]


def test_every_character_is_seen() -> None:
    assert hidden("".join(map(visible, UNICODE))) == []
    plain = [c for c in UNICODE if unicodedata.category(c) in {"Lu", "Ll", "Nd", "Sc", "Sm"}] + [
        "你",
        "한",
        "👍",
        "<",
        '"',
    ]
    assert [c for c in plain if visible(c) != c] == []
    assert len({visible(c) for c in UNICODE}) == len(UNICODE)


@pytest.mark.parametrize("character", NAMED, ids=ascii)
def test_what_it_looks_like(character: str) -> None:
    assert visible(f"a{character}b") == f"a{NAMED[character]}b"


@given(WORDS, WORDS)
@example("\n", "⏎")
@example("\x00" + "1", "\x001")
@example("\u00a0", "\xa0")
@example("\x00", r"\x00")
@example("\\\x00", r"\\x00")
def test_two_texts_never_look_the_same(a: str, b: str) -> None:
    assert (visible(a) == visible(b)) == (a == b)
    assert visible(a + b) == visible(a) + visible(b)


@given(WORDS, st.integers(1, 12))
def test_shortened_keeps_both_ends(text: str, width: int) -> None:
    short = shortened(text, width)
    assert len(short) == min(width, len(text))
    if len(text) <= width:
        assert short == text
    else:
        left, _, right = short.partition("…")
        assert text.startswith(left)
        assert text.endswith(right)
        assert len(right) - len(left) in {0, 1}


def test_spelled_out() -> None:
    said = ["    ", " ", "\n", "\n\n", "\t", "\r", " \n", "", "\u00a0", "a\x1b"]
    assert [spell_out(text) for text in said] == [
        "4 spaces",
        "1 space",
        "1 newline",
        "2 newlines",
        "1 tab",
        "1 carriage return",
        "“·⏎”",
        "“”",
        r"“\xa0”",
        r"“a\x1b”",
    ]


@pytest.mark.parametrize("command", ["render", "diff"])
def test_nothing_that_is_printed_acts_on_the_terminal(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    nasty = "\x1b[31m[red]\u202e" + "".join(c for c in NAMED if c != "\ud800")
    conversation = json.dumps([{"role": "user", "content": nasty}])
    names = ["--renderer", "chat_template"] if command == "render" else []
    others = ["chat_template", "web_ui"] if command == "diff" else []
    with pytest.raises(SystemExit):
        main.main([command, *others, conversation, "--example", "internlm2", *names], prog_name="template-checks")
    out = capsys.readouterr().out
    assert r"\x1b[31m[red]\u202e" in out
    assert {c for c in hidden(out) if c not in " \n"} == set()
