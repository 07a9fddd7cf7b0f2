"""A tokenizer's vocabulary as bytes, and how far it is understood how that tokenizer cuts a text."""

from __future__ import annotations

import json
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

from template_checks.core.errors import ArtefactError
from template_checks.core.tokenizer import Tokenizer

_CONTINUING = range(0x80, 0xC0)
"""Bytes of a character after its first."""

VocabularyEntry = tuple[bytes, int]
"""(bytes that a token stands for, its id)."""


class Vocabulary:
    """All tokens of a tokenizer, found by their beginning or end.

    `exact` says that a text is cut by merges alone, so that two texts on both sides of a token boundary do not
    influence each other. `composes` says that letters and marks are composed (NFC) before a text is cut. `doubts` are
    reasons why a token may occur in a text that does not hold its bytes as they are listed here, or may do so by
    rules that are not followed here. `spacer` is a control token that may be written into a content to end a text.

    Raises:
        ArtefactError: the tokenizer gives no character offsets.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        if not getattr(tokenizer.hf, "is_fast", False):
            raise ArtefactError(
                "Seams can be listed only for a tokenizer that gives character offsets, and this one gives none.",
                where=tokenizer.source,
                hint="a tokenizer with a tokenizer.json does",
            )
        backend = tokenizer.hf.backend_tokenizer
        self.tokenizer = tokenizer
        self._model = backend.model
        self._added = {int(index): token for index, token in tokenizer.hf.added_tokens_decoder.items()}
        self._normalizers, self._words = _parts(backend.normalizer), _parts(backend.pre_tokenizer)
        self._processors = _parts(backend.post_processor)
        self._byte_level = any(part["type"] == "ByteLevel" for part in [*self._words, *_parts(backend.decoder)])
        entries: list[VocabularyEntry] = [(token.content.encode(), index) for index, token in self._added.items()]
        for name, index in backend.get_vocab(with_added_tokens=False).items():
            if index not in self._added and (data := self._spelled(name)) is not None:
                entries.append((data, index))
        self.entries = sorted(entries)
        self._backwards = sorted((data[::-1], index) for data, index in entries)
        self.longest = max((len(data) for data, _ in entries), default=0)
        self.spacer = min((t.content for t in self._added.values() if not (t.lstrip or t.rstrip)), key=len, default="")
        self.composes = any(part["type"] == "NFC" for part in self._normalizers)
        self.doubts = tuple(self._doubts())
        self.exact = not self.doubts and all(map(_keeps_whole, self._words))

    def spelling(self, text: str) -> bytes:
        """The bytes of a text as tokens hold them."""
        text = unicodedata.normalize("NFC", text) if self.composes else text
        return (text if self._byte_level else text.replace("\u2581", " ")).encode()

    def starting(self, data: bytes) -> Iterator[VocabularyEntry]:
        """The tokens that start with `data`."""
        return _from(self.entries, data)

    def ending(self, data: bytes) -> Iterator[VocabularyEntry]:
        """The tokens that end with `data`."""
        return ((entry[::-1], index) for entry, index in _from(self._backwards, data[::-1]))

    def is_control(self, index: int) -> bool:
        """Whether it is searched for in a text before anything else is done with that text."""
        return index in self._added

    def absorbing(self, *, left: bool) -> list[tuple[int, str]]:
        """Control tokens that take in the white space to the left, or to the right, of them: (id, name)."""
        return [(i, t.content) for i, t in self._added.items() if (t.lstrip if left else t.rstrip)]

    def stands_alone(self, index: int) -> bool:
        """Whether merges make this token out of its own text. A token that they do not make never occurs."""
        if self.is_control(index) or not self._is_bpe:
            return True
        made = self._model.tokenize(self._model.id_to_token(index))
        return [token.id for token in made] == [index]

    @property
    def _is_bpe(self) -> bool:
        return type(self._model).__name__ == "BPE"

    def _spelled(self, name: str) -> bytes | None:
        if self._byte_level:
            bytes_of = _bytes_by_character()
            return bytes(bytes_of[c] for c in name) if all(c in bytes_of for c in name) else None
        if name.startswith("<0x") and len(name) == 6:
            return bytes([int(name[3:5], 16)])
        if type(self._model).__name__ == "WordPiece":
            return name.removeprefix(self._model.continuing_subword_prefix).encode()
        return name.replace("\u2581", " ").encode()

    def _doubts(self) -> Iterator[str]:
        model, kind = self._model, type(self._model).__name__
        if not self._is_bpe:
            yield f"the tokenizer's model is {kind}, for which completeness is not shown"
        else:
            if model.dropout:
                yield "the tokenizer leaves out merges at random"
            if model.continuing_subword_prefix or model.end_of_word_suffix:
                yield "the tokenizer's tokens tell where a word begins or ends"
            if not self._byte_level and not model.byte_fallback:
                yield "characters that the tokenizer does not know become one token together"
            if model.ignore_merges and all(map(_keeps_whole, self._words)):
                yield "the tokenizer takes a whole text as one token where it can"
        rewriting = [part["type"] for part in self._normalizers if not _is_harmless(part)]
        if rewriting:
            yield f"the tokenizer's normalizer ({', '.join(rewriting)}) rewrites text"
        if any(part.get("add_prefix_space") or part.get("prepend_scheme", "never") != "never" for part in self._words):
            yield "the tokenizer puts a space in front of a text"
        if any(part.get("trim_offsets") for part in self._processors):
            yield "the tokenizer's offsets leave out white space"
        if any(token.single_word for token in self._added.values()):
            yield "the tokenizer has control tokens that count only as whole words"
        names = [token.content for token in self._added.values()]
        if {name[0] for name in names} & {name[-1] for name in names}:
            yield "the tokenizer's control tokens can overlap"
        if not self.spacer:
            yield "the tokenizer has no control token that ends a text"


def _from(entries: list[VocabularyEntry], data: bytes) -> Iterator[VocabularyEntry]:
    for position in range(bisect_left(entries, (data,)), len(entries)):
        if not entries[position][0].startswith(data):
            break
        yield entries[position]


def _parts(component: Any) -> list[dict[str, Any]]:
    """The steps of a normalizer, pre-tokenizer, post-processor or decoder, as tokenizer.json writes them."""
    if component is None:
        return []
    waiting, found = [json.loads(component.__getstate__())], []
    while waiting:
        part = waiting.pop(0)
        if part["type"] == "Sequence":
            waiting[:0] = next(value for key, value in part.items() if key != "type")
        else:
            found.append(part)
    return found


def _keeps_whole(part: dict[str, Any]) -> bool:
    """Whether this step of a pre-tokenizer cuts nothing."""
    option = {"ByteLevel": "use_regex", "Metaspace": "split"}.get(part["type"])
    return option is not None and part.get(option) is False


def _is_harmless(part: dict[str, Any]) -> bool:
    """Whether what this step of a normalizer rewrites is accounted for.

    NFC is judged at the seam; a space that becomes U+2581 is undone by the spelling of the tokens.
    """
    if part["type"] == "Replace":
        return (part["pattern"], part["content"]) == ({"String": " "}, "\u2581")
    return bool(part["type"] == "NFC")


@cache
def _bytes_by_character() -> dict[str, int]:
    """How byte-level vocabularies spell bytes: printable ones as themselves, others from U+0100 on (as GPT-2 did)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


# Bytes as text: a token may begin or end within a character


def as_text(data: bytes) -> str | None:
    """The text; None where it begins or ends within a character."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def completed(data: bytes) -> Iterator[str]:
    """Texts that begin with `data`: itself, or with its last character completed."""
    for missing in range(4):
        others = [(0x80, 0x90, 0xA0, 0xBF)] * (missing - 1)
        tails = product(_CONTINUING, *others) if missing else [()]
        texts = [text for tail in tails if (text := as_text(data + bytes(tail))) is not None]
        if texts:
            yield from texts
            return


def preceded(data: bytes) -> Iterator[str]:
    """Texts that end with `data`: itself, or with its first character completed."""
    begun = next((n for n, byte in enumerate(data) if byte not in _CONTINUING), len(data))
    if begun == 0 or begun > 3 or as_text(data[begun:]) is None:
        yield from filter(None, [as_text(data)])
        return
    for missing in range(4 - begun):
        for head in product(range(0xC2, 0xF5), *[_CONTINUING] * missing):
            yield from filter(None, [as_text(bytes(head) + data)])
