"""Renderers of strings tokenized each on its own, tokenizers for them, and the lists of what merges."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend
from transformers import PreTrainedTokenizerFast

from template_checks.config.schema import load_config
from template_checks.config.target import Target, build_target
from template_checks.core.conversation import Conversation, Purpose
from template_checks.core.errors import Unsupported
from template_checks.core.rendering import ContentSpan, Encoded, Piece, Rendering
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.base import Context, Renderer, RendererOptions
from template_checks.seams.find import Seam, find_seams, seams_in
from template_checks.seams.merges import BoundaryMerge, Listing, crossing, find_merges
from template_checks.seams.vocabulary import Vocabulary, as_text
from tests.systems import ROOT

STOP = "<|stop|>"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


class Pieces(Renderer):
    """Strings tokenized each on its own; `{user}` and `{assistant}` stand for contents, `+` for an id that is added."""

    type = "pieces"
    summary = "for tests"
    purposes = frozenset({"train"})

    def __init__(self, tokenizer: Tokenizer, *pieces: str, system: str | None = None) -> None:
        super().__init__("pieces", RendererOptions(type="pieces"), Context(tokenizer, ROOT, system))
        self.pieces = pieces

    def render(self, conversation: Conversation, purpose: Purpose) -> Rendering:
        roles = conversation.roles
        if set(roles) != {role for piece in self.pieces for role in re.findall(r"\{(\w+)\}", piece)}:
            raise Unsupported("other roles")
        pieces, spans, length = [], [], 0
        for piece in self.pieces:
            if piece == "+":
                pieces.append(Piece("", Encoded(self.tokenizer.encode(STOP).ids)))
                continue
            text = ""
            for fixed, role in re.findall(r"([^{]*)(?:\{(\w+)\})?", piece):
                text += fixed
                if role:
                    message = roles.index(role)
                    content = conversation.messages[message].content
                    start = length + len(text)
                    spans.append(ContentSpan(message, start, start + len(content)))
                    text += content
            if text:
                pieces.append(Piece(text, self.tokenizer.encode(text)))
            length += len(text)
        return Rendering(tuple(pieces), tuple(spans))


def wrapped(backend: Backend, *controls: AddedToken) -> Tokenizer:
    backend.add_special_tokens([AddedToken(STOP, normalized=False, special=True), *controls])
    return Tokenizer(PreTrainedTokenizerFast(tokenizer_object=backend), source="tiny")


def merging(merges: list[tuple[str, str]], alphabet: str, pattern: str | None = None) -> Tokenizer:
    """BPE with these merges and no other tokens, spelled as byte-level vocabularies spell them."""
    names = dict.fromkeys([*alphabet, *(a + b for a, b in merges)])
    backend = Backend(models.BPE(vocab={name: index for index, name in enumerate(names)}, merges=merges))
    return wrapped(byte_level(backend, pattern))


def byte_level(backend: Backend, pattern: str | None) -> Backend:
    spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = [pre_tokenizers.Split(Regex(pattern), "isolated"), spell] if pattern else [spell]
    backend.pre_tokenizer = pre_tokenizers.Sequence(words)
    backend.decoder = decoders.ByteLevel()
    return backend


def trained(pattern: str, size: int = 400) -> Tokenizer:
    """Byte-level BPE with a pre-tokenizer, trained on the text of the embedded tokenizer."""
    backend = byte_level(Backend(models.BPE()), pattern)
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(training_texts(), trainer=trainer)
    return wrapped(backend)


def training_texts() -> list[str]:
    """The text of the embedded tokenizer, and runs of white space, in which most merges across seams are."""
    text = (ROOT / "scripts" / "training_text.txt").read_text(encoding="ascii", errors="ignore")
    runs = ("\n\n", "\n\n\n", "\n \n", "\n\t\n", "  ", "   ", "\n  \n\n")
    return [*text.splitlines(keepends=True), *(run for run in runs for _ in range(100))]


def listings(renderer: Renderer) -> list[Listing]:
    vocabulary = Vocabulary(renderer.tokenizer)
    return [find_merges(renderer, seam, vocabulary) for seam in find_seams(renderer)]


def ids(listing: Listing) -> set[int]:
    return {one.id for one in listing.crossings}


def texts_of(tokenizer: Tokenizer) -> list[str]:
    """Every token that is text."""
    return sorted({text for data, _ in Vocabulary(tokenizer).entries if (text := as_text(data))})


def brute_force(tokenizer: Tokenizer, head: str, contents: Iterable[str], tail: str = "") -> set[int]:
    """The tokens that reach across the end of `head` with any of the contents behind it."""
    encode = tokenizer.hf.backend_tokenizer.encode
    alone = encode(head, add_special_tokens=False).ids
    found: set[int] = set()
    for content in contents:
        whole = encode(head + content + tail, add_special_tokens=False)
        if whole.ids[: len(alone)] != alone:
            spans = zip(whole.ids, whole.offsets, strict=True)
            found |= {index for index, (start, end) in spans if start < len(head) < end}
    return found


def reached(renderer: Renderer, contents: list[str]) -> dict[object, set[int]]:
    """By kind of seam: the tokens that reach across, with every pair of contents."""
    found: dict[object, set[int]] = {}
    for user, assistant in product(contents, repeat=2):
        conversation = Conversation.of(("user", user), ("assistant", assistant))
        rendering = renderer.render(conversation, "train")
        for position, seam in seams_in(rendering, conversation):
            token = crossing(renderer.tokenizer, rendering.text, position)
            found.setdefault(seam.kind, set()).update(token[:1] if token else ())
    return found


def is_confirmed(one: BoundaryMerge, seam: Seam, renderer: Renderer) -> bool:
    """Encoded anew: whole with the token across the seam, in pieces without it."""
    rendering = renderer.render(one.conversation, one.conversation.purpose)
    positions = [at for at, other in seams_in(rendering, one.conversation) if other.kind == seam.kind]
    whole = renderer.tokenizer.encode(rendering.text)
    across = [
        index
        for index, (start, end) in zip(whole.ids, whole.offsets() or (), strict=True)
        if any(start < position < end for position in positions)
    ]
    return one.id in across and one.id in one.whole and whole.ids != rendering.ids and one.whole != one.pieces


def targets_of(path: Path) -> Iterator[Target]:
    config = load_config(path)
    for name, table in config.target.items():
        yield build_target(name, table, path.parent, str(path))
