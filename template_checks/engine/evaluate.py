"""The one place that calls a check."""

from __future__ import annotations

from dataclasses import replace

from template_checks.checks.base import CheckResult, Mismatch, NotExercised
from template_checks.checks.case import Case, RenderedPrefixes
from template_checks.checks.findings import Item
from template_checks.checks.fingerprint import fingerprint
from template_checks.config.target import Target
from template_checks.core.conversation import Conversation
from template_checks.core.rendering import Rendering


def evaluate(item: Item, case: Case) -> CheckResult:
    """What the item's check says of one case, whose renderer rendered it; makes the variants that the check declares.

    The reference's variants are made too, where there are any to compare with.
    """
    check = item.check
    assert check.case is not None
    if check.variants:
        case.rendered.make(case.renderer, case.length, check.variants)
        if not case.is_reference and case.reference is not None:
            case.rendered.make(case.target.config.reference, case.length, check.variants)
    return check.case(case)


def evaluate_target(item: Item, target: Target) -> CheckResult:
    """What a check of the target says; nothing for a check of cases."""
    return item.check.target(target) if item.check.target is not None else []


def cases_of(item: Item, target: Target, conversation: Conversation) -> list[Case]:
    """The prefixes of a conversation that the item looks at, rendered by those renderers that it needs."""
    if item.renderer is None or item.purpose is None or item.check.case is None:
        return []
    only = None if item.check.wide else {item.renderer, target.config.reference}
    rendered = RenderedPrefixes(target, conversation, only)
    return rendered.cases(item.renderer, item.purpose)


def find_mismatch(target: Target, item: Item, mark: str, conversation: Conversation | None) -> Mismatch | None:
    """The mismatch with this fingerprint, in a prefix of this conversation or, without one, in the target."""
    if conversation is None:
        return with_fingerprint(evaluate_target(item, target), item, mark)
    for case in cases_of(item, target, conversation):
        if isinstance(case.result, Rendering):
            mismatch = with_fingerprint(evaluate(item, case), item, mark)
            if mismatch is not None:
                return mismatch if mismatch.conversation is not None else replace(mismatch, conversation=conversation)
    return None


def with_fingerprint(result: CheckResult, item: Item, mark: str) -> Mismatch | None:
    """The mismatch of a check's result that has this fingerprint."""
    if isinstance(result, NotExercised):
        return None
    return next((m for m in result if fingerprint(item.check.name, item.renderer, m) == mark), None)
