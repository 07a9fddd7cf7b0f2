"""Conversations: OpenAI-style messages, immutable, so that no renderer can change what the next one sees."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from template_checks.core.errors import UsageError

Purpose = Literal["train", "generate"]
"""`train`: a whole conversation, ends with an assistant turn. `generate`: a prompt, ends with the generation prompt."""

Feature = Literal["tools", "tool-calls", "reasoning", "parts"]
"""What a conversation may hold beyond roles and text: tool definitions, calls and their results, reasoning contents,
contents as a list of parts."""

_HALF = "half a surrogate pair, which is no text."


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    `extra` holds every further OpenAI field (`tool_calls`, `reasoning_content`, `name`, …) as (key, JSON text) pairs,
    sorted by key: hashable, and handed to renderers as fresh objects each time. `parts` are the texts of a content
    that is a list of parts; `content` is then their concatenation.
    """

    role: str
    content: str
    extra: tuple[tuple[str, str], ...] = ()
    parts: tuple[str, ...] = ()

    @property
    def masked(self) -> bool:
        """Whether the answer is left out of training on purpose (XTuner: `output_with_loss`, and `loss` before it)."""
        return any(key in {"output_with_loss", "loss"} and value == "false" for key, value in self.extra)

    def get(self, key: str) -> Any:
        """A further field, parsed; None where it is absent."""
        return next((json.loads(value) for name, value in self.extra if name == key), None)

    def having(self, **fields: Any) -> Message:
        """The same message with further fields set; a field that is None is taken away."""
        kept = {key: value for key, value in self.extra if key not in fields}
        kept |= {key: _json(value) for key, value in fields.items() if value is not None}
        return replace(self, extra=tuple(sorted(kept.items())))

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tool calls, as fresh objects."""
        if not any(key == "tool_calls" for key, _ in self.extra):
            return []
        return [call for call in self.get("tool_calls") or () if isinstance(call, dict)]

    @property
    def reasoning(self) -> str:
        """The reasoning content; empty where there is none."""
        if not self.extra:
            return ""
        value = self.get("reasoning_content")
        return value if isinstance(value, str) else ""

    def to_dict(self) -> dict[str, Any]:
        """A fresh dict in OpenAI form."""
        content: Any = [{"type": "text", "text": part} for part in self.parts] if self.parts else self.content
        message: dict[str, Any] = {"role": self.role, "content": content}
        for key, value in self.extra:
            message[key] = json.loads(value)
        return message

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "message") -> Message:
        """Read OpenAI form.

        Raises:
            UsageError: no role, or a content that is neither text nor a list of text parts.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("role"), str):
            raise UsageError("A message needs a role, given as text.", where=where)
        content = data.get("content", "")
        parts: tuple[str, ...] = ()
        if content is None and data.get("tool_calls"):
            content = ""  # OpenAI's form of a message that only calls tools
        if isinstance(content, Sequence) and not isinstance(content, str):
            parts = tuple(_text_of(part, where) for part in content)
            content = "".join(parts)
        if not isinstance(content, str):
            raise UsageError("A message's content must be text, or a list of text parts.", where=where)
        if any("\ud800" <= character <= "\udfff" for character in content):
            raise UsageError(f"A message's content holds {_HALF}", where=where)
        extra = {key: _json(value) for key, value in data.items() if key not in {"role", "content"}}
        return cls(data["role"], content, tuple(sorted(extra.items())), parts)


def _text_of(part: Any, where: str) -> str:
    if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
        raise UsageError(
            "Only text parts can be examined.", where=where, hint='a text part is {"type": "text", "text": "…"}'
        )
    return str(part["text"])


