"""Shrinking: the smallest conversation that still shows one particular mismatch.

One generated conversation may show many mismatches at once, each of which wants its own smallest form, and witnesses
come from files as well as from Hypothesis. So conversations are shrunk as data, not as a sequence of draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from template_checks.conversation import Conversation, Message

_SIMPLE = ("0", "a", " ", "\n")
"""What a character may be replaced with, simplest first."""

MAX_ATTEMPTS = 1000


def shrink(conversation: Conversation, still: Callable[[Conversation], bool]) -> Conversation:
    """Make the conversation smaller as long as `still` holds.

    Args:
        conversation: one for which `still` holds. If its roles alternate, those of the result do too.
        still: does a candidate show the same mismatch? Called at most `MAX_ATTEMPTS` times.
    """
    seen: set[Conversation] = {conversation}
    progress = True
    while progress:
        progress = False
        for candidate in _candidates(conversation):
            if candidate in seen or (conversation.alternates and not candidate.alternates):
                continue
            if len(seen) > MAX_ATTEMPTS:
                return conversation
            seen.add(candidate)
            if still(candidate):
                conversation, progress = candidate, True
                break
    return conversation


def size(conversation: Conversation) -> tuple[int, int]:
    """Messages, then characters: what smaller means between two finds."""
    return len(conversation.messages), sum(len(message.content) for message in conversation.messages)


def _candidates(conversation: Conversation) -> Iterator[Conversation]:
    """Smaller conversations, largest steps first."""
    messages = conversation.messages
    count = len(messages)
    for length in range(1, count):  # a prefix alone, shortest first
        yield Conversation(messages[:length])
    for width in range(count - 1, 0, -1):  # without a run of messages, longest first
        for start in range(count - width + 1):
            yield Conversation(messages[:start] + messages[start + width :])
    yield Conversation(tuple(replace(message, content="") for message in messages))
    for index, message in enumerate(messages):
        for smaller in _smaller(message):
            yield Conversation((*messages[:index], smaller, *messages[index + 1 :]))


def _smaller(message: Message) -> Iterator[Message]:
    if message.extra:
        yield replace(message, extra=())
    text = message.content
    width = len(text)
    while width:  # delete runs, longest first
        for start in range(0, len(text), width):
            yield replace(message, content=text[:start] + text[start + width :])
        width //= 2
    for index, character in enumerate(text):
        rank = _SIMPLE.index(character) if character in _SIMPLE else len(_SIMPLE)
        for simple in _SIMPLE[:rank]:
            yield replace(message, content=text[:index] + simple + text[index + 1 :])
