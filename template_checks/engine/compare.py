"""Two renderers on one conversation."""

from __future__ import annotations

from typing import NamedTuple

from template_checks.checks.base import mismatch_from
from template_checks.checks.case import Case, RenderedPrefixes
from template_checks.checks.findings import Finding, Item
from template_checks.checks.fingerprint import fingerprint
from template_checks.checks.registry import get_checks
from template_checks.config.target import Target
from template_checks.core.conversation import Conversation
from template_checks.core.errors import TemplateChecksError, Unsupported, UsageError
from template_checks.core.rendering import Rendering
from template_checks.engine.assemble import assemble

_CHECK = "same-tokens"


class Compared(NamedTuple):
    """Where the second renderer parts from the first, in order, and how many ids it gives."""

    findings: list[Finding]
    ids: int


def compare_renderers(target: Target, a: str, b: str, conversation: Conversation) -> Compared:
    """Compare `b` with `a` on one conversation, each difference as the check `same-tokens` reports it.

    Raises:
        TemplateChecksError: the target has no such renderer, or one does not render the conversation.
    """
    for name in (a, b):
        target.working(name)
    rendered = RenderedPrefixes(target.compared_with(a), conversation, [a, b])
    _rendered(rendered, a)
    case = _rendered(rendered, b)
    item = Item(get_checks((_CHECK,))[0], b, conversation.purpose)
    mismatches = [mismatch_from(case, difference) for difference in case.differences]
    found = [assemble(target, item, mismatch, fingerprint(_CHECK, b, mismatch)) for mismatch in mismatches]
    return Compared(found, len(case.rendering.ids))


def _rendered(rendered: RenderedPrefixes, name: str) -> Case:
    """The whole conversation as this renderer renders it."""
    case = rendered.case(name, len(rendered.conversation.messages))
    if case is None:
        purpose = rendered.conversation.purpose
        raise UsageError(
            f"The renderer {name!r} does not render for {purpose!r}.",
            hint="a conversation that ends with the user is a prompt (generate), one that ends with the assistant is "
            "a training text (train)",
        )
    if isinstance(case.result, Rendering):
        return case
    kind = "does not support" if isinstance(case.result, Unsupported) else "broke on"
    raise TemplateChecksError(f"The renderer {name!r} {kind} this conversation: {case.result}")
