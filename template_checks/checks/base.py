"""What a check is, and what it returns. A check is one named property over renderings, with a promise in one sentence.

A check looks at one `Case` (a prefix as one renderer rendered it) or, once a run, at the target. It renders nothing.
It returns the mismatches it saw (none where the property holds), or `NotExercised` where the case did not reach it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from template_checks.checks.variants import EXPENSIVE, Variant
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
class Side:
    """One of the renderings that a mismatch is about: its name, and the range of tokens to look at."""

    name: str
    rendering: Rendering
    tokens: TokenRange


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """A check that does not hold for one conversation (or for the target, then without conversation).

    `detail` makes the fingerprint, with check, renderer and cause: it holds neither message numbers nor contents.
    `expected` is what `actual` is compared with, where two renderings are. `scaffold` is the scaffold at fault,
    `window` the same with what surrounds it: by them the literal that it comes from is found.
    """

    severity: Severity
    cause: Cause
    detail: tuple[str, ...]
    summary: str
    position: str = ""
    conversation: Conversation | None = None
    expected: Side | None = None
    actual: Side | None = None
    window: str = ""
    scaffold: str = ""


@dataclass(frozen=True)
class NotExercised:
    """The case does not reach the property, and why; `never` says that no case of this renderer can."""

    reason: str
    never: bool = False


CheckResult = list[Mismatch] | NotExercised
"""What a check returns: the mismatches it saw, none where it holds, or why the case does not reach it."""

_HARMLESS = {Cause.TAIL, Cause.EMPTY_MESSAGE_DROPPED}
"""No prompt holds a tail, and an empty message that one side leaves out takes nothing with it but scaffold."""

CaseFunction = Callable[["Case"], CheckResult]
TargetFunction = Callable[["Target"], CheckResult]
Applies = Callable[["Target", "Renderer"], bool]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A registered check; it has either `case`, a function over cases, or `target`, one that runs once.

    A `wide` check looks at other renderers than its own and the reference; one that looks `ahead` compares a prefix
    with the longer conversations that begin with it. `variants` are the further renderings that it compares with: the
    engine makes them. One that `needs` features is unsupported by renderers that know none of them. `compares` says
    that its mismatches are differences from the reference.
    """

    name: str
    family: str
    promise: str
    page: str
    purposes: tuple[Purpose, ...] = ()
    applies: Applies = lambda _target, _renderer: True
    wide: bool = False
    ahead: bool = False
    compares: bool = False
    variants: tuple[Variant, ...] = ()
    needs: frozenset[Feature] = frozenset()
    case: CaseFunction | None = None
    target: TargetFunction | None = None

    @property
    def sparse(self) -> bool:
        """Whether it looks at the first conversations and then at one in many: its variants render again each time."""
        return not EXPENSIVE.isdisjoint(self.variants)


def mismatch_at(
    case: Case,
    cause: Cause,
    detail: tuple[str, ...],
    summary: str,
    position: str,
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
        position: where, in words.
        tokens: which tokens of the rendering; a range beyond its end is cut off.
        severity: blocking unless said otherwise.
        scaffold: the scaffold at fault, by which the literal it comes from is found.
    """
    length = len(case.rendering.ids)
    within = TokenRange(min(tokens.start, length), min(tokens.end, length))
    return Mismatch(
        severity=severity,
        cause=cause,
        detail=detail,
        summary=summary,
        position=position,
        conversation=case.conversation,
        actual=Side(case.renderer, case.rendering, within),
        window=scaffold,
        scaffold=scaffold,
    )


def mismatch_from(case: Case, difference: Difference) -> Mismatch:
    """The mismatch of a case with the reference at one difference."""
    assert case.reference is not None
    return Mismatch(
        severity="advisory" if difference.cause in _HARMLESS else "blocking",
        cause=difference.cause,
        detail=difference.detail,
        summary=difference.summary,
        position=difference.position,
        conversation=case.conversation,
        expected=Side(case.target.config.reference, case.reference, difference.expected),
        actual=Side(case.renderer, case.rendering, difference.actual),
        window=difference.window,
        scaffold=difference.core,
    )
