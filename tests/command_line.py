"""The command line in this process, and configurations for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from template_checks.cli.main import main
from template_checks.config.examples import shipped_folder
from template_checks.engine import profiles
from template_checks.engine.profiles import Profile

TOKENIZER = shipped_folder("examples") / "internlm2" / "tokenizer"
HI = '[{"role": "user", "content": "hi"}]'
QUICK = ("--check", "single-bos", "--check", "special-ids")
"""Two checks that say much and cost little."""


class Ended(NamedTuple):
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ended]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counterexamples are kept where one works: not here. Few draws: what is tested is not the search."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(profiles.PROFILES, "dev", Profile("dev", 5, None, ""))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], elsewhere: None) -> Cli:
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
