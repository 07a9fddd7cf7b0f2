"""Shrinking: the smallest conversation that still shows one particular mismatch.

This is delta debugging (ddmin: Zeller and Hildebrandt 2002) over messages, calls, fields and characters, larger pieces
first. One generated conversation may show many mismatches at once, each of which wants its own smallest form, and
witnesses come from files as well as from Hypothesis. So conversations are shrunk as data, not as a sequence of draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from template_checks.core.conversation import Conversation, Message

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
    """Messages, then characters, those of further fields and tools included: what smaller means between two finds."""
    characters = sum(map(len, conversation.tools))
    for message in conversation.messages:
        characters += len(message.content) + sum(len(value) for _, value in message.extra) + len(message.parts)
    return len(conversation.messages), characters


def _candidates(conversation: Conversation) -> Iterator[Conversation]:
    """Smaller conversations, largest steps first."""
    messages = conversation.messages
    count = len(messages)

    def having(*kept: Message) -> Conversation:
        return Conversation(kept, conversation.tools)

    for length in range(1, count):  # a prefix alone, shortest first
        yield having(*messages[:length])
    for width in range(count - 1, 0, -1):  # without a run of messages, longest first
        for start in range(count - width + 1):
            yield having(*messages[:start], *messages[start + width :])
    for tools in _fewer(conversation.tools):
        yield Conversation(messages, tools)
    yield having(*(replace(message, content="", parts=()) for message in messages))
    for index, message in enumerate(messages):
        for smaller in _smaller(message):
            yield having(*messages[:index], smaller, *messages[index + 1 :])
    for index, message in enumerate(messages):
        for fewer, behind in _fewer_calls(message, messages[index + 1 :]):
            yield having(*messages[:index], fewer, *behind)


def _fewer(tools: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if tools:
        yield ()
    for number in range(len(tools)):
        yield tools[:number] + tools[number + 1 :]


def _fewer_calls(message: Message, behind: tuple[Message, ...]) -> Iterator[tuple[Message, tuple[Message, ...]]]:
    """The message without one of its calls, and what is behind it without that call's result, where it has one."""
    calls = message.tool_calls
    results = next((n for n, other in enumerate(behind) if other.role != "tool"), len(behind))
    for number in range(len(calls)):
        fewer = message.having(tool_calls=calls[:number] + calls[number + 1 :] or None)
        yield fewer, behind[:number] + behind[number + 1 :] if number < results else behind


def _smaller(message: Message) -> Iterator[Message]:
    if message.extra:
        yield replace(message, extra=())
        for index in range(len(message.extra)):
            yield replace(message, extra=message.extra[:index] + message.extra[index + 1 :])
        yield from _smaller_calls(message)
    if message.parts:
        yield replace(message, parts=())
        if len(message.parts) > 1:
            yield replace(message, parts=(message.content,))
        if len(message.parts) == 1:
            yield from (replace(message, content=text, parts=(text,)) for text in _smaller_texts(message.content))
        return
    yield from (replace(message, content=text) for text in _smaller_texts(message.content))
    if message.reasoning:
        yield from (message.having(reasoning_content=text) for text in _smaller_texts(message.reasoning))


def _smaller_texts(text: str) -> Iterator[str]:
    width = len(text)
    while width:  # delete runs, longest first
        for start in range(0, len(text), width):
            yield text[:start] + text[start + width :]
        width //= 2
    for index, character in enumerate(text):
        rank = _SIMPLE.index(character) if character in _SIMPLE else len(_SIMPLE)
        for simple in _SIMPLE[:rank]:
            yield text[:index] + simple + text[index + 1 :]


def _smaller_calls(message: Message) -> Iterator[Message]:
    """The same calls with fewer or simpler arguments."""
    for number, call in enumerate(message.tool_calls):
        arguments = call.get("function", {}).get("arguments")
        if not isinstance(arguments, dict):
            continue
        for key, value in arguments.items():
            rest = {name: other for name, other in arguments.items() if name != key}
            simpler = [{**arguments, key: text} for text in _smaller_texts(value)] if isinstance(value, str) else []
            for smaller in (rest, *simpler):
                calls = message.tool_calls
                calls[number]["function"]["arguments"] = smaller
                yield message.having(tool_calls=calls)
