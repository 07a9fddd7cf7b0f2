"""`template-checks seams`."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from template_checks.cli.main import main
from tests.systems import EXAMPLES

Ended = tuple[int, str, str]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> Ended:
        with pytest.raises(SystemExit) as exit_info:
            main.main(["seams", *args], prog_name="template-checks")
        captured = capsys.readouterr()
        assert isinstance(exit_info.value.code, int)
        return exit_info.value.code, captured.out, captured.err

    return run


def test_the_terminal_shows_seams_and_tokens(cli: Callable[..., Ended]) -> None:
    code, out, err = cli("--example", "internlm2")
    assert (code, err) == (0, "")
    assert "web_ui   tokenizes the whole text: it has no seams" in out
    assert "training   tokenizes in pieces: 4 seams" in out
    assert "before  content of message 1 (user), “<|im_end|>⏎<|im_start|>assistant⏎”" in out
    assert "2 tokens can merge across it, and no other." in out
    assert re.search(r'"⏎⏎" +478 +assistant "⏎" +478 +260 260\n', out)
    assert out.count("No token can merge across it, whatever the contents are.") == 3
    assert max(map(len, out.splitlines())) <= 80


def test_json_has_a_line_for_each_token(cli: Callable[..., Ended]) -> None:
    code, out, err = cli("--example", "internlm2", "--renderer", "training", "--format", "json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [line["kind"] for line in lines] == ["renderer", "seam", "crossing", "crossing", "seam", "seam", "seam"]
    assert lines[0]["seams"] == 4
    assert [line["crossings"] for line in lines if line["kind"] == "seam"] == [2, 0, 0, 0]
    assert all(line["complete"] and line["reason"] is None for line in lines if line["kind"] == "seam")
    assert lines[2] == {
        "kind": "crossing",
        "target": "internlm2-chat",
        "renderer": "training",
        "seam": 1,
        "id": 478,
        "token": "\n\n",
        "text": "\n\n",
        "contents": [{"message": 2, "role": "assistant", "content": "\n"}],
        "conversation": [{"role": "user", "content": ""}, {"role": "assistant", "content": "\n"}],
        "whole_ids": [478],
        "piece_ids": [260, 260],
    }


def test_many_tokens_and_long_ones_keep_to_the_width(cli: Callable[..., Ended], tmp_path: Path) -> None:
    write_toml(tmp_path, "Assistant: ")
    code, out, _ = cli()
    assert code == 0
    assert "more: --format json lists all of them" in out
    assert "The renderer puts </s> (2) here, and nothing merges across it." in out
    assert max(map(len, out.splitlines())) <= 80
    _, lines, _ = cli("--format", "json")
    assert sum(json.loads(line)["kind"] == "crossing" for line in lines.splitlines()) > 50


def write_toml(folder: Path, header: str) -> None:
    """A training template without control tokens, whose answers end with EOS."""
    (folder / "template-checks.toml").write_text(
        f"""[target.m]
tokenizer = {json.dumps(str(EXAMPLES / "internlm2" / "tokenizer"))}
[target.m.renderers]
chat_template = {{ type = "tokenizer" }}
training = {{ type = "xtuner", template = {{ INSTRUCTION = "User: {{input}}\\n{header}", SEP = "\\n" }} }}
""",
        encoding="utf-8",
    )


def test_what_is_not_complete_says_why(cli: Callable[..., Ended], tmp_path: Path) -> None:
    copy = tmp_path / "tokenizer"
    shutil.copytree(EXAMPLES / "internlm2" / "tokenizer", copy)
    data = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))
    data["normalizer"]["normalizers"].append({"type": "NFKC"})
    (copy / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    toml = (EXAMPLES / "internlm2" / "template-checks.toml").read_text(encoding="utf-8")
    toml = re.sub(r"^web_ui.*\n", "", toml, flags=re.MULTILINE)
    (tmp_path / "template-checks.toml").write_text(toml, encoding="utf-8")
    code, out, _ = cli()
    words = " ".join(out.split())
    assert code == 0
    assert "There may be more: the tokenizer's normalizer (NFKC) rewrites text." in words
    assert "ids can also differ without a token that reaches across" in words
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--example", "internlm2", "--renderer", "trainin"), "has no renderer 'trainin'"),
        (("--example", "internlm2", "--target", "internlm"), "Unknown target 'internlm'"),
        (("--example", "internlm2", "--format", "html"), "'html' is not one of"),
        ((), "No template-checks.toml here"),
    ],
)
def test_wrong_usage(cli: Callable[..., Ended], args: tuple[str, ...], words: str) -> None:
    code, out, err = cli(*args)
    assert (code, out) == (2, "")
    assert words in err


def test_a_broken_renderer_is_named_and_the_others_are_listed(cli: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text("def build(messages):\n    raise ValueError('no')\n", encoding="utf-8")
    write_toml(tmp_path, "<|im_start|>assistant\\n")
    path = tmp_path / "template-checks.toml"
    more = 'mine = { type = "python", function = "user.py:build" }\n'
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    code, out, _ = cli()
    assert code == 3
    assert "mine   error: user.py:build raised ValueError: no" in out
    assert "training   tokenizes in pieces" in out
