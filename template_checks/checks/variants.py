"""Other renderings of a conversation, for checks that compare: rendered again, on another day, written otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from template_checks.config.target import Result, Target
from template_checks.core.conversation import Conversation, Message, Purpose
from template_checks.core.errors import RenderError, Unsupported
from template_checks.core.tokenizer import Tokenizer
from template_checks.strategies.tools import with_text_arguments

Variant = Literal["again", "later", "text arguments", "joined parts", "defused", "continued", "two turns"]
"""`again`: nothing changed. `later`: on another day. `text arguments`: arguments of calls as JSON text. `joined parts`:
contents that are parts as text. `defused`: control tokens in what was written as other words. `continued`: the last
answer is to be gone on with. `two turns`: another conversation, of two plain turns."""

DAYS = 400
"""Another day of the month, another month and another year."""


def render_variant(
    target: Target, name: str, conversation: Conversation, purpose: Purpose, variant: Variant
) -> Result | None:
    """The rendering, or why there is none; None where the conversation holds nothing that would be another."""
    if variant == "again":
        return target.render_afresh(name, conversation, purpose)
    if variant == "later":
        return _later(target, name, conversation, purpose)
    if variant == "continued":
        return _continued(target, name, conversation)
    other = _rewritten(conversation, variant, target.tokenizer)
    return None if other == conversation else target.render(name, other, purpose)


def _rewritten(conversation: Conversation, variant: Variant, tokenizer: Tokenizer) -> Conversation:
    if variant == "text arguments":
        return _each(conversation, lambda message: with_text_arguments(message, text=True))
    if variant == "two turns":
        turns = Conversation.of(("user", "a"), ("assistant", "a"), ("user", "a"), ("assistant", "a"))
        return turns if conversation.purpose == "train" else turns.prefix(3)
    if variant == "joined parts":
        return _each(conversation, lambda message: replace(message, parts=()))
    return defused(conversation, tokenizer)


def defused(conversation: Conversation, tokenizer: Tokenizer) -> Conversation:
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
