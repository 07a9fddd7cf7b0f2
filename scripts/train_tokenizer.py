"""Train the embedded tokenizer: laid out like InternLM2's, small, and made of this repository's own text.

    python scripts/train_tokenizer.py [OUTPUT_FOLDER]

Running it again reproduces the committed files byte for byte.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, trainers

ROOT = Path(__file__).resolve().parent.parent
TEXT = ROOT / "scripts" / "training_text.txt"
OUTPUT = ROOT / "fixtures" / "examples" / "internlm2" / "tokenizer"

SPACE = "\u2581"
FIRST = ("<unk>", "<s>", "</s>")
LAST = ("<|plugin|>", "<|interpreter|>", "<|action_end|>", "<|action_start|>", "<|im_end|>", "<|im_start|>")
MERGES = 1800
MUST_BE_ONE = ("\n", "\n\n", " " * 2, " " * 4, " " * 8, "  \n", " the", "user", "assistant", "system")
MUST_BE_TWO = ("\n" + " " * 4, "\n\n" + " " * 4)  # as in InternLM2: indentation is a token of its own

# Merges are learned inside these and nowhere else: a word with the space before it, one to three digits,
# newlines (with two spaces before, as Markdown breaks lines), spaces, marks. The tokenizer itself has no
# pre-tokenizer, as InternLM2's has none, so that what is learned applies across every boundary of a template.
CHUNK = re.compile(r" ?[A-Za-z]+| ?[0-9]{1,3}|  \n|\n+|\t+| +|[\u4e00-\u9fff]+| ?[^\sA-Za-z0-9\u4e00-\u9fff]+")

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def chunks(text: str) -> list[str]:
    """The pieces of the training text that merges are learned in, spaces already replaced."""
    found = CHUNK.findall(text)
    # A long indentation would be learned at the cost of the short ones: show each width on its own.
    found += [" " * width for width in (2, 4, 8, 16) for _ in range(400 // width)]
    found += ["\n\n"] * 200 + ["  \n"] * 20
    return [chunk.replace(" ", SPACE) for chunk in found]


def learn(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The alphabet, in code point order, and the merges, in the order they were learned."""
    pieces = chunks(text)
    alphabet = sorted({character for piece in pieces for character in piece})
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + MERGES, min_frequency=2, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.train_from_iterator(pieces, trainer=trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return alphabet, [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in merges]


def added(index: int, content: str) -> dict[str, Any]:
    """One special token as tokenizer.json writes it."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": index, "content": content, **flags, "special": True}


def after_bos(sequence: str, kind: int) -> list[dict[str, Any]]:
    """A sequence with BOS in front, as the post-processor writes it."""
    return [{"SpecialToken": {"id": "<s>", "type_id": kind}}, {"Sequence": {"id": sequence, "type_id": kind}}]


def tokenizer_json(alphabet: list[str], merges: list[tuple[str, str]]) -> dict[str, Any]:
    """tokenizer.json: special tokens, 256 bytes, alphabet, merges, special tokens."""
    tokens = [
        *FIRST,
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *alphabet,
        *(a + b for a, b in merges),
        *LAST,
    ]
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(vocab[token], token) for token in (*FIRST, *LAST)],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [{"type": "Replace", "pattern": {"String": " "}, "content": SPACE}],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": after_bos("A", 0),
            "pair": [*after_bos("A", 0), *after_bos("B", 1)],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [vocab["<s>"]], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": [f"{left} {right}" for left, right in merges],
        },
    }


def tokenizer_config(special: list[dict[str, Any]]) -> dict[str, Any]:
    """tokenizer_config.json, with a class that transformers has in every version."""
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in special
        },
        "additional_special_tokens": list(reversed(LAST)),
        "bos_token": "<s>",
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "</s>",
        "model_max_length": 32768,
        "pad_token": "</s>",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
    }


def train(output: Path) -> None:
    """Write the three files.

    Raises:
        SystemExit: a text is not as many tokens as it has to be.
    """
    content = tokenizer_json(*learn(TEXT.read_text(encoding="utf-8")))
    vocab = content["model"]["vocab"]
    trained = Tokenizer.from_str(json.dumps(content))
    for expected, texts in ((1, MUST_BE_ONE), (2, MUST_BE_TWO)):
        for text in texts:
            ids = trained.encode(text, add_special_tokens=False).ids
            if len(ids) != expected:
                raise SystemExit(f"{text!r} is {len(ids)} tokens, not {expected}: {ids}")
    files = {
        "tokenizer.json": content,
        "tokenizer_config.json": tokenizer_config(content["added_tokens"]),
        "generation_config.json": {
            "bos_token_id": 1,
            "eos_token_id": [2, vocab["<|im_end|>"]],
            "pad_token_id": 2,
        },
    }
    output.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
        (output / name).write_text(text, encoding="utf-8", newline="\n")
    print(f"{len(vocab)} entries, {sum((output / name).stat().st_size for name in files)} bytes in {output}")


if __name__ == "__main__":
    train(Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT)
