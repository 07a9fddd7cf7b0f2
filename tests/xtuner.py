"""Templates of our own for the xtuner renderer, and a tiny tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from template_checks.core.conversation import Conversation
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.base import Context
from template_checks.renderers.xtuner.renderer import XTunerOptions, XTunerRenderer

CHATML = {
    "SYSTEM": "<|im_start|>system\n{system}<|im_end|>\n",
    "INSTRUCTION": "<|im_start|>user\n{input}<|im_end|>\n<|im_start|>assistant\n",
    "SUFFIX": "<|im_end|>",
    "SUFFIX_AS_EOS": True,
    "SEP": "\n",
    "STOP_WORDS": ["<|im_end|>"],
}


EOS_EACH_TURN = {"INSTRUCTION": "U{input}A", "SYSTEM": "S{system}", "SUFFIX": ".", "SEP": "\n"}


TEMPLATES = """
from mmengine.config import ConfigDict

raise RuntimeError("never executed")

PROMPT_TEMPLATE = ConfigDict(
    plain=dict(INSTRUCTION="Q: {input}\\nA: ", SEP="\\n"),
    joined=dict(
        SYSTEM=("one " "{system} " + "two"),
        INSTRUCTION="{input}",
        SUFFIX_AS_EOS=True,
    ),
    shown={"INSTRUCTION": "{input}", "STOP_WORDS": ["x"], "NOVELTY": 1},
    wild=dict(INSTRUCTION=something()),
)
"""


def tiny(cls: type[Any] = PreTrainedTokenizerFast, folder: Path | None = None, **special: str) -> Tokenizer:
    """Bytes, and one merge: two newlines."""
    tokens = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "ĊĊ"]
    backend = Backend(models.BPE({token: i for i, token in enumerate(tokens)}, [("Ċ", "Ċ")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    special = special or {"bos_token": "<s>", "eos_token": "</s>"}
    hf = cls(tokenizer_object=backend, additional_special_tokens=["<|im_start|>", "<|im_end|>"], **special)
    return Tokenizer(hf, source="tiny", folder=folder)


def make(tokenizer: Tokenizer, template: Any = None, folder: Path = Path(), **options: Any) -> XTunerRenderer:
    given = XTunerOptions(type="xtuner", template=template, **options)
    return XTunerRenderer("training", given, Context(tokenizer, folder))


def located(rendering: Any) -> dict[int, str] | None:
    if rendering.contents is None:
        return None
    return {span.message: rendering.text[span.start : span.end] for span in rendering.contents}


ASKED = Conversation.of(("system", "be nice"), ("user", "hi"))


ANSWERED = Conversation.of(("system", "be nice"), ("user", "hi"), ("assistant", "yo"))
