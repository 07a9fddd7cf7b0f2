"""Family prompt: a prompt ends exactly where the answer begins in training."""

from __future__ import annotations

from dataclasses import replace

from template_checks.checks.base import CheckResult, NotExercised, Severity, mismatch_at
from template_checks.checks.case import Case
from template_checks.checks.reasoning import without_markers
from template_checks.checks.registry import case_check
from template_checks.core.causes import Cause
from template_checks.core.display import shortened, visible
from template_checks.core.errors import Unsupported
from template_checks.core.rendering import Rendering
from template_checks.divergence.alignment import TokenRange, common_prefix, tokens_at


@case_check(
    "prompt",
    "A prompt ends exactly where the answer begins in the training text.",
    purposes=("generate",),
    ahead=True,
)
def generation_prompt(case: Case) -> CheckResult:
    """Compares each prompt with the same renderer's text of the conversation one answer longer, up to that answer.

    A server that drops `add_generation_prompt` leaves the header of the answer to the model; a template that begins
    the answer itself (a `<think>` in the prompt) shows it what training had the model write. Where the renderer only
    generates, the reference's training text is taken.

    Where the reference does the same, white space or an empty reasoning block that is missing, and an answer that is
    begun, are advisory: they are the model's own convention. A header that is missing is not.
    """
    rendering = case.rendering
    training = _training(case, case.renderer) or _training(case, case.target.config.reference)
    gap = _gap(case, rendering, training)
    if gap is None or training is None:
        return NotExercised("no training text of the same conversation one answer longer, or it cannot be located")
    own = case.is_reference or _gap(case, case.reference, _training(case, case.target.config.reference)) == gap
    missing, begun = gap
    if not missing and not begun:
        return []
    severity: Severity = "advisory" if own else "blocking"
    if missing:
        whole = bool(without_markers(missing).strip())
        cause = Cause.NO_GENERATION_PROMPT if whole else Cause.CUT_GENERATION_PROMPT
        severity = "blocking" if whole else severity
        summary = f"the prompt lacks “{shortened(visible(missing), 40)}”, with which the answer begins in training"
    else:
        cause = Cause.BEGUN_ANSWER
        summary = f"the prompt goes on with “{shortened(visible(begun), 40)}”, which training has inside the answer"
    tokens = TokenRange(len(rendering.ids), len(rendering.ids))
    place = f"the end of the prompt, before message {case.length + 1} (assistant)"
    seen = mismatch_at(case, cause, (missing, begun), summary, place, tokens, severity=severity, scaffold=begun)
    return [replace(seen, conversation=case.rendered.prefixes[case.length + 1])]  # shorter, it does not show


def _training(case: Case, renderer: str) -> Rendering | None:
    """The training text one answer longer, if that answer is a plain one."""
    longer = case.rendered.prefixes.get(case.length + 1)
    if longer is None or longer.messages[-1].tool_calls or longer.messages[-1].reasoning:
        return None
    return case.rendering_of(renderer, case.length + 1)


def _gap(case: Case, prompt: Rendering | None, training: Rendering | None) -> tuple[str, str] | None:
    """What the prompt lacks and what it has too much at its end; None where the two cannot be compared."""
    if prompt is None or training is None or not prompt.has_text or training.contents is None:
        return None
    have = prompt.scaffold_before(case.length, case.length)
    if have is None:
        return None
    want = training.scaffold_before(case.length, case.length + 1) or ""
    if want.startswith(have):
        return want[len(have) :], ""
    if have.startswith(want):
        return "", have[len(want) :]
    return None  # they part earlier: not at the prompt's end


@case_check(
    "prompt",
    "A prompt that goes on with a message ends where that message ends in the training text.",
    purposes=("train",),
    variants=("continued",),
)
def continue_final(case: Case) -> CheckResult:
    """Compares `continue_final_message` with the training text up to the end of the last answer.

    Implementations that look for the last message as a substring cut at another one that says the same, and those that
    strip lose the white space at its end. What the reference does itself is advisory.
    """
    continued, rendering = case.variant("continued"), case.rendering
    if not isinstance(continued, Rendering):
        return NotExercised(str(continued), never=isinstance(continued, Unsupported))
    last = len(case.conversation.messages) - 1
    end = next((span.end for span in rendering.contents or () if span.message == last), None)
    if end is None or not continued.has_text or case.conversation.messages[last].tool_calls:
        return NotExercised("the last answer cannot be located")
    if continued.text == rendering.text[:end]:
        return []
    reference = case.reference_variant("continued")
    own = case.is_reference or (isinstance(reference, Rendering) and reference.text == continued.text)
    ahead = continued.text == rendering.text[: len(continued.text)]
    lost, more = rendering.text[len(continued.text) : end], continued.text[end:]
    if not ahead:
        how, detail = "parts from the training text before the end of the last answer", "parted"
    elif len(continued.text) < end:
        how = f"lacks “{shortened(visible(lost), 30)}” at the end of the last answer"
        detail = "white space lost" if not lost.strip() else "cut"
    else:
        how, detail = f"goes on with “{shortened(visible(more), 30)}” after the last answer", "not cut"
    at = common_prefix(continued.ids, rendering.ids)
    return [
        mismatch_at(
            case,
            Cause.CONTINUED_ELSEWHERE,
            (detail,),
            f"the prompt that continues {how}",
            f"the end of message {last + 1} (assistant)",
            tokens_at(rendering, len(continued.text), end) if ahead and lost else TokenRange(at, at + 1),
            severity="advisory" if own else "blocking",
        )
    ]
