"""The xtuner renderer: what it reads from a config of XTuner."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from template_checks.core.conversation import Conversation
from template_checks.core.errors import UsageError
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.xtuner.renderer import XTunerRenderer
from tests.xtuner import make

USED = "\ndata = dict(template_map_fn=dict(type=template_map_fn_factory, template=prompt_template))\n"


def configured(byte_level: Tokenizer, folder: Path, text: str, **options: Any) -> XTunerRenderer:
    (folder / "my_config.py").write_text(textwrap.dedent(text), encoding="utf-8")
    return make(byte_level, folder=folder, config="my_config.py", **options)


@pytest.mark.usefixtures("own_library")
@pytest.mark.parametrize(
    "expression",
    [
        "PROMPT_TEMPLATE.plain",
        'PROMPT_TEMPLATE["plain"]',
        "PROMPT_TEMPLATE[name]",
        "xtuner.utils.PROMPT_TEMPLATE.plain",
        '"xtuner.utils.PROMPT_TEMPLATE.plain"',
    ],
)
def test_a_config_names_its_template(byte_level: Tokenizer, tmp_path: Path, expression: str) -> None:
    text = f'raise SystemExit\nname = "plain"\nprompt_template = {expression}{USED}'
    renderer = configured(byte_level, tmp_path, text)
    assert renderer.template.name == "plain"
    assert renderer.notes == []
    assert [artefact.name for artefact in renderer.artefacts] == ["my_config.py", "xtuner 0.2.0: plain"]


@pytest.mark.usefixtures("own_library")
def test_what_a_config_says_besides(byte_level: Tokenizer, tmp_path: Path) -> None:
    text = """
        prompt_template = PROMPT_TEMPLATE.plain
        max_length = int(64 - (336 / 14) ** 2 / 12)
        pack_to_max_length = False
        SYSTEM = SYSTEM_TEMPLATE.alpaca
        """
    renderer = configured(byte_level, tmp_path, text)
    facts = renderer.describe()
    assert (facts["max_length"], facts["pack_to_max_length"], facts["SYSTEM"]) == (
        16,
        False,
        "SYSTEM_TEMPLATE.alpaca",
    )
    assert renderer.notes == [
        "my_config.py: no data set of this config uses prompt_template through template_map_fn_factory"
    ]
    long = Conversation.of(("user", "x" * 40), ("assistant", "y"))
    assert len(renderer.render(long, "train").ids) == 16
    assert configured(byte_level, tmp_path, text, max_length=7).max_length == 7


def test_a_template_written_out_in_a_config(byte_level: Tokenizer, tmp_path: Path) -> None:
    text = 'start = "<|im_start|>"\nprompt_template = dict(\n  INSTRUCTION=start + "{input}",\n  OTHER=1,\n)' + USED
    renderer = configured(byte_level, tmp_path, text)
    assert renderer.template.values == {"INSTRUCTION": "<|im_start|>{input}"}
    assert renderer.source_literals[0].where == "my_config.py:3"
    assert renderer.notes == ["my_config.py:2: XTuner passes over OTHER"]


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("x = 1", "sets no prompt_template", "my_config.py"),
        ("prompt_template = choose()", r"cannot be read: choose\(\)", "my_config.py:1"),
        ("\nprompt_template = dict(INSTRUCTION=f(1))", r"cannot be read: f\(1\)", "my_config.py:2"),
        ("prompt_template = PROMPT_TEMPLATE[f()]", "name cannot be read", "my_config.py:1"),
        ("prompt_template = PROMPT_TEMPLATE[0]", "name is not text", "my_config.py:1"),
        ("prompt_template = dict(SYSTEM='')", "no INSTRUCTION", "my_config.py:1"),
        ("prompt_template = dict(INSTRUCTION='{x}')", r"\{x\}", "my_config.py:1"),
        (
            "prompt_template = P.a\nif x:\n  prompt_template = P.b",
            "changed after it is set",
            "my_config.py:3",
        ),
        ("prompt_template = P.a\nprompt_template.SEP = 'x'", "changed after it is set", "my_config.py:2"),
        (
            "prompt_template = dict(INSTRUCTION='')\nmax_length = n()",
            r"max_length cannot be read",
            "my_config.py:2",
        ),
        ("prompt_template = dict(INSTRUCTION='')\nmax_length = 'x'", "not a whole number", "my_config.py:2"),
        (
            "prompt_template = dict(INSTRUCTION='')\nmax_length = 9\nmax_length *= 2",
            "max_length is changed",
            ":3",
        ),
        ("a = b\nb = a\nprompt_template = a", "cannot be read", "my_config.py:"),
        ("prompt_template = (", "not Python", "my_config.py:1"),
        ("a\0", "not Python", "my_config.py"),
    ],
)
def test_a_config_that_cannot_be_read_says_where(
    byte_level: Tokenizer, tmp_path: Path, text: str, what: str, where: str
) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        configured(byte_level, tmp_path, text)
    assert where in (caught.value.where or "")
    assert caught.value.hint or "not Python" in caught.value.what


def test_the_template_a_data_set_uses_counts(byte_level: Tokenizer, tmp_path: Path) -> None:
    head = "prompt_template = PROMPT_TEMPLATE.unused\nown = dict(INSTRUCTION='own {input}')\n"
    use = "d{0} = {{'type': 'xtuner.dataset.map_fns.template_map_fn_factory', 'template': {1}}}\n"
    renderer = configured(byte_level, tmp_path, head + use.format(1, "own") + use.format(2, "own"))
    assert renderer.template.values == {"INSTRUCTION": "own {input}"}
    with pytest.raises(UsageError, match="several prompt templates") as caught:
        configured(byte_level, tmp_path, head + use.format(1, "own") + use.format(2, "prompt_template"))
    assert caught.value.where == "my_config.py, lines 1, 2"


def test_a_config_that_inherits(byte_level: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sets no prompt_template") as caught:
        configured(byte_level, tmp_path, "_base_ = './other.py'")
    assert "inherits" in (caught.value.hint or "")


def test_a_config_that_is_not_there(byte_level: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read") as caught:
        make(byte_level, folder=tmp_path, config="nowhere.py")
    assert "nowhere.py" in (caught.value.where or "")
