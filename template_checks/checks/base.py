"""What a check is, and what it returns. A check is one named property over renderings, with a promise in one sentence.

A check looks at one `Case` (a prefix as one renderer rendered it) or, once a run, at the target. It renders nothing.
It returns the mismatches it saw (none where the property holds), or `NotExercised` where the case did not reach it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation, Feature, Purpose
from template_checks.core.rendering import Rendering
from template_checks.divergence.alignment import TokenRange

if TYPE_CHECKING:
    from template_checks.checks.case import Case
    from template_checks.config.target import Target
    from template_checks.divergence.model import Difference
    from template_checks.renderers.base import Renderer

Severity = Literal["blocking", "advisory"]


@dataclass(frozen=True)
class Mismatch:
    """A check that does not hold for one conversation (or for the target, then without conversation).

    `detail` makes the fingerprint, with check, renderer, purpose and cause: it holds neither message numbers nor
    contents. `expected` and `actual` are token ranges to look at in the two renderings.
    """

    severity: Severity
    cause: Cause
    detail: tuple[str, ...]
    summary: str
    place: str = ""
    conversation: Conversation | None = None
    left: Rendering | None = None
    right: Rendering | None = None
    left_name: str = ""
    right_name: str = ""
    expected: TokenRange | None = None
    actual: TokenRange | None = None
    window: str = ""
    core: str = ""


@dataclass(frozen=True)
class NotExercised:
    """The case does not reach the property, and why; `never` says that no case of this renderer can."""

    reason: str
    never: bool = False


CheckResult = list[Mismatch] | NotExercised
_HARMLESS = {Cause.TAIL, Cause.EMPTY_MESSAGE_DROPPED}
"""No prompt holds a tail, and an empty message that one side leaves out takes nothing with it but scaffold."""

CaseFunction = Callable[["Case"], CheckResult]
TargetFunction = Callable[["Target"], CheckResult]
Applies = Callable[["Target", "Renderer"], bool]


@dataclass(frozen=True)
class Check:
    """A registered check.

    `per_target` checks run once, without conversations. A `wide` check looks at other renderers than its own and the
    reference; one that looks `ahead` compares a prefix with the longer conversations that begin with it. A `sparse` one
    renders again what was rendered, so that it looks at the first conversations and then at one in many. One that
    `needs` features is unsupported by renderers that know none of them.
    """

    name: str
    family: str
    promise: str
    page: str
    purposes: tuple[Purpose, ...]
    per_target: bool
    applies: Applies
    wide: bool = False
    ahead: bool = False
    sparse: bool = False
    needs: frozenset[Feature] = frozenset()
    case: CaseFunction | None = None
    target: TargetFunction | None = None


def mismatch_at(
    case: Case,
    cause: Cause,
    detail: tuple[str, ...],
    summary: str,
    place: str,
    tokens: TokenRange,
    *,
    severity: Severity = "blocking",
    scaffold: str = "",
) -> Mismatch:
    """A mismatch of one rendering at some of its tokens.

    Args:
        case: where it was seen.
        cause: likely cause.
        detail: see `Mismatch`.
        summary: one sentence.
        place: where, in words.
        tokens: which tokens of the rendering; what lies behind its end is cut off.
        severity: blocking unless said otherwise.
        scaffold: the scaffold at fault, by which the literal it comes from is found.
    """
    length = len(case.rendering.ids)
    return Mismatch(
        severity,
        cause,
        detail,
        summary,
        place,
        case.conversation,
        right=case.rendering,
        right_name=case.renderer,
        actual=TokenRange(min(tokens.start, length), min(tokens.end, length)),
        window=scaffold,
        core=scaffold,
    )


def mismatch_from(case: Case, difference: Difference) -> Mismatch:
    """The mismatch of a case with the reference at one difference."""
    return Mismatch(
        "advisory" if difference.cause in _HARMLESS else "blocking",
        difference.cause,
        difference.detail,
        difference.summary,
        difference.place,
        case.conversation,
        case.reference,
        case.rendering,
        case.target.config.reference,
        case.renderer,
        difference.expected,
        difference.actual,
        difference.window,
        difference.core,
    )
