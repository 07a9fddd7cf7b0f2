"""Repair of converted tokenizers that hold a declared special token under another name.

Such a tokenizer.json has, say, `[UNUSED_TOKEN_145]` at id 92542, where tokenizer_config.json declares
`<|im_end|>`. transformers then finds no `<|im_end|>` in the vocabulary and appends it, with an id beyond the
embedding table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

Renames = dict[int, tuple[str, str]]
"""id → (name in the vocabulary, name that is declared)."""


def declared_tokens(config: dict[str, Any], tokenizer_json: dict[str, Any] | None) -> dict[int, str]:
    """The special tokens a tokenizer declares: id → string.

    From `added_tokens_decoder` of its config; where it has none, from `added_tokens` of tokenizer.json.
    """
    declared: dict[int, str] = {}
    entries = config.get("added_tokens_decoder")
    if isinstance(entries, dict):
        for key, entry in entries.items():
            content = entry.get("content") if isinstance(entry, dict) else entry
            if str(key).isdecimal() and isinstance(content, str):
                declared[int(key)] = content
    if declared or not tokenizer_json:
        return declared
    return {entry["id"]: entry["content"] for entry in tokenizer_json.get("added_tokens") or ()}


def needed_renames(declared: dict[int, str], tokenizer_json: dict[str, Any]) -> Renames:
    """Entries that have another name than declared, where the declared name is nowhere in the vocabulary.

    An entry that merges are made of is an ordinary token and is left alone: renaming it would change how text
    is cut.
    """
    names = dict(_vocabulary(tokenizer_json))
    names.update((entry["id"], entry["content"]) for entry in tokenizer_json.get("added_tokens") or ())
    present = set(names.values())
    renames: Renames = {}
    for index, content in sorted(declared.items()):
        name = names.get(index)
        if name is not None and content not in present:
            renames[index] = (name, content)
            present.add(content)
    if renames:
        merged = _merged_tokens(tokenizer_json)
        renames = {index: pair for index, pair in renames.items() if pair[0] not in merged}
    return renames


def sentences(renames: Renames) -> tuple[str, ...]:
    """Each repair in words."""
    return tuple(
        f"vocabulary entry {index} {old!r} renamed to {new!r}, as tokenizer_config.json declares"
        for index, (old, new) in renames.items()
    )


@contextmanager
def repaired_copy(folder: Path, tokenizer_json: dict[str, Any], renames: Renames) -> Iterator[Path]:
    """A temporary folder like `folder`, with entries of its tokenizer.json renamed; the original stays."""
    with TemporaryDirectory(prefix="template-checks-") as scratch:
        copy = Path(scratch)
        for path in folder.iterdir():
            if path.name != "tokenizer.json":
                (copy / path.name).symlink_to(path.resolve())  # links, since a folder may hold model weights
        text = json.dumps(_renamed(tokenizer_json, renames), ensure_ascii=False)
        (copy / "tokenizer.json").write_text(text, encoding="utf-8")
        yield copy


def _vocabulary(tokenizer_json: dict[str, Any]) -> Iterator[tuple[int, str]]:
    vocab = tokenizer_json["model"]["vocab"]
    if isinstance(vocab, dict):
        yield from ((index, name) for name, index in vocab.items())
    else:  # Unigram: a list of [name, score]
        yield from ((index, entry[0]) for index, entry in enumerate(vocab))


def _merged_tokens(tokenizer_json: dict[str, Any]) -> set[str]:
    tokens: set[str] = set()
    for merge in tokenizer_json["model"].get("merges") or ():
        left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
        tokens.update((left, right, left + right))
    return tokens


def _renamed(tokenizer_json: dict[str, Any], renames: Renames) -> dict[str, Any]:
    model = tokenizer_json["model"]
    vocab: dict[str, int] | list[Any]
    if isinstance(model["vocab"], dict):
        vocab = {renames.get(index, (None, name))[1]: index for name, index in model["vocab"].items()}
    else:
        vocab = [[renames.get(i, (None, name))[1], score] for i, (name, score) in enumerate(model["vocab"])]
    added = [
        {**entry, "content": renames.get(entry["id"], (None, entry["content"]))[1]}
        for entry in tokenizer_json.get("added_tokens") or ()
    ]
    return {**tokenizer_json, "added_tokens": added, "model": {**model, "vocab": vocab}}
