"""A system that knows tools, calls, reasoning and parts, honest or with one defect."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from template_checks.core.content_spans import ContentLocator
from template_checks.core.conversation import Conversation, Purpose
from template_checks.core.errors import Unsupported
from template_checks.core.rendering import Piece, Rendering
from template_checks.renderers.base import Context, Renderer, RendererOptions

Given = dict[str, Any]
"""`messages`, `tools`, `purpose`, `continued`."""

AgentBuild = Callable[[Given], str]

HEADER = "<|im_start|>assistant\n"
END = "<|im_end|>\n"


def content(message: dict[str, Any]) -> str:
    parts = message["content"]
    return parts if isinstance(parts, str) else "".join(part["text"] for part in parts)


def arguments(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def calls(message: dict[str, Any], write: Callable[[Any], str] = arguments) -> str:
    return "".join(
        f'\n{{"name": "{call["function"]["name"]}", "arguments": {write(call["function"]["arguments"])}}}'
        for call in message.get("tool_calls") or ()
    )


def turn(message: dict[str, Any]) -> str:
    reasoning = message.get("reasoning_content")
    thought = f"<think>{reasoning}</think>" if reasoning else ""
    return f"<|im_start|>{message['role']}\n{thought}{content(message)}{calls(message)}{END}"


def offered(tools: list[dict[str, Any]] | None) -> str:
    return f"<|im_start|>tools\n{json.dumps(tools, ensure_ascii=False)}{END}" if tools else ""


def agent(given: Given) -> str:
    """The honest one."""
    text = "<s>" + offered(given["tools"]) + "".join(map(turn, given["messages"]))
    if given["continued"]:
        return text.removesuffix(END)
    return text + (HEADER if given["purpose"] == "generate" else "")


class AgentRenderer(Renderer):
    """Any function from what is given to text."""

    type = "agent"
    summary = "for tests"
    features = frozenset({"tools", "tool-calls", "reasoning", "parts"})

    def __init__(
        self, name: str, context: Context, build: AgentBuild = agent, *, masks_padding: bool | None = None
    ) -> None:
        super().__init__(name, RendererOptions(type="agent"), context)
        self.build = build
        self.masks_padding = masks_padding
        self.layouts: dict[Purpose, ContentLocator] = {
            purpose: ContentLocator(lambda probe, p=purpose: self._text(probe, p)) for purpose in self.purposes
        }

    def _text(self, conversation: Conversation, purpose: Purpose, *, continued: bool = False) -> str:
        return self.build(self._given(conversation, purpose, continued))

    def _given(self, conversation: Conversation, purpose: Purpose, continued: bool = False) -> Given:
        tools = conversation.tool_list() or None
        return {"messages": conversation.to_list(), "tools": tools, "purpose": purpose, "continued": continued}

    def render(self, conversation: Conversation, purpose: Purpose) -> Rendering:
        text = self._text(conversation, purpose)
        return Rendering((Piece(text, self.tokenizer.encode(text)),), self.layouts[purpose].locate(conversation, text))

    def render_continued(self, conversation: Conversation) -> Rendering:
        if conversation.messages[-1].tool_calls:
            raise Unsupported("a call cannot be continued")
        text = self._text(conversation, "train", continued=True)
        return Rendering((Piece(text, self.tokenizer.encode(text)),))

    def given_after(self, conversation: Conversation, purpose: Purpose) -> Any:
        given = self._given(conversation, purpose)
        self.build(given)
        return {key: given[key] for key in ("messages", "tools")} if given["tools"] else given["messages"]
