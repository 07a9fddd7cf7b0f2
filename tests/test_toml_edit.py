"""An entry goes into a TOML file, and everything else keeps its bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from template_checks.config.schema import Accepted, load_config, tomllib
from template_checks.config.toml_edit import with_entry
from template_checks.core.conversation import Conversation, Message
from template_checks.core.errors import UsageError
from tests.ledger import HI, SPACES, Cli, kept, run, write
from tests.ledger import _elsewhere as _elsewhere
from tests.ledger import cli as cli
from tests.ledger import marks as marks

pytestmark = pytest.mark.usefixtures("_elsewhere")


# Writing TOML

ODD = "".join(map(chr, (*range(1, 0x180), *range(0x2000, 0x2070), 0x3000, 0xFEFF, 0xE000, 0x1F600, 0x1F1E9, 0xE0001)))
CALL = [{"type": "function", "id": "1", "function": {"name": "f", "arguments": {"z": 1, "a": [0.5, True, {}, ""]}}}]

WITNESSES = {
    "newlines": Conversation.of(("user", "\n\r\n\r \t"), ("assistant", "")),
    "quotes": Conversation.of(("user", "'\"'''\"\"\"")),
    "backslashes": Conversation.of(("user", "\\\\n \\u0041 \\")),
    "emoji": Conversation.of(("user", "👩‍👩‍👧 🇩🇪 é")),
    "every character": Conversation.of(("user", ODD), ("assistant", ODD[::-1])),
    "further fields": Conversation((Message("user", "x").having(name="y", **{"a.b": 1, 'q"\n\x01': False, "": []}),)),
    "calls": Conversation((Message("user", "x"), Message("assistant", "").having(tool_calls=CALL))),
    "parts": Conversation((Message("user", "xy", parts=("x", "y")),)),
    "tools": Conversation((Message("user", "x"),), ('{"type": "function", "function": {"name": "f"}}',)),
    "null": Conversation((Message("user", 'a "null" \\').having(name={"a": None, "b": [None]}),)),
}
PLAIN = "[target.m]\ntokenizer = 'x'\nrenderers = { chat_template = { type = 'tokenizer' } }\n"


@pytest.mark.parametrize("name", WITNESSES)
@pytest.mark.parametrize("text", [PLAIN, PLAIN + "accepted = []\n"])
def test_a_witness_survives(name: str, text: str) -> None:
    said = Accepted(fingerprint="c7f2a91b", reason="a 'debt' \\ \"x\"\n", owner="Ánn 🙂", witness=WITNESSES[name])
    written = with_entry(text, ("target", "m"), said)
    assert written is not None
    path = Path("template-checks.toml")
    path.write_bytes(written.text.encode())
    (read,) = load_config(path).target["m"].accepted
    assert read == said
    assert read.witness is not None
    assert read.witness.to_data() == WITNESSES[name].to_data()
    assert isinstance(tomllib.loads(written.text)["target"]["m"]["accepted"][0]["witness"], str) == (name == "null")


NEXT = "\n# Of n.\n[target.n]  # n\ntokenizer = 'y'\n"
LAYOUTS = {
    "alone": (PLAIN, ""),
    "no newline at the end": (PLAIN.rstrip(), ""),
    "before another, with its comment": (PLAIN, NEXT),
    "behind another entry": (PLAIN + "\n[[target.m.accepted]]  # first\nfingerprint = '1'\nreason = 'r'\n", NEXT),
    "tables apart": (
        "[target.m]\ntokenizer = 'x'\n[target.n]\ntokenizer = 'y'\n[target.m.renderers]\na.type = 'b'\n",
        "",
    ),
    "a comment at the end": (PLAIN + "\n# The end.\n", ""),
    "a comment of its own": (PLAIN + "# stops = []\n", "\n\n" + NEXT.strip("\n")),
    "dotted keys": ("[target]\nm.tokenizer = 'x'\nm.renderers.a.type = 'b'\n", ""),
    "quoted and indented": ("  [ target . 'm' ] # m\n\ttokenizer = 'x'\n", NEXT),
    "what looks like a header": ("[target.m]\nsystem = '''\n[target.m]\n[x]\n'''\ntokenizer = 'x'\n", "@end"),
    "CRLF": (PLAIN.replace("\n", "\r\n"), NEXT.replace("\n", "\r\n")),
    "a list": (PLAIN + "accepted = [{ fingerprint = '1', reason = 'r' }", "]  # hm\n" + NEXT),
    "a list of lines": (PLAIN + "accepted = [\n  # first\n  { fingerprint = '1', reason = 'r' },", "\n]\n" + NEXT),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_everything_else_keeps_its_bytes(name: str) -> None:
    """The entry stands between the two parts of each layout."""
    before, behind = LAYOUTS[name]
    behind = "" if behind == "@end" else behind
    written = with_entry(before + behind, ("target", "m"), Accepted(fingerprint="c7f2a91b", reason="r", witness=HI))
    assert written is not None
    assert written.text.startswith(before)
    assert written.text.endswith(behind)
    added = written.text[len(before) : len(written.text) - len(behind)]
    assert added.count("c7f2a91b") == 1
    assert tomllib.loads(written.text)["target"]["m"]["accepted"][-1]["fingerprint"] == "c7f2a91b"
    assert ("\r\n" in added) == (name == "CRLF")
    assert re.search(r"(?<!\r)\n", added) is None or name != "CRLF"
    line = written.text.split("\n")[written.line - 1]
    assert "c7f2a91b" in line if "list" in name else re.fullmatch(r"\[\[.*accepted\]\]\r?", line)


def test_a_layout_without_a_place_is_left_alone(cli: Cli, marks: dict[str, str]) -> None:
    path = write(SPACES)
    table = tomllib.loads(path.read_text(encoding="utf-8"))["target"]["m"]
    renderers = ", ".join(
        f"{name} = {{ {', '.join(f'{key} = {json.dumps(value)}' for key, value in options.items())} }}"
        for name, options in table["renderers"].items()
    )
    path.write_text(
        f"target = {{ m = {{ tokenizer = {json.dumps(table['tokenizer'])}, renderers = {{ {renderers} }} }} }}\n",
        encoding="utf-8",
    )
    assert run(cli).code == 1
    before = path.read_bytes()
    ended = cli(*kept(marks["spaces"]))
    assert ended.code == 2
    assert "There is no place for an entry" in ended.err
    assert path.read_bytes() == before


def test_a_wrong_witness_is_a_usage_error() -> None:
    Path("x.toml").write_text(PLAIN + "accepted = [{ fingerprint = '1', reason = 'r', witness = 1 }]", encoding="utf-8")
    with pytest.raises(UsageError, match="The witness cannot be read: A conversation is"):
        load_config(Path("x.toml"))
