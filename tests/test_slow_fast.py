"""The check slow-fast on real tokenizers in Python and in Rust."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers.pre_tokenizers import ByteLevel

from template_checks.checks.base import NotExercised
from template_checks.checks.registry import get_checks
from template_checks.config.target import Target
from template_checks.core.causes import Cause
from template_checks.sources.loading import load_tokenizer
from tests.systems import make_target

MERGES = [("a", "b"), ("ab", "c")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small GPT-2 tokenizer as it was published: vocabulary and merges, from which both are made."""
    names = sorted(ByteLevel.alphabet()) + ["".join(pair) for pair in MERGES] + ["<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({name: n for n, name in enumerate(names)}), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(map(" ".join, MERGES)) + "\n", encoding="utf-8")
    config = {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return tmp_path


def verdict(folder: Path) -> object:
    tokenizer = load_tokenizer(str(folder), folder=folder)
    target: Target = make_target(lambda _context: [], tokenizer=tokenizer)
    (check,) = get_checks(("slow-fast",))
    assert check.target is not None
    found = check.target(target)
    if isinstance(found, NotExercised):
        pytest.skip(found.reason)  # transformers 5 has no GPT-2 tokenizer in Python
    return found


def test_both_agree(folder: Path) -> None:
    assert verdict(folder) == []


def test_a_tokenizer_json_of_another_vocabulary_is_found(folder: Path) -> None:
    tokenizer = load_tokenizer(str(folder), folder=folder)
    tokenizer.hf.save_pretrained(folder)
    file = folder / "tokenizer.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    data["model"]["vocab"]["a"], data["model"]["vocab"]["0"] = data["model"]["vocab"]["0"], data["model"]["vocab"]["a"]
    file.write_text(json.dumps(data), encoding="utf-8")
    found = verdict(folder)
    assert isinstance(found, list)
    (mismatch,) = found
    assert mismatch.cause is Cause.OTHER_TOKENIZER
    assert mismatch.detail == ("in plain text",)
