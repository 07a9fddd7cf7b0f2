"""Where the contents are in a text that a whole-string template produced.

The template is rendered once per sequence of roles with unmistakable contents; what is between them is the
scaffold. A real text is then cut along that scaffold. Nothing is guessed: a text that does not fit is not located.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from template_checks.core.conversation import Conversation, Message
from template_checks.core.errors import RenderError, Unsupported
from template_checks.core.rendering import ContentSpan

Shape = tuple[Any, ...]
"""The tools, and each message's role, further fields and whether its content is a list of parts."""

_MOST_SHAPES = 2000
"""Shapes remembered; a forgotten one costs a rendering. 2,000 draws show 13 without tools, 3,500 with them."""


class ContentLocator:
    """Locates contents for one renderer and purpose; the scaffold is remembered by the conversation's shape.

    Args:
        render_text: renders a conversation to text, as the system under test does.
    """

    def __init__(self, render_text: Callable[[Conversation], str]) -> None:
        self._render_text = render_text
        self._known: dict[Shape, tuple[list[int], list[str]] | None] = {}

    def locate(self, conversation: Conversation, text: str) -> tuple[ContentSpan, ...] | None:
        """Spans of the contents in `text`, or None where the text does not follow the scaffold."""
        shape: Shape = (conversation.tools, *((m.role, m.extra, bool(m.parts)) for m in conversation.messages))
        if shape not in self._known:
            if len(self._known) >= _MOST_SHAPES:
                self._known.clear()
            self._known[shape] = self._probe(conversation)
        known = self._known[shape]
        if known is None:
            return None
        present, scaffolds = known
        contents = [conversation.messages[index].content for index in present]
        spans, position = [], 0
        for index, scaffold, content in zip(present, scaffolds, contents, strict=False):
            position += len(scaffold)
            spans.append(ContentSpan(index, position, position + len(content)))
            position += len(content)
        expected = "".join(s + c for s, c in zip(scaffolds, [*contents, ""], strict=True))
        if expected == text:
            return tuple(spans)
        return self._fit(present, scaffolds, text)

    def _fit(self, present: list[int], scaffolds: list[str], text: str) -> tuple[ContentSpan, ...] | None:
        """The template altered a content: cut along the scaffold, shortest contents first."""
        pattern = "(.*?)".join(re.escape(scaffold) for scaffold in scaffolds)
        match = re.fullmatch(pattern, text, re.DOTALL)
        if match is None:
            return None
        return tuple(ContentSpan(index, *match.span(group)) for group, index in enumerate(present, start=1))

    def _probe(self, conversation: Conversation) -> tuple[list[int], list[str]] | None:
        sentinels = [f"qz{index}vxk{index}zq" for index in range(len(conversation.messages))]
        probe = Conversation(
            tuple(
                Message(message.role, sentinel, message.extra, (sentinel,) if message.parts else ())
                for message, sentinel in zip(conversation.messages, sentinels, strict=True)
            ),
            conversation.tools,
        )
        try:
            text = self._render_text(probe)
        except (Unsupported, RenderError):
            return None
        present, scaffolds, position = [], [], 0
        for index, sentinel in enumerate(sentinels):
            count = text.count(sentinel)
            if count == 0:
                continue
            at = text.find(sentinel, position)
            if count > 1 or at < 0:
                return None
            present.append(index)
            scaffolds.append(text[position:at])
            position = at + len(sentinel)
        return present, [*scaffolds, text[position:]]
