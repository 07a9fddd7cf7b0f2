"""How XTuner 0.2.0 encodes turns: its `encode_fn` and `get_bos_eos_token_ids`, restated.

Pinned by tests/test_xtuner_differential.py, which runs the real functions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from template_checks.core.errors import ArtefactError, RenderError
from template_checks.core.rendering import ContentSpan, Encoded, Piece, Rendering
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.xtuner.library import MIRRORED_VERSION
from template_checks.renderers.xtuner.templates import FormatString
from template_checks.renderers.xtuner.turns import IndexedContent

_WITHOUT_BOS = frozenset({"QWenTokenizer", "QWen2Tokenizer", "Qwen2TokenizerFast"})
_CHATGLM_BOS = (64790, 64792)
_UNTYPED = frozenset({"PreTrainedTokenizerFast", "TokenizersBackend", "PreTrainedTokenizer", "PythonBackend"})


def class_name_in_training(tokenizer: Tokenizer) -> str:
    """The name that the tokenizer's class has under transformers 4.48, which XTuner 0.2.0 runs on.

    XTuner decides by it whether there is a BOS; its list has `Qwen2TokenizerFast` but not `Qwen2Tokenizer`.
    There `AutoTokenizer` gives `Qwen2TokenizerFast`; transformers 5 calls the same class `Qwen2Tokenizer`.
    The slow `Qwen2Tokenizer` of 4.48 keeps its name. A tokenizer loaded without a class of its own counts as
    the class that its config declares.
    """
    name = type(tokenizer.hf).__name__
    if name in _UNTYPED:
        name = _declared_class(tokenizer) or name
    return "Qwen2TokenizerFast" if name == "Qwen2Tokenizer" and tokenizer.hf.is_fast else name


def _declared_class(tokenizer: Tokenizer) -> str | None:
    """`tokenizer_class` of tokenizer_config.json; transformers does not keep it on what it loads."""
    if tokenizer.folder is None:
        return None
    try:
        config = json.loads((tokenizer.folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        return str(config.get("tokenizer_class") or "") or None
    except (OSError, ValueError, AttributeError):
        return None


def bos_eos_ids(
    tokenizer: Tokenizer, tokenizer_class: str | None = None, *, needs_eos: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What XTuner 0.2.0's `get_bos_eos_token_ids` gives.

    Args:
        tokenizer: of the target.
        tokenizer_class: its class in training; None finds out.
        needs_eos: whether `encode_fn` will put EOS after an answer.

    Raises:
        ArtefactError: `encode_fn` would fail on every conversation: it needs a BOS or EOS that is not there.
    """
    name = tokenizer_class or class_name_in_training(tokenizer)
    qwen = name in _WITHOUT_BOS
    if not qwen and name != "ChatGLMTokenizer" and tokenizer.bos_id is None:
        raise ArtefactError(
            f"XTuner {MIRRORED_VERSION} cannot encode with a tokenizer that has no BOS (class {name}).",
            where=tokenizer.source,
            hint=f"if it was of another class in training, say so: tokenizer_class = one of "
            f"{', '.join(sorted(_WITHOUT_BOS))}, which get no BOS",
        )
    if (needs_eos or qwen) and tokenizer.eos_id is None:
        raise ArtefactError(
            f"XTuner {MIRRORED_VERSION} cannot encode with a tokenizer that has no EOS (class {name}).",
            where=tokenizer.source,
            hint="EOS follows each answer unless SUFFIX_AS_EOS is true; Qwen tokenizers must always have one",
        )
    bos = () if qwen else _CHATGLM_BOS if name == "ChatGLMTokenizer" else (tokenizer.bos_id,)
    eos = () if tokenizer.eos_id is None else (tokenizer.eos_id,)
    return tuple(i for i in bos if i is not None), eos


@dataclass(frozen=True, slots=True)
class Filled:
    """A template string filled in; `start` is the position of the contents of `parts`, one after the other."""

    text: str
    start: int | None
    parts: tuple[IndexedContent, ...]


def fill_in(template: FormatString, parts: tuple[IndexedContent, ...], **others: int) -> Filled:
    """Fill a template with contents, as `template_map_fn` does.

    Raises:
        RenderError: `str.format` fails on these contents.
    """
    value = "".join(content for _, content in parts)
    try:
        text, start = template.fill(value, **others)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RenderError(f"XTuner cannot fill {template.template!r}: {type(error).__name__}: {error}") from error
    return Filled(text, start, () if template.absent else parts)


@dataclass
class Draft:
    """A rendering in the making."""

    tokenizer: Tokenizer
    pieces: list[Piece] = field(default_factory=list)
    spans: list[ContentSpan] | None = field(default_factory=list)
    length: int = 0
    count: int = 0

    def add_ids(self, ids: tuple[int, ...], *, supervised: bool) -> None:
        """Ids that XTuner adds without text."""
        if ids:
            self.pieces.append(Piece("", Encoded(ids), supervised))
            self.count += len(ids)

    def add_text(self, filled: list[Filled], supervised: bool = False) -> None:
        """One string that XTuner tokenizes, made of filled templates; an empty one gives no ids."""
        start = self.length
        for part in filled:
            self._locate(part, start)
            start += len(part.text)
        text = "".join(part.text for part in filled)
        if text:
            piece = Piece(text, self.tokenizer.encode(text), supervised)
            self.pieces.append(piece)
            self.count += len(piece.encoded.ids)
            self.length += len(text)

    def _locate(self, filled: Filled, base: int) -> None:
        if not filled.parts or self.spans is None:
            return
        if filled.start is None:
            self.spans = None
            return
        start = base + filled.start
        for index, content in filled.parts:
            if self.spans and self.spans[-1].message > index:
                self.spans = None  # XTuner moves a system message in front of the user's: not in message order
                return
            self.spans.append(ContentSpan(index, start, start + len(content)))
            start += len(content)

    def rendering(self) -> Rendering:
        """The whole rendering, not truncated."""
        return Rendering(tuple(self.pieces), None if self.spans is None else tuple(self.spans))

    def truncated(self, max_length: int) -> Rendering:
        """The first `max_length` ids; the text and the contents end with the last one that has a position."""
        kept: list[Piece] = []
        left = max_length
        for piece in self.pieces:
            if left <= 0:
                break
            if len(piece.encoded.ids) > left:
                encoded = piece.encoded.truncated(left)
                offsets = encoded.offsets()
                if offsets is None:
                    self.spans = None
                text = piece.text if offsets is None else piece.text[: max(end for _, end in offsets)]
                piece = Piece(text if piece.text else "", encoded, piece.supervised)
            kept.append(piece)
            left -= len(piece.encoded.ids)
        length = sum(len(piece.text) for piece in kept)
        if self.spans is not None:
            self.spans = [
                ContentSpan(span.message, span.start, min(span.end, length))
                for span in self.spans
                if span.start < length
            ]
        self.pieces = kept
        return self.rendering()
