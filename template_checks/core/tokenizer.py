"""One tokenizer as the target uses it: a thin gateway over a transformers tokenizer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from template_checks.core.rendering import Artefact, Encoded

_CACHE_LIMIT = 50_000
"""Texts remembered. 2,000 draws with all features encode about 9,000; 50,000 of 100 characters take 475 MB."""


class Tokenizer:
    """Encodes exactly as `transformers` does, remembers what it encoded, knows what was repaired on loading.

    Args:
        hf: a `PreTrainedTokenizerBase`.
        source: as configured, for messages.
        declared: the special tokens that the tokenizer's own config declares: id → string.
        repairs: sentences, one for each repair made on loading.
        artefacts: files it was read from.
        folder: the folder it was loaded from.
        notes: sentences the user should see: an unpinned revision, say.
    """

    def __init__(
        self,
        hf: Any,
        *,
        source: str,
        declared: dict[int, str] | None = None,
        repairs: tuple[str, ...] = (),
        artefacts: tuple[Artefact, ...] = (),
        folder: Path | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.hf = hf
        self.source = source
        self.declared = declared or {}
        self.repairs = repairs
        self.artefacts = artefacts
        self.folder = folder
        self.notes = notes
        self._backend = getattr(hf, "backend_tokenizer", None) if getattr(hf, "is_fast", False) else None
        self._plain: dict[str, Encoded] = {}

    def encode(self, text: str) -> Encoded:
        """Encode `text` without adding special tokens, as `hf(text, add_special_tokens=False)` does."""
        known = self._plain.get(text)
        if known is None:
            if len(self._plain) >= _CACHE_LIMIT:
                self._plain.clear()
            known = self._plain[text] = self._encode(text, add_special_tokens=False)
        return known

    def encode_with_special(self, text: str) -> Encoded:
        """Encode `text` as `hf(text)` does: the tokenizer adds BOS and EOS as configured."""
        return self._encode(text, add_special_tokens=True)

    def _encode(self, text: str, *, add_special_tokens: bool) -> Encoded:
        if self._backend is not None:
            # A call of hf with split_special_tokens leaves its mark on the backend until the next call.
            self._backend.encode_special_tokens = bool(getattr(self.hf, "split_special_tokens", False))
            encoding = self._backend.encode(text, add_special_tokens=add_special_tokens)
            return Encoded(encoding.ids, encoding)
        return Encoded(self.hf(text, add_special_tokens=add_special_tokens)["input_ids"])

    def decode(self, ids: Sequence[int]) -> str:
        """Decode as `hf.decode(ids)` does by default, special tokens included."""
        return str(self.hf.decode(list(ids), skip_special_tokens=False))

    def slow(self) -> Any:
        """The tokenizer in Python from the same files, or why there is none."""
        if self.folder is None or not getattr(self.hf, "is_fast", False):
            return "there is no fast tokenizer in files to compare with"
        from transformers import AutoTokenizer

        try:
            slow = AutoTokenizer.from_pretrained(
                self.folder, use_fast=False, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # whatever a tokenizer's files provoke in transformers
            return f"no slow tokenizer can be loaded ({type(error).__name__})"
        return "transformers has no slow tokenizer for these files" if slow.is_fast else slow

    @cached_property
    def bos_id(self) -> int | None:
        """The id of BOS, if the tokenizer has one."""
        value: int | None = self.hf.bos_token_id
        return value

    @cached_property
    def eos_id(self) -> int | None:
        """The id of EOS, if the tokenizer has one."""
        value: int | None = self.hf.eos_token_id
        return value

    @cached_property
    def pad_id(self) -> int | None:
        """The id of the padding token, if the tokenizer has one."""
        value: int | None = self.hf.pad_token_id
        return value

    @cached_property
    def adds_bos(self) -> bool:
        """Whether the tokenizer puts BOS in front when special tokens are added."""
        return self.bos_id is not None and self._encode("a", add_special_tokens=True).ids[:1] == (self.bos_id,)

    @cached_property
    def control_tokens(self) -> dict[str, int]:
        """Strings that become one control id wherever they occur in a text."""
        return {token.content: int(index) for index, token in self.hf.added_tokens_decoder.items() if token.content}

    @cached_property
    def control_ids(self) -> frozenset[int]:
        """Ids of the control tokens."""
        return frozenset(self.control_tokens.values())

    @cached_property
    def control_pattern(self) -> re.Pattern[str]:
        """Matches any control token in a text, the longest first; matches nothing where there are none."""
        names = sorted(self.control_tokens, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, names)) or r"(?!)")

    @cached_property
    def size(self) -> int:
        """Number of entries, added tokens included."""
        return len(self.hf)

    def token(self, index: int) -> str:
        """The vocabulary's own spelling of an id, for display only."""
        if not 0 <= index < self.size:
            return "(outside the vocabulary)"
        return str(self.hf.convert_ids_to_tokens(index))
