"""What a comparison works on and what it finds."""

from __future__ import annotations

from dataclasses import dataclass

from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation
from template_checks.core.rendering import CharSpan, Rendering
from template_checks.core.tokenizer import Tokenizer
from template_checks.divergence.alignment import TokenRange

WINDOW = 24
"""Characters of scaffold on each side of a difference by which the literal that it comes from is found.

Longer than usual control tokens (`<|start_header_id|>` has 19), so that one fits in whole.
"""

Core = tuple[CharSpan, CharSpan]
"""Characters of a difference: in the expected text, in the actual text."""


@dataclass(frozen=True)
class Difference:
    """One place where `actual` parts from `expected`.

    `detail` names the defect without message numbers or contents, so that it is the same in every conversation.
    `window` is the actual scaffold around it, by which the literal it comes from is found.
    """

    cause: Cause
    detail: tuple[str, ...]
    summary: str
    position: str
    expected: TokenRange
    actual: TokenRange
    in_text: bool
    window: str = ""
    core: str = ""


@dataclass(frozen=True)
class Sides:
    """Two renderings of one conversation."""

    expected: Rendering
    actual: Rendering
    conversation: Conversation
    tokenizer: Tokenizer

    def between(self, message: int) -> str:
        """The scaffold in front of message `message` (0-based), named by the roles on both sides of it."""
        roles = ("start", *self.conversation.roles, "end")
        return f"{roles[message]} to {roles[message + 1]}"


def scaffold_place(conversation: Conversation, message: int) -> str:
    """Words for the scaffold in front of message `message` (0-based)."""
    count = len(conversation.messages)
    if message == 0:
        return f"the scaffold before message 1 ({conversation.messages[0].role})"
    if message == count:
        after = f"the scaffold after message {count}"
        return after if conversation.purpose == "train" else f"{after}, up to where the answer begins"
    header = conversation.messages[message].role
    return f"the scaffold after message {message}, before the content of message {message + 1} ({header})"
