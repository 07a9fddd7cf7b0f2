"""Set-ups with accepted mismatches: a target whose renderer has one defect or two, and runs of the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from template_checks.checks.findings import Finding
from template_checks.checks.registry import get_checks
from template_checks.cli.main import main
from template_checks.config.schema import load_config
from template_checks.config.target import build_target, opened
from template_checks.core.conversation import Conversation
from template_checks.engine import profiles
from template_checks.engine.plan import plan
from template_checks.engine.profiles import Profile
from template_checks.engine.search import Search, SearchOptions
from tests.systems import EXAMPLES

TOKENIZER = EXAMPLES / "internlm2" / "tokenizer"
TODAY = date.today()
YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
HI = Conversation.of(("user", "hi"))
PROFILE = Profile("dev", 3, None, "")

GOOD = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPACES = GOOD.replace("%}<|im_start|>assistant", "%}    <|im_start|>assistant")
"""Four spaces before the generation prompt, as in the Web UI."""
TWO = SPACES.replace("{% for", "{% if messages[0].role == 'system' %}!{% endif %}{% for")
"""A second defect under the same check: text before a system message."""
TAIL = GOOD.replace("{% endfor %}", "{% endfor %}{% if not add_generation_prompt %}!{% endif %}")
"""A text behind the last answer, which is advisory."""


class Ended(NamedTuple):
    code: int
    out: str
    err: str
    lines: list[dict[str, Any]]

    @property
    def footer(self) -> dict[str, Any]:
        return self.lines[-1]

    @property
    def states(self) -> list[str]:
        return [entry["state"] for entry in self.footer["ledger"]]

    @property
    def findings(self) -> dict[str, dict[str, Any]]:
        return {line["fingerprint"]: line for line in self.lines if line["kind"] == "finding"}

    @property
    def outcomes(self) -> dict[str, str]:
        outcomes = [line for line in self.lines if line["kind"] == "outcome" and line["renderer"] != "chat_template"]
        return {f"{line['check']}-{line['purpose']}": line["outcome"] for line in outcomes}


Cli = Callable[..., Ended]


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(profiles.PROFILES, "dev", PROFILE)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run the command line in this process; `run` also leaves its record."""

    def call(*args: str) -> Ended:
        extra = ("--record", "run.ndjson") if args[0] == "run" else ()
        with pytest.raises(SystemExit) as exit_info:
            main.main([*args, *extra], prog_name="template-checks")
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        assert isinstance(exit_info.value.code, int)
        record = Path("run.ndjson").read_text(encoding="ascii") if extra else ""
        return Ended(
            exit_info.value.code, captured.out, captured.err, [json.loads(line) for line in record.splitlines()]
        )

    return call


def run(cli: Cli, *args: str, check: str = "same-text") -> Ended:
    return cli("run", "-c", check, *args)


def write(template: str, entries: str = "", *, own: str = "", name: str = "template-checks.toml") -> Path:
    """A target whose renderer `other` has this template, or breaks or refuses; `entries` stand at the end."""
    Path("other.jinja").write_text(template, encoding="utf-8")
    path = Path(name)
    text = (
        f"# The model's set-up.\n[target.m]\ntokenizer = {json.dumps(str(TOKENIZER))}  # small\n{own}\n"
        "[target.m.renderers]\nchat_template = { type = 'tokenizer' }\n"
        "other = { type = 'tokenizer', chat_template = 'other.jinja' }  # by hand\n"
    )
    if name == "pyproject.toml":
        text = (
            text.replace("[target.", "[tool.template-checks.target.") + "\n# Of ruff.\n[tool.ruff]\nline-length = 9\n"
        )
    path.write_text(text + entries, encoding="utf-8")
    return path


def entry(mark: str, **keys: str) -> str:
    """An entry; the values are TOML."""
    lines = [f"{key} = {value}" for key, value in {"reason": "'a debt'", **keys}.items()]
    return "\n".join(["", "[[target.m.accepted]]", f"fingerprint = '{mark}'", *lines, ""])


WITNESS = "[{ role = 'user', content = 'hi' }]"


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Fingerprints of the two defects of TWO, by their scaffold."""
    patch = pytest.MonkeyPatch()
    patch.chdir(tmp_path_factory.mktemp("marks"))
    write(TWO)
    found: dict[str, str] = {}

    def emit(event: object) -> None:
        if isinstance(event, Finding):
            found[event.fingerprint] = event.mismatch.summary

    config = load_config(Path("template-checks.toml")).target["m"]
    with opened(build_target("m", config, Path.cwd(), "")) as target:
        Search(target, plan(target, get_checks(("same-text",))), SearchOptions(PROFILE, 0), emit).run()
    patch.undo()
    (spaces,) = [mark for mark, summary in found.items() if "4 spaces" in summary]
    (other,) = [mark for mark in found if mark != spaces]
    return {"spaces": spaces, "text": other}


def kept(mark: str = "spaces") -> tuple[str, ...]:
    return ("accept", mark, "--reason", "r")
