"""Family labels: what training computes loss on."""

from __future__ import annotations

from template_checks.checks.base import CheckResult, NotExercised, mismatch_at
from template_checks.checks.case import Case
from template_checks.checks.registry import case_check
from template_checks.core.causes import Cause
from template_checks.core.rendering import IGNORE_INDEX, Rendering
from template_checks.divergence.alignment import TokenRange


@case_check(
    "labels",
    "Loss is computed on each answer and its stop token, and on nothing else.",
    purposes=("train",),
    applies=lambda _target, renderer: renderer.gives_labels,
)
def loss_on_answers_only(case: Case) -> CheckResult:
    """Compares the labels with the places of the answers.

    Supervised scaffold teaches the model to write headers; supervised user text teaches it to speak for the user; a
    masked answer teaches nothing. Answers masked on purpose (`output_with_loss = false`) must be masked wholly.
    """
    rendering, labels = case.rendering, case.rendering.labels
    wanted = _wanted(case, rendering)
    if labels is None or wanted is None:
        return NotExercised("no labels, or the answers cannot be located")
    for position, (label, kind) in enumerate(zip(labels, wanted, strict=True)):
        supervised = label != IGNORE_INDEX
        if kind == "either" or supervised == (kind == "answer"):
            continue
        cause = Cause.TRAINED_PROMPT if supervised else Cause.MASKED_ANSWER
        name = case.target.tokenizer.token(rendering.ids[position])
        state = "supervised" if supervised else f"masked with {IGNORE_INDEX}"
        # One place a rendering is enough: the rest follows from it.
        summary, tokens = f"token {position} ({name}, {kind}) is {state}", TokenRange(position, position + 1)
        return [mismatch_at(case, cause, (kind,), summary, f"token {position}", tokens)]
    return []


def _wanted(case: Case, rendering: Rendering) -> list[str] | None:
    """For each token: `answer`, `either` (the stop token, which stop-trained judges), or what else it is."""
    spans = rendering.token_spans
    if rendering.contents is None or spans is None:
        return None
    wanted = ["scaffold"] * len(spans)
    at = 0
    for content in rendering.contents:
        message = case.conversation.messages[content.message]
        kind = "answer" if message.role == "assistant" and not message.masked else f"{message.role} content"
        while at < len(spans) and spans[at][1] <= content.start:
            at += 1
        while at < len(spans) and spans[at][0] < content.end:
            wanted[at] = kind
            at += 1
    _open_around_what_models_write(case, rendering, wanted)
    stop_ids = case.target.stop_ids
    for answer in case.answers:
        position = answer.position
        # Training may end an answer with its own marker and EOS after it: both stop, and either may be supervised.
        while position is not None and position < len(spans) and rendering.ids[position] in stop_ids:
            wanted[position] = "either"
            position += 1
    return wanted


def _open_around_what_models_write(case: Case, rendering: Rendering, wanted: list[str]) -> None:
    """Reasoning before an answer and calls after it are written by the model too; they are not located."""
    spans = rendering.token_spans or []
    for segment in rendering.segments(len(case.conversation.messages)) or []:
        if segment.kind != "scaffold":
            continue
        before = case.conversation.messages[segment.message - 1] if segment.message else None
        after = (
            case.conversation.messages[segment.message] if segment.message < len(case.conversation.messages) else None
        )
        if (before and before.tool_calls) or (after and after.role == "assistant" and after.reasoning):
            for n, (start, end) in enumerate(spans):
                if segment.start <= start and end <= segment.end:
                    wanted[n] = "either"
