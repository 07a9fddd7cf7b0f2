"""A finding as the report shows it: its conversation, its tokens and what is known of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from template_checks.record.writer import Line
from template_checks.views.html import token_diff as strips
from template_checks.views.html.matrix import Key
from template_checks.views.html.texts import Excerpt, excerpt
from template_checks.views.terminal import grouped

OPEN = 10
"""Groups of findings that are open from the start: as many as one reads before one chooses."""
_MANY = 25
"""Findings that have much room; those behind them have little, so that the file stays small."""


@dataclass(frozen=True)
class Room:
    """How much is shown of one finding: characters of a content, messages at either end, tokens."""

    content: int
    first: int
    last: int
    strip: strips.Room


_MUCH = Room(600, 8, 4, strips.Room(4, 12, 6))
_LITTLE = Room(160, 3, 2, strips.Room(3, 6, 3))


@dataclass(frozen=True)
class Message:
    """One message: number, role, content, and every further field as JSON."""

    number: int
    role: str
    content: Excerpt
    parts: int
    fields: tuple[tuple[str, Excerpt], ...]


@dataclass(frozen=True)
class Card:
    """One finding. `messages` are the first and the last ones, `left_out` counts those between them."""

    number: str
    line: Line
    count: int
    messages: tuple[Message, ...]
    left_out: int
    tools: tuple[str, ...]
    strip: strips.Strip | None

    @property
    def kind(self) -> str:
        """The word for how much it matters."""
        return "accepted" if self.line["accepted"] is not None else str(self.line["severity"])

    @property
    def sign(self) -> str:
        """Of the kind, as on a terminal."""
        return {"accepted": "a", "blocking": "✗"}.get(self.kind, "·")

    @property
    def differs_from(self) -> str:
        """The renderer it is compared with, where the check compares two."""
        return self.line["expected_name"] if self.line["check"] in {"same-text", "same-tokens"} else ""


@dataclass(frozen=True)
class Group:
    """Findings of one cause at one place: the first one tells most. `open` says that it is shown from the start."""

    first: Card
    others: tuple[Card, ...]
    open: bool


def groups_of(findings: list[Line], stops: Mapping[str, Collection[int]]) -> tuple[list[Group], dict[Key, str]]:
    """All findings, worst first, and the number that each has in the report.

    Args:
        findings: the lines of the record.
        stops: the ids of the stop tokens of each target.
    """
    groups: list[Group] = []
    numbers: dict[Key, str] = {}
    shown = 0
    for place, group in enumerate(grouped(findings), start=1):
        cards = []
        for nested, line in enumerate(group):
            number = f"{place}.{nested}" if nested else str(place)
            room = _MUCH if shown < _MANY else _LITTLE
            shown += 1
            cards.append(_card(number, line, stops.get(line["target"], ()), room))
            key = (line["target"], line["check"], line["renderer"], line["purpose"], line["fingerprint"])
            numbers.setdefault(key, number)
        groups.append(Group(cards[0], tuple(cards[1:]), place <= OPEN and cards[0].line["accepted"] is None))
    return groups, numbers


def _card(number: str, line: Line, stops: Collection[int], room: Room) -> Card:
    conversation = line["conversation"] or []
    given: list[Line] = conversation["messages"] if isinstance(conversation, dict) else conversation
    tools = conversation.get("tools", ()) if isinstance(conversation, dict) else ()
    names = [str(tool.get("function", tool).get("name", "?")) for tool in tools]
    kept = list(enumerate(given, start=1))
    if len(kept) > room.first + room.last + 1:
        kept = kept[: room.first] + kept[-room.last :]
    messages = [_message(place, message, room.content) for place, message in kept]
    left_out = len(given) - len(messages)
    return Card(
        number, line, len(given), tuple(messages), left_out, tuple(names[:40]), strips.strip_of(line, stops, room.strip)
    )


def _message(number: int, message: Line, room: int) -> Message:
    content: Any = message.get("content", "")
    parts = content if isinstance(content, list) else []
    text = "".join(str(part.get("text", "")) for part in parts) if parts else content
    fields = [(key, _json(value, room)) for key, value in message.items() if key not in {"role", "content"}]
    return Message(number, str(message["role"]), _content(text, room), len(parts), tuple(fields[:20]))


def _content(value: Any, room: int) -> Excerpt:
    return excerpt(value, room) if isinstance(value, str) else _json(value, room)


def _json(value: Any, room: int) -> Excerpt:
    return excerpt(json.dumps(value, ensure_ascii=False), room)
