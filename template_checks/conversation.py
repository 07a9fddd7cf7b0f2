"""Conversations: OpenAI-style messages, immutable, so that no renderer can change what the next one sees."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from template_checks.errors import UsageError

Purpose = Literal["train", "generate"]
"""`train`: a whole conversation, ends with an assistant turn. `generate`: a prompt, ends with the generation prompt."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    `extra` holds every further OpenAI field (`tool_calls`, `reasoning_content`, `name`, …) as (key, JSON text) pairs,
    sorted by key: hashable, and handed to renderers as fresh objects each time.
    """

    role: str
    content: str
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def masked(self) -> bool:
        """Is the answer left out of training on purpose? XTuner reads `output_with_loss`, and `loss` before it."""
        return any(key in {"output_with_loss", "loss"} and value == "false" for key, value in self.extra)

    def to_dict(self) -> dict[str, Any]:
        """A fresh dict in OpenAI form."""
        message: dict[str, Any] = {"role": self.role, "content": self.content}
        for key, value in self.extra:
            message[key] = json.loads(value)
        return message

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "message") -> Message:
        """Read OpenAI form.

        Raises:
            UsageError: no role, or a content that is not text.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("role"), str):
            raise UsageError("A message needs a role, given as text.", where=where)
        content = data.get("content", "")
        if not isinstance(content, str):
            raise UsageError("A message's content must be text.", where=where)
        if any("\ud800" <= character <= "\udfff" for character in content):
            raise UsageError("A message's content holds half a surrogate pair, which is no text.", where=where)
        extra = {
            key: json.dumps(value, ensure_ascii=False) for key, value in data.items() if key not in {"role", "content"}
        }
        return cls(data["role"], content, tuple(sorted(extra.items())))


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in order. Message numbers in output are 1-based; indices in code are 0-based."""

    messages: tuple[Message, ...]

    @property
    def purpose(self) -> Purpose:
        """`train` where the last message is the assistant's, else `generate`."""
        return "train" if self.messages and self.messages[-1].role == "assistant" else "generate"

    @property
    def roles(self) -> tuple[str, ...]:
        """The role of each message."""
        return tuple(message.role for message in self.messages)

    @property
    def alternates(self) -> bool:
        """An optional system message, then user and assistant in turn, beginning with the user."""
        roles = self.roles[1:] if self.roles[:1] == ("system",) else self.roles
        return bool(roles) and all(role == ("user", "assistant")[n % 2] for n, role in enumerate(roles))

    def prefix(self, length: int) -> Conversation:
        """The first `length` messages."""
        return Conversation(self.messages[:length])

    def to_list(self) -> list[dict[str, Any]]:
        """Fresh dicts in OpenAI form."""
        return [message.to_dict() for message in self.messages]

    @classmethod
    def from_list(cls, data: Sequence[Mapping[str, Any]], where: str = "conversation") -> Conversation:
        """Read a list of messages, or an object with `messages`.

        Raises:
            UsageError: not a list of messages.
        """
        if isinstance(data, Mapping):
            data = data.get("messages", [])
        if not isinstance(data, Sequence) or isinstance(data, str) or not data:
            raise UsageError(
                "A conversation is a non-empty list of messages, or an object with `messages`.",
                where=where,
                hint='for example [{"role": "user", "content": "hi"}]',
            )
        return cls(tuple(Message.from_dict(item, f"{where}, message {n}") for n, item in enumerate(data, start=1)))

    @classmethod
    def of(cls, *turns: tuple[str, str]) -> Conversation:
        """Build from (role, content) pairs."""
        return cls(tuple(Message(role, content) for role, content in turns))
