"""Family repeat: rendering again, on any day, gives the same and changes nothing."""

from __future__ import annotations

from template_checks.checks.base import CheckResult, Mismatch, NotExercised, Severity, mismatch_at
from template_checks.checks.case import Case
from template_checks.checks.registry import case_check
from template_checks.checks.variants import GivenAfter, VariantResult
from template_checks.core.causes import Cause
from template_checks.core.display import shortened, visible
from template_checks.core.rendering import Rendering
from template_checks.divergence.alignment import TokenRange, common_prefix


@case_check("repeat", "Rendering the same conversation again gives the same ids.", variants=("rendered twice",))
def deterministic(case: Case) -> CheckResult:
    """Renders each conversation a second time.

    What a renderer remembers between two calls, a clock that counts seconds and random examples in a system prompt
    make every comparison a matter of luck, and every cache useless.
    """
    again = case.variant("rendered twice")
    if isinstance(again, Rendering) and again.ids == case.rendering.ids:
        return []
    how = "gives other ids" if isinstance(again, Rendering) else f"fails: {again}"
    return [_changed(case, again, Cause.NOT_REPEATABLE, f"rendering the same conversation again {how}", "blocking")]


@case_check("repeat", "Rendering does not change the messages and tools it is given.", variants=("given after",))
def input_unchanged(case: Case) -> CheckResult:
    """Compares what a renderer was given with the same after it rendered.

    A renderer that writes the tools into the first message, or pops a key, makes the next rendering of the same
    messages another one. Not exercised where a renderer gets copies, as Jinja templates and isolated scripts do.
    """
    before, after = case.conversation.to_data(), case.variant("given after")
    if not isinstance(after, GivenAfter):
        return NotExercised("it is given nothing that it could change", never=True)
    if before == after.data:
        return []
    what = _first_change(before, after.data, "")
    none = TokenRange(0, 0)
    summary = f"rendering changed what it was given: {what}"
    return [mismatch_at(case, Cause.INPUT_CHANGED, (), summary, "what it was given", none)]


@case_check("repeat", "The same conversation gives the same ids on another day.", variants=("clock moved",))
def date_free(case: Case) -> CheckResult:
    """Renders each conversation once more with the clock moved by more than a year.

    A date in the prompt makes today's prompt another one than that of training. Where all renderers move alike it is
    the template's own convention, and advisory: caches and comparisons between days will differ. Where one moves and
    the other stands still (a date fixed when a module was imported, an engine without a clock) they part from the
    next day on.
    """
    later = case.variant("clock moved")
    if not isinstance(later, Rendering):
        return NotExercised(str(later))
    moves = later.ids != case.rendering.ids
    other = case.reference_variant("clock moved")
    reference_moves = moves
    if case.reference is not None and not case.is_reference and isinstance(other, Rendering):
        reference_moves = other.ids != case.reference.ids
    if moves:
        own = case.is_reference or reference_moves
        summary = f"the prompt differs on another day: “{_date(case.rendering, later)}”"
        return [_changed(case, later, Cause.CLOCK, summary, "advisory" if own else "blocking")]
    if reference_moves:
        summary = f"the date in {case.target.config.reference} moves with the clock, and here it does not"
        return [_changed(case, other, Cause.FROZEN_DATE, summary, "blocking")]
    return []


def _date(rendering: Rendering, later: Rendering) -> str:
    at = next((n for n, (a, b) in enumerate(zip(rendering.text, later.text, strict=False)) if a != b), 0)
    return shortened(visible(rendering.text[max(0, at - 16) : at + 16]), 40)


def _changed(case: Case, other: VariantResult, cause: Cause, summary: str, severity: Severity) -> Mismatch:
    at = common_prefix(case.rendering.ids, other.ids) if isinstance(other, Rendering) else 0
    at = min(at, max(0, len(case.rendering.ids) - 1))
    return mismatch_at(case, cause, (), summary, f"token {at}", TokenRange(at, at + 1), severity=severity)


def _first_change(before: object, after: object, path: str) -> str:
    """Where two JSON values differ first, in words."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            if key not in after:
                return f"{path}.{key} is gone".lstrip(".")
            if key not in before:
                return f"{path}.{key} is new".lstrip(".")
            if before[key] != after[key]:
                return _first_change(before[key], after[key], f"{path}.{key}")
    if isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            return f"{path or 'the list'} has {len(after)} entries, had {len(before)}".lstrip(".")
        at = next(n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
        return _first_change(before[at], after[at], f"{path}[{at}]")
    return f"{path} became {shortened(visible(str(after)), 40)}".lstrip(".")
