"""OpenAI messages as the turns XTuner trains on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from template_checks.core.conversation import Message
from template_checks.core.errors import Unsupported

IndexedContent = tuple[int, str]
"""(index of the message, its content)."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of XTuner's format; `output` has the index of the assistant's message."""

    system: IndexedContent | None
    inputs: tuple[IndexedContent, ...]
    output: IndexedContent
    output_with_loss: bool


def to_turns(messages: Sequence[Message]) -> list[Turn]:
    """The turns that XTuner 0.2.0's `openai_map_fn` makes of messages that end with the assistant's.

    As there: assistant messages that come first are skipped; of several system messages in one turn the last
    one counts; user messages that follow each other are joined without anything between them; `loss` of an
    assistant message decides on supervision. `output_with_loss`, XTuner's own format, is read as well.

    Raises:
        Unsupported: a role or a field that XTuner does not know, or nothing but skipped messages.
    """
    first = next((i for i, message in enumerate(messages) if message.role != "assistant"), len(messages))
    turns: list[Turn] = []
    system: IndexedContent | None = None
    inputs: list[IndexedContent] = []
    for index in range(first, len(messages)):
        message = messages[index]
        with_loss = _output_with_loss(message)
        part = (index, message.content)
        if message.role == "system":
            system = part
        elif message.role == "user":
            inputs.append(part)
        elif message.role == "assistant":
            turns.append(Turn(system, tuple(inputs), part, with_loss))
            system, inputs = None, []
        else:
            raise Unsupported(f"XTuner's prompt templates know no role {message.role!r}")
    if not turns:
        raise Unsupported("XTuner skips assistant messages that come first, and nothing else is there")
    return turns


def _output_with_loss(message: Message) -> bool:
    """Whether it is supervised: `loss` as `openai_map_fn` reads it, `output_with_loss` as `encode_fn` does."""
    extra = {key: json.loads(value) for key, value in message.extra}
    known = {"loss", "output_with_loss"} if message.role == "assistant" else set()
    others = sorted(extra.keys() - known)
    if others:
        raise Unsupported(f"XTuner's prompt templates have no place for {others[0]!r} of a {message.role} message")
    if len(extra) > 1:
        raise Unsupported("`loss` and `output_with_loss` on one message: XTuner has a single switch")
    if "loss" in extra:
        return str(extra["loss"]).lower() == "true"
    return bool(extra.get("output_with_loss", True))
