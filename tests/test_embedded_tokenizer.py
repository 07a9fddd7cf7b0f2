"""The embedded tokenizer: made by its script, laid out like InternLM2's, the same in every transformers."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from template_checks.core.tokenizer import Tokenizer
from template_checks.sources.generation import load_generation_config
from template_checks.sources.loading import load_tokenizer

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "fixtures" / "examples" / "internlm2" / "tokenizer"
FILES = ("generation_config.json", "tokenizer.json", "tokenizer_config.json")

PIECES = [
    "<|im_start|>",
    "<|im_end|>",
    "<s>",
    "</s>",
    "\n",
    "\n\n",
    "    ",
    " ",
    "\t",
    "user",
    "assistant",
    "é",
    "你好",
    "𝄞",
    "▁",
]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=8).map("".join)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer(str(FOLDER), folder=ROOT)


def test_the_script_reproduces_the_committed_files(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "scripts" / "train_tokenizer.py"))["train"](tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 300_000


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", ()),
        ("\n", (260,)),
        ("\n\n", (478,)),
        ("\n\n\n", (710,)),
        ("  ", (476,)),
        ("        ", (480,)),
        ("    <|im_start|>", (477, 1064)),
        ("<|im_end|>\n    <|im_start|>assistant\n", (1063, 260, 477, 1064, 629, 260)),
        ("You are a helpful assistant.", (307, 493, 598, 482, 1024, 731, 274)),
        ("你好", (365, 394)),
        ("𝄞é", (243, 160, 135, 161, 198, 172)),
        ("<eoa>", (287, 318, 328, 314, 289)),
        ("<s>a</s><unk>", (1, 314, 2, 0)),
    ],
)
def test_pinned_ids(tokenizer: Tokenizer, text: str, ids: tuple[int, ...]) -> None:
    assert tokenizer.encode(text).ids == ids
    assert tokenizer.encode_with_special(text).ids == (1, *ids)


def test_special_tokens(tokenizer: Tokenizer) -> None:
    names = [
        "<|plugin|>",
        "<|interpreter|>",
        "<|action_end|>",
        "<|action_start|>",
        "<|im_end|>",
        "<|im_start|>",
    ]
    expected = dict(enumerate(["<unk>", "<s>", "</s>"])) | dict(enumerate(names, start=1059))
    assert tokenizer.declared == expected
    assert tokenizer.control_tokens == {name: index for index, name in expected.items()}
    assert (tokenizer.size, tokenizer.bos_id, tokenizer.eos_id, tokenizer.adds_bos) == (1065, 1, 2, True)
    assert tokenizer.repairs == ()


def test_the_chat_template(tokenizer: Tokenizer) -> None:
    messages = [{"role": "user", "content": " hi\n"}]
    render: Any = tokenizer.hf.apply_chat_template
    assert render(messages, tokenize=False) == "<s><|im_start|>user\n hi\n<|im_end|>\n"
    assert render(messages, tokenize=False, add_generation_prompt=True).endswith("<|im_end|>\n<|im_start|>assistant\n")


def test_generation_config(tokenizer: Tokenizer) -> None:
    stops, artefact = load_generation_config(None, tokenizer.folder)
    assert [stop.id for stop in stops or ()] == [2, tokenizer.control_tokens["<|im_end|>"]]
    assert artefact is not None


@given(text=TEXTS)
@settings(deadline=None)
def test_it_encodes_as_transformers_does(tokenizer: Tokenizer, text: str) -> None:
    assert list(tokenizer.encode(text).ids) == tokenizer.hf(text, add_special_tokens=False)["input_ids"]
    assert list(tokenizer.encode_with_special(text).ids) == tokenizer.hf(text)["input_ids"]


@given(text=st.text(alphabet=st.characters(exclude_characters="▁", exclude_categories=["Cs"])))
@settings(max_examples=200, deadline=None)
def test_nothing_is_lost(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.hf.decode(list(tokenizer.encode(text).ids)) == text