def _json(value: Any) -> str:
    """JSON text that keeps the order of keys, since templates show it."""
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Conversation:
    """Messages in order, and the definitions of the tools on offer, each as JSON text.

    Message numbers in output are 1-based; indices in code are 0-based. Its `repr` can be pasted into code.
    """

    messages: tuple[Message, ...]
    tools: tuple[str, ...] = ()

    def __hash__(self) -> int:
        """Computed once: a search asks for it dozens of times."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.messages, self.tools))

    def __reduce__(self) -> tuple[Any, ...]:
        """Without what was computed: texts have other hashes in another process."""
        return Conversation, (self.messages, self.tools)

    def __repr__(self) -> str:
        if not self.tools and not any(message.extra or message.parts for message in self.messages):
            turns = ", ".join(repr((message.role, message.content)) for message in self.messages)
            return f"Conversation.of({turns})"
        data = repr(self.to_data())
        if self._is_read_from(data):
            return f"Conversation.from_list({data})"
        return f"Conversation(messages={self.messages!r}, tools={self.tools!r})"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """The same in Hypothesis and IPython, which show a dataclass by its fields."""
        printer.text(repr(self))

    def _is_read_from(self, data: str) -> bool:
        """Whether `from_list` gives this conversation again: JSON text that was written otherwise is not kept by it."""
        try:
            return Conversation.from_list(ast.literal_eval(data)) == self
        except (UsageError, ValueError, SyntaxError, RecursionError, MemoryError):  # half surrogates, NaN, deep nesting
            return False

    @cached_property
    def purpose(self) -> Purpose:
        """`train` where the last message is the assistant's, else `generate`."""
        return "train" if self.messages and self.messages[-1].role == "assistant" else "generate"

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """The role of each message."""
        return tuple(message.role for message in self.messages)

    @property
    def alternates(self) -> bool:
        """Whether it is an optional system message, then user and assistant in turn, beginning with the user.

        Results may follow an assistant's tool calls, one for each call, and then the assistant goes on.
        """
        messages = self.messages[1:] if self.roles[:1] == ("system",) else self.messages
        expected, open_calls = "user", 0
        for message in messages:
            role = message.role
            if role == "tool":
                if open_calls == 0:
                    return False
                open_calls -= 1
                continue
            if role != expected or open_calls:
                return False
            open_calls = len(message.tool_calls) if role == "assistant" else 0
            expected = "assistant" if role == "user" or open_calls else "user"
        return bool(messages)

    @cached_property
    def features(self) -> frozenset[Feature]:
        """What it holds beyond roles and text."""
        found: set[Feature] = {"tools"} if self.tools else set()
        for message in self.messages:
            if message.parts:
                found.add("parts")
            if message.role == "tool":
                found.add("tool-calls")
            for key, _ in message.extra:
                if key == "tool_calls":
                    found.add("tool-calls")
                elif key == "reasoning_content":
                    found.add("reasoning")
        return frozenset(found)

    def prefix(self, length: int) -> Conversation:
        """The first `length` messages."""
        return Conversation(self.messages[:length], self.tools)

    def to_list(self) -> list[dict[str, Any]]:
        """The messages as fresh dicts in OpenAI form."""
        return [message.to_dict() for message in self.messages]

    def tool_list(self) -> list[dict[str, Any]]:
        """The tools' definitions, as fresh objects."""
        return [json.loads(tool) for tool in self.tools]

    def to_data(self) -> Any:
        """What `from_list` reads: the messages, or an object with `messages` and `tools`."""
        return {"messages": self.to_list(), "tools": self.tool_list()} if self.tools else self.to_list()

    @classmethod
    def from_list(cls, data: Any, where: str = "conversation") -> Conversation:
        """Read a list of messages, or an object with `messages` and, perhaps, `tools`.

        Raises:
            UsageError: not a list of messages.
        """
        tools: Any = []
        if isinstance(data, Mapping):
            data, tools = data.get("messages", []), data.get("tools") or []
        if not isinstance(data, Sequence) or isinstance(data, str) or not data:
            raise UsageError(
                "A conversation is a non-empty list of messages, or an object with `messages`.",
                where=where,
                hint='for example [{"role": "user", "content": "hi"}]',
            )
        if not isinstance(tools, Sequence) or not all(isinstance(tool, Mapping) for tool in tools):
            raise UsageError("`tools` is a list of tool definitions, each an object.", where=where)
        messages = tuple(Message.from_dict(item, f"{where}, message {n}") for n, item in enumerate(data, start=1))
        return cls(messages, tuple(map(_json, tools)))

    @classmethod
    def of(cls, *turns: tuple[str, str]) -> Conversation:
        """Build from (role, content) pairs."""
        return cls(tuple(Message(role, content) for role, content in turns))
