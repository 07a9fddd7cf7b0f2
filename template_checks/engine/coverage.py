"""What the conversations of a run covered: counted, so that a report can say what was tested."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from template_checks.core.conversation import Conversation, Message, Purpose
from template_checks.core.tokenizer import Tokenizer

CONTENTS = (
    "empty",
    "white space only",
    "white space first",
    "white space last",
    "line breaks",
    "control characters",
    "combining marks",
    "braces",
    "control tokens as text",
)
"""Kinds of contents that are counted, each also where there was none."""


@dataclass
class Counts:
    """What was counted."""

    conversations: int = 0
    prefixes: Counter[Purpose] = field(default_factory=Counter)
    roles: Counter[str] = field(default_factory=Counter)
    turns: Counter[int] = field(default_factory=Counter)
    contents: Counter[str] = field(default_factory=Counter)
    scripts: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)

    def merge(self, other: Counts) -> None:
        """Add what was counted elsewhere."""
        self.conversations += other.conversations
        for name in ("prefixes", "roles", "turns", "contents", "scripts", "features"):
            getattr(self, name).update(getattr(other, name))


class Coverage(Counts):
    """Counts over the distinct prefixes that were rendered; the tokenizer says which texts are control tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def counts(self) -> Counts:
        """The counts alone, which another process can read."""
        return Counts(**{name: getattr(self, name) for name in Counts.__dataclass_fields__})

    def add(self, conversation: Conversation, prefixes: list[Conversation]) -> None:
        """Count a conversation, with those of its prefixes that were not seen before."""
        self.conversations += 1
        self.turns[conversation.roles.count("user")] += 1
        self.features.update(conversation.features)
        self.prefixes.update(prefix.purpose for prefix in prefixes)
        for message in conversation.messages:
            self.roles[message.role] += 1
            self.contents.update(self._kinds(message))
            self.scripts.update({name for name in map(script, set(message.content)) if name})

    def _kinds(self, message: Message) -> Iterator[str]:
        text = message.content
        if not text:
            yield "empty"
            return
        if text.isspace():
            yield "white space only"
        if text[0].isspace():
            yield "white space first"
        if text[-1].isspace():
            yield "white space last"
        if "\n" in text or "\r" in text:
            yield "line breaks"
        if "{" in text or "}" in text:
            yield "braces"
        if not text.isascii() and any(unicodedata.combining(c) for c in text):
            yield "combining marks"
        if not text.isprintable() and any(unicodedata.category(c) == "Cc" and not c.isspace() for c in text):
            yield "control characters"
        if self.tokenizer.control_pattern.search(text):
            yield "control tokens as text"


@lru_cache(maxsize=4096)
def script(character: str) -> str | None:
    """The script of a letter as its Unicode name begins (Latin, Cjk, Cyrillic, …), or Symbol; None for the rest."""
    category = unicodedata.category(character)
    if category == "So":
        return "Symbol"
    if not category.startswith("L"):
        return None
    name = unicodedata.name(character, "")
    is_letter = any(word in name for word in ("LETTER", "SYLLABLE", "IDEOGRAPH"))
    return name.split()[0].capitalize() if is_letter else None
