"""Family reasoning: what the model thought occurs once, between its markers."""

from __future__ import annotations

import re

from template_checks.checks.base import CheckResult, NotExercised, Severity, mismatch_at
from template_checks.checks.case import Case
from template_checks.checks.registry import case_check
from template_checks.core.causes import Cause
from template_checks.core.display import shortened, visible
from template_checks.core.rendering import Rendering
from template_checks.divergence.alignment import TokenRange, tokens_at

MARKERS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<seed:think>", "</seed:think>"))
"""With which templates enclose reasoning."""

_DOUBLED = re.compile("|".join(rf"{re.escape(begin)}\s*{re.escape(begin)}" for begin, _ in MARKERS))
_ANY = re.compile("|".join(re.escape(marker) for pair in MARKERS for marker in pair))


def without_markers(text: str) -> str:
    """The text without the markers of reasoning."""
    return _ANY.sub("", text)


def marks_reasoning(text: str) -> bool:
    """Does the text hold such a marker?"""
    return _ANY.search(text) is not None


@case_check(
    "reasoning",
    "Reasoning occurs once: the last answer's is not lost, and no block is opened twice.",
    needs=("reasoning",),
)
def reasoning_once(case: Case) -> CheckResult:
    """Looks for a reasoning marker that is repeated at once, and for the reasoning of the last answer.

    A template that opens a think block before content that already holds one teaches the model to think twice;
    one that reads another field than the data has teaches it not to think. Reasoning of earlier turns may be left out:
    many models do so on purpose, and `prefix-stable` says it. What the reference loses is advisory.
    """
    rendering = case.rendering
    last = case.conversation.messages[-1]
    holds = any(marks_reasoning(message.content) for message in case.conversation.messages)
    if not rendering.has_text or not (holds or "reasoning" in case.conversation.features):
        return NotExercised("no reasoning in the conversation")
    doubled = _doubled(case, rendering)
    if doubled is not None:
        summary = f"a block is opened twice: “{shortened(visible(doubled.group()), 40)}”"
        tokens = tokens_at(rendering, *doubled.span())
        marker = doubled.group().split()[0]
        return [
            mismatch_at(
                case, Cause.REASONING_DOUBLED, (doubled.group(),), summary, "a reasoning block", tokens, scaffold=marker
            )
        ]
    if last.role == "assistant" and last.reasoning.strip() and last.reasoning.strip() not in rendering.text:
        own = case.is_reference or (case.reference is not None and last.reasoning.strip() not in case.reference.text)
        summary = f"the last answer's reasoning “{shortened(visible(last.reasoning), 30)}” is not in the text"
        place = f"message {len(case.conversation.messages)} (assistant)"
        severity: Severity = "advisory" if own else "blocking"
        return [mismatch_at(case, Cause.REASONING_DROPPED, (), summary, place, TokenRange(0, 0), severity=severity)]
    return []


def _doubled(case: Case, rendering: Rendering) -> re.Match[str] | None:
    """A marker that is repeated at once, not within a content."""
    written = [m.content for m in case.conversation.messages] + [m.reasoning for m in case.conversation.messages]
    for match in _DOUBLED.finditer(rendering.text):
        if not any(_DOUBLED.search(text) for text in written):
            return match
    return None
