"""Projects of users for pytester: configurations, and the records that their sessions write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tokenizers
import transformers

from template_checks.config.examples import shipped_folder
from template_checks.record.models import schema

assert transformers.PreTrainedTokenizerFast and tokenizers
"""Loaded here, because pytester forgets modules that a run in this process loads, and numpy loads only once."""

Line = dict[str, Any]

EXAMPLES = shipped_folder("examples")
TOKENIZER = EXAMPLES / "internlm2" / "tokenizer"

BOS_TWICE = "{{ bos_token }}{{ bos_token }}"
TURNS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BOTH = ("--check-only", "single-bos", "--check-only", "special-ids")
WITNESS = 'witness = [{ role = "user", content = "hi" }]'


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty project without this repository's settings."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return pytester


def write_toml(
    folder: Path, *, target: str = "", template: str | None = None, renderers: str = "", name: str = "m"
) -> None:
    """A target over the embedded tokenizer, with its own template or a given one."""
    own = ""
    if template is not None:
        (folder / "template.jinja").write_text(template, encoding="utf-8")
        own = ', chat_template = "template.jinja"'
    with (folder / "template-checks.toml").open("a", encoding="utf-8") as file:
        file.write(
            f"[target.{name}]\ntokenizer = {json.dumps(str(TOKENIZER))}\n{target}\n"
            f'[target.{name}.renderers]\nchat_template = {{ type = "tokenizer"{own} }}\n{renderers}\n'
        )


def use_example(folder: Path, name: str) -> None:
    """An example as the project's own configuration."""
    text = (EXAMPLES / name / "template-checks.toml").read_text(encoding="utf-8")
    text = text.replace('"tokenizer"\nref', f"{json.dumps(str(TOKENIZER))}\nref")
    text = text.replace('"../internlm2/tokenizer"', json.dumps(str(TOKENIZER)))
    text = text.replace('"web_demo.py"', json.dumps(str(EXAMPLES / name / "web_demo.py")))
    (folder / "template-checks.toml").write_text(text, encoding="utf-8")


def read_record(path: Path) -> list[Line]:
    """A record whose lines are as the schema of records has them, the header first and the footer last."""
    lines: list[Line] = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    for line in lines:
        jsonschema.validate(line, schema())
    kinds = [line["kind"] for line in lines]
    assert (kinds[0], kinds[-1], kinds.count("header"), kinds.count("footer")) == ("header", "footer", 1, 1)
    return lines


def ends(lines: list[Line]) -> dict[str, str]:
    """How the items of a record ended."""
    return {
        f"{line['target']}::{line['check']}[{line['renderer']}-{line['purpose']}]": line["outcome"]
        for line in lines
        if line["kind"] == "outcome"
    }
