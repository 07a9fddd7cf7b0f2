"""The command line, as a user meets it: what it prints, where, and how it exits."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from template_checks.checks.registry import all_checks, own_checks
from template_checks.cli.main import main
from template_checks.config.schema import load_config
from template_checks.renderers.registry import get_renderer_type, renderer_names
from tests.command_line import HI, QUICK, TOKENIZER, Cli, cli, elsewhere, records, write_template, write_toml

assert cli and elsewhere
"""Fixtures."""

# run


def test_the_example_fails_and_says_so(cli: Cli) -> None:
    ended = cli("run", "--example", "internlm2", *QUICK)
    assert ended.code == 1
    assert "✗ single-bos   web_ui" in ended.out
    assert "template-checks replay " in ended.out
    assert "Verdict: not clean: 1 defect blocks" in ended.out
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
    assert set(kinds) == {"header", "finding", "outcome", "coverage", "defect", "footer"}
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
