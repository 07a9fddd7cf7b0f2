"""Renderings written by hand, and what differences between two of them say."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

from template_checks.core.conversation import Conversation
from template_checks.core.rendering import ContentSpan, Encoded, Piece, Rendering
from template_checks.divergence.alignment import TokenRange
from template_checks.divergence.model import Difference

PROMPT = Conversation.of(("user", "a"))


def shown(rendering: Rendering, tokens: TokenRange) -> str:
    """The text that a range of tokens covers."""
    spans = rendering.token_spans
    assert spans is not None
    return "".join(rendering.text[start:end] for start, end in spans[slice(*tokens)])


def patched(expected: Rendering, actual: Rendering, differences: Sequence[Difference]) -> tuple[int, ...]:
    """The expected ids with every difference replaced by what the actual side has there."""
    ids: list[int] = []
    position = 0
    for difference in differences:
        assert position <= difference.expected.start <= difference.expected.end <= len(expected.ids)
        assert 0 <= difference.actual.start <= difference.actual.end <= len(actual.ids)
        ids += [*expected.ids[position : difference.expected.start], *actual.ids[slice(*difference.actual)]]
        position = difference.expected.end
    return (*ids, *expected.ids[position:])


def by_hand(parts: Sequence[tuple[str, int]], contents: tuple[ContentSpan, ...] | None = None) -> Rendering:
    """One piece of text in tokens of one's own choice; empty ones are added by the system."""
    offsets, position = [], 0
    for text, _ in parts:
        offsets.append((position, position + len(text)))
        position += len(text)
    encoding = SimpleNamespace(offsets=offsets)
    return Rendering((Piece("".join(text for text, _ in parts), Encoded([i for _, i in parts], encoding)),), contents)
