"""Family history: a conversation that goes on does not change what came before."""

from __future__ import annotations

from template_checks.checks.base import CheckResult, Mismatch, NotExercised, Side
from template_checks.checks.case import Case
from template_checks.checks.reasoning import marks_reasoning
from template_checks.checks.registry import case_check
from template_checks.core.causes import Cause
from template_checks.core.display import shortened, spell_out, visible
from template_checks.core.rendering import Rendering
from template_checks.divergence.alignment import TokenRange, common_prefix
from template_checks.divergence.model import scaffold_place
from template_checks.divergence.trim import trim_common

_BY_DESIGN = {Cause.SEAM, Cause.REASONING_DROPPED}


@case_check("history", "The rendering of a prefix is a prefix of the rendering of the longer conversation.", ahead=True)
def prefix_stable(case: Case) -> CheckResult:
    """Compares each rendering with the same renderer's rendering of the conversation one or two messages longer.

    A prompt must return, id by id, as the beginning of what comes later: otherwise the history that the model sees is
    not the prompt it once answered, and key-value caches miss. What follows the last stop token of a training text is
    left out. Where the text is stable and only tokens merge across the answer's beginning (a seam), the finding is
    advisory: the ids a model generates are not tokenized again while it generates. So it is where reasoning is left out
    of earlier turns, which many models do on purpose.
    """
    rendering = case.rendering
    longer = [
        (length, other)
        for length in (case.length + 1, case.length + 2)
        if (other := case.rendering_of(case.renderer, length)) is not None
    ]
    if not longer:
        return NotExercised("no longer conversation to compare with")
    ids = _up_to_stop(case, rendering)
    found = []
    for length, other in longer:
        if other.ids[: len(ids)] != ids:
            found.append(_mismatch(case, rendering, ids, length, other))
    return found


def _up_to_stop(case: Case, rendering: Rendering) -> tuple[int, ...]:
    if case.purpose == "generate":
        return rendering.ids
    stop_ids = case.target.stop_ids
    last = max((n for n, i in enumerate(rendering.ids) if i in stop_ids), default=len(rendering.ids) - 1)
    return rendering.ids[: last + 1]


def _mismatch(case: Case, rendering: Rendering, ids: tuple[int, ...], length: int, other: Rendering) -> Mismatch:
    at = common_prefix(ids, other.ids)
    cause, detail, summary, window, core, place = _explain(case, rendering, length, other)
    return Mismatch(
        severity="advisory" if cause in _BY_DESIGN else "blocking",
        cause=cause,
        detail=detail,
        summary=summary,
        position=place,
        conversation=case.rendered.prefixes[length],
        expected=Side(f"{case.renderer} of {length}", other, TokenRange(at, min(at + 1, len(other.ids)))),
        actual=Side(f"{case.renderer} of {case.length}", rendering, TokenRange(at, min(at + 1, len(ids)))),
        window=window,
        scaffold=core,
    )


def _explain(
    case: Case, rendering: Rendering, length: int, other: Rendering
) -> tuple[Cause, tuple[str, ...], str, str, str, str]:
    """Cause, detail, summary, window, core and place of a prefix that does not return."""
    if other.text.startswith(rendering.text) and rendering.has_text:
        role = case.rendered.prefixes[length].messages[case.length].role
        place = scaffold_place(case.conversation, case.length)
        summary = "the end of the prompt merges with what the next message begins with"
        return Cause.SEAM, (f"before {role}",), summary, "", "", place
    short, long = rendering.segments(case.length), other.segments(length)
    if short is None or long is None:
        at = common_prefix(rendering.text, other.text)
        if marks_reasoning(rendering.text[max(0, at - 8) : at + 8]):
            return Cause.REASONING_DROPPED, (), "the reasoning of an earlier turn is left out", "", "", "the text"
        return Cause.UNKNOWN, ("not located",), "the prompt does not return", "", "", "the text"
    for a, b in zip(short, long, strict=False):
        want, have = other.text[b.start : b.end], rendering.text[a.start : a.end]
        last = a is short[-1]
        if want == have or (last and case.purpose == "generate" and want.startswith(have)):
            continue
        if last and case.purpose == "train" and rendering.ids != other.ids and want.startswith(have.rstrip()):
            continue
        return _changed(case, a.kind, a.message, want, have)
    return Cause.UNKNOWN, ("tokens",), "the prompt's ids do not return", "", "", "the text"


def _changed(
    case: Case, kind: str, message: int, want: str, have: str
) -> tuple[Cause, tuple[str, ...], str, str, str, str]:
    start, core_want, core_have = trim_common(want, have, case.target.tokenizer.control_pattern)
    roles = ("start", *case.conversation.roles, "end")
    if kind == "content":
        detail: tuple[str, ...] = ("content", case.conversation.messages[message].role)
        cause = Cause.STRIPPED_CONTENT if want in have or have in want else Cause.ALTERED_CONTENT
        if marks_reasoning(core_have):  # typed into the answer, and taken for reasoning by the template
            cause = Cause.REASONING_DROPPED
        place = f"inside message {message + 1}"
    else:
        detail = (f"{roles[message]} to {roles[message + 1]}", core_want, core_have)
        white = not core_want.strip() and not core_have.strip()
        cause = Cause.SCAFFOLD_WHITE_SPACE if white else Cause.OTHER_MARKER
        if marks_reasoning(core_have):
            cause, detail = Cause.REASONING_DROPPED, (detail[0],)
        place = scaffold_place(case.conversation, message)
    after = shortened(visible(have[start + len(core_have) :]), 24)
    now = spell_out(core_have) if core_have else "nothing"
    later = spell_out(core_want) if core_want else "nothing"
    summary = f"in the prompt {shortened(now, 50)}, later {shortened(later, 50)}" + (
        f", before {after}" if after else ""
    )
    window = have[max(0, start - 24) : start + len(core_have) + 24]
    return cause, detail, summary, window, core_have, place
