"""Renderings: what one system makes of one conversation, with how the text was cut for tokenization kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

IGNORE_INDEX = -100
"""Label of a token that is not supervised (torch's cross-entropy ignore index)."""

CharSpan = tuple[int, int]


class Encoded:
    """What a tokenizer made of one string: ids now, character offsets only when somebody asks.

    Args:
        ids: token ids.
        encoding: a `tokenizers.Encoding`, whose offsets index the string that was encoded, or None where the
            tokenizer gives no offsets.
    """

    __slots__ = ("_encoding", "_offsets", "ids")

    def __init__(self, ids: Sequence[int], encoding: Any | None = None) -> None:
        self.ids: tuple[int, ...] = tuple(ids)
        self._encoding = encoding
        self._offsets: list[CharSpan] | None = None

    def offsets(self) -> list[CharSpan] | None:
        """(start, end) in characters of the encoded string for each id; None where unknown."""
        if self._encoding is None:
            return None if self.ids else []
        if self._offsets is None:
            self._offsets = self._encoding.offsets[: len(self.ids)]
        return self._offsets

    def __getstate__(self) -> tuple[tuple[int, ...], list[CharSpan] | None]:
        return self.ids, self.offsets()

    def __setstate__(self, state: tuple[tuple[int, ...], list[CharSpan] | None]) -> None:
        """The tokenizer's own object stays in its process; its offsets go along."""
        self.ids, self._offsets = state
        self._encoding = None if self._offsets is None else ()

    def truncated(self, length: int) -> Encoded:
        """The first `length` ids."""
        return Encoded(self.ids[:length], self._encoding)


@dataclass(frozen=True, slots=True)
class Piece:
    """One string as a system hands it to its tokenizer, with what came back.

    A system that adds ids of its own (BOS, EOS) has a piece with empty text for them.
    `supervised` is None where the system says nothing about loss.
    """

    text: str
    encoded: Encoded
    supervised: bool | None = None


@dataclass(frozen=True, slots=True)
class ContentSpan:
    """Where the content of message `message` (0-based) is in a rendering's text."""

    message: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of a rendering's text: the content of one message, or the scaffold in front of it.

    For scaffold, `message` is the message that follows; the last scaffold has the number of messages.
    """

    kind: Literal["scaffold", "content"]
    message: int
    start: int
    end: int


@dataclass(frozen=True)
class Rendering:
    """Pieces in order; ids are their concatenation.

    `contents` locates message contents in `text`, in message order; messages whose content is absent are left out;
    None means they could not be located.
    """

    pieces: tuple[Piece, ...]
    contents: tuple[ContentSpan, ...] | None = None
    has_text: bool = True

    @cached_property
    def text(self) -> str:
        """The text as tokenized, special tokens added by the system not included."""
        return "".join(piece.text for piece in self.pieces)

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """Token ids."""
        return tuple(i for piece in self.pieces for i in piece.encoded.ids)

    @cached_property
    def labels(self) -> tuple[int, ...] | None:
        """The id where supervised, -100 elsewhere; None where the system gives no labels."""
        if any(piece.supervised is None for piece in self.pieces):
            return None
        return tuple(i if piece.supervised else IGNORE_INDEX for piece in self.pieces for i in piece.encoded.ids)

    @cached_property
    def token_spans(self) -> list[CharSpan] | None:
        """(start, end) in characters of `text` for each id; added ids have an empty span; None where unknown."""
        spans: list[CharSpan] = []
        base = 0
        for piece in self.pieces:
            if not piece.text:
                spans.extend([(base, base)] * len(piece.encoded.ids))
                continue
            offsets = piece.encoded.offsets()
            if offsets is None:
                return None
            spans += offsets if base == 0 else [(base + start, base + end) for start, end in offsets]
            base += len(piece.text)
        return spans

    @cached_property
    def added(self) -> list[bool]:
        """For each id, whether the system added it, without text of its own."""
        flags: list[bool] = []
        for piece in self.pieces:
            if not piece.text:
                flags.extend([True] * len(piece.encoded.ids))
                continue
            offsets = piece.encoded.offsets()
            if offsets is None:
                flags.extend([False] * len(piece.encoded.ids))
            else:
                flags.extend(start == end for start, end in offsets)
        return flags

    @cached_property
    def seams(self) -> frozenset[int]:
        """Character positions in `text` at which one piece ends and the next begins."""
        positions, base = set(), 0
        for piece in self.pieces[:-1]:
            base += len(piece.text)
            if piece.text:
                positions.add(base)
        return frozenset(positions - {len(self.text)})

    def segments(self, messages: int) -> list[Segment] | None:
        """Cut the text into scaffold and content; None where contents could not be located.

        Args:
            messages: how many messages the conversation has; the last scaffold gets this number.
        """
        if self.contents is None:
            return None
        if messages not in self._segments:
            self._segments[messages] = self._cut(self.contents, messages)
        return self._segments[messages]

    def scaffold_before(self, message: int, messages: int) -> str | None:
        """The scaffold in front of message `message` (0-based); None where it is not there, or cannot be located.

        Args:
            message: its number; that of the last scaffold is `messages`.
            messages: how many messages the conversation has.
        """
        for segment in self.segments(messages) or ():
            if (segment.kind, segment.message) == ("scaffold", message):
                return self.text[segment.start : segment.end]
        return None

    @cached_property
    def _segments(self) -> dict[int, list[Segment]]:
        return {}

    def _cut(self, contents: tuple[ContentSpan, ...], messages: int) -> list[Segment]:
        segments, position = [], 0
        for span in contents:
            segments.append(Segment("scaffold", span.message, position, span.start))
            segments.append(Segment("content", span.message, span.start, span.end))
            position = span.end
        segments.append(Segment("scaffold", messages, position, len(self.text)))
        return segments


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop as a system is configured with it.

    Either `id` or `text` is given. `by_text` says that the system compares decoded text, so that a string of several
    tokens can stop it. `source` is where it is configured: file and line, or key.
    """

    source: str
    id: int | None = None
    text: str | None = None
    by_text: bool = False


@dataclass(frozen=True, slots=True)
class SourceLiteral:
    """A literal of an artefact from which scaffold comes, with its source."""

    value: str
    where: str
    name: str


@dataclass(frozen=True, slots=True)
class Artefact:
    """A file or text a result depends on; `path` is where the file lies, None for a text."""

    name: str
    sha256: str
    path: Path | None = None
