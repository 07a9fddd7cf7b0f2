"""Metamorphic variants: other renderings of a conversation whose relation to the first one is known.

A check declares the variants that it compares with; the engine makes them. Metamorphic relations: Chen, Cheung and Yiu
1998.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from template_checks.config.target import Result, Target
from template_checks.core.conversation import Conversation, Message, Purpose
from template_checks.core.errors import RenderError, Unsupported
from template_checks.core.rendering import Piece, Rendering
from template_checks.core.tokenizer import Tokenizer
from template_checks.strategies.tools import with_text_arguments

Variant = Literal[
    "rendered twice",
    "clock moved",
    "given after",
    "encoded again",
    "continued",
    "control tokens removed",
    "text arguments",
    "joined parts",
    "two turns",
]
"""`rendered twice`: nothing changed. `clock moved`: on another day. `given after`: what the renderer was given, after
it rendered. `encoded again`: the ids decoded and encoded. `continued`: a prompt that goes on with the last answer.
`control tokens removed`: in what was written, replaced by other text. `text arguments`: arguments of calls as JSON
text. `joined parts`: contents that are parts as text. `two turns`: another conversation, of two plain turns."""

EXPENSIVE: frozenset[Variant] = frozenset(
    {"rendered twice", "clock moved", "given after", "encoded again", "continued", "control tokens removed"}
)
"""Variants that render or encode again for every conversation. The others are mostly there already, or rarely apply."""

_TURNS = Conversation.of(("user", "a"), ("assistant", "a"), ("user", "a"), ("assistant", "a"))
_TWO_TURNS: dict[Purpose, Conversation] = {"train": _TURNS, "generate": _TURNS.prefix(3)}

DAYS = 400
"""Another day of the month, another month and another year."""


@dataclass(frozen=True)
class GivenAfter:
    """What a renderer was given, as `Conversation.to_data` gives it, after it rendered that."""

    data: Any


VariantResult = Result | GivenAfter | None
"""The variant, or why there is none; None where the conversation holds nothing that could vary."""


def make_variant(
    target: Target, name: str, conversation: Conversation, purpose: Purpose, variant: Variant
) -> VariantResult:
    """Make one variant of a conversation that renderer `name` rendered."""
    if variant == "rendered twice":
        return target.render_afresh(name, conversation, purpose)
    if variant == "clock moved":
        return _later(target, name, conversation, purpose)
    if variant == "given after":
        data = target.renderers[name].given_after(conversation, purpose)
        return GivenAfter(data) if data is not None else None
    if variant == "encoded again":
        return _encoded_again(target, target.render(name, conversation, purpose))
    if variant == "continued":
        return _continued(target, name, conversation)
    other = _rewritten(conversation, variant, target.tokenizer)
    return None if other == conversation else target.render(name, other, purpose)


def _encoded_again(target: Target, result: Result) -> VariantResult:
    if not isinstance(result, Rendering):
        return result
    text = target.tokenizer.decode(result.ids)
    return Rendering((Piece(text, target.tokenizer.encode(text)),))


def _rewritten(conversation: Conversation, variant: Variant, tokenizer: Tokenizer) -> Conversation:
    if variant == "text arguments":
        if not any(message.tool_calls for message in conversation.messages):
            return conversation
        return _each(conversation, lambda message: with_text_arguments(message, text=True))
    if variant == "two turns":
        return _TWO_TURNS[conversation.purpose]
    if variant == "joined parts":
        if not any(message.parts for message in conversation.messages):
            return conversation
        return _each(conversation, lambda message: replace(message, parts=()))
    return without_control_tokens(conversation, tokenizer)


def without_control_tokens(conversation: Conversation, tokenizer: Tokenizer) -> Conversation:
    """The same conversation without control tokens in contents, names and arguments, and in tools."""

    def plain(text: str) -> str:
        return tokenizer.control_pattern.sub("a", text)

    def of_message(message: Message) -> Message:
        return Message(
            message.role,
            plain(message.content),
            tuple((key, plain(value)) for key, value in message.extra),
            tuple(map(plain, message.parts)),
        )

    return replace(_each(conversation, of_message), tools=tuple(map(plain, conversation.tools)))


def _each(conversation: Conversation, change: Callable[[Message], Message]) -> Conversation:
    return replace(conversation, messages=tuple(map(change, conversation.messages)))


def _later(target: Target, name: str, conversation: Conversation, purpose: Purpose) -> Result:
    import time_machine

    if not target.renderers[name].sees_clock:
        return Unsupported("it runs in a process of its own, whose clock is not moved")
    then = datetime.now().astimezone() + timedelta(days=DAYS)
    with time_machine.travel(then, tick=False):
        return target.render_afresh(name, conversation, purpose)


def _continued(target: Target, name: str, conversation: Conversation) -> Result:
    try:
        return target.renderers[name].render_continued(conversation)
    except (Unsupported, RenderError) as error:
        return error
