"""The registry of checks. A check is one named property over renderings, with a promise in one sentence.

A check looks at one `Case` (a prefix as one renderer rendered it) or, once a run, at the target. It renders nothing.
It returns the mismatches it saw (none where the property holds), or `NotExercised` where the case did not reach it.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation, Feature, Purpose
from template_checks.core.errors import UsageError
from template_checks.core.rendering import Rendering
from template_checks.core.suggest import suggest
from template_checks.divergence.alignment import TokenRange

if TYPE_CHECKING:
    from template_checks.checks.case import Case
    from template_checks.config.target import Target
    from template_checks.divergence.model import Difference
    from template_checks.renderers.base import Renderer

FAMILIES = ("tokens", "content", "prompt", "stops", "labels", "history", "tools", "reasoning", "repeat")
"""Modules of this package, one a family, in the order in which checks are listed."""

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


Verdict = list[Mismatch] | NotExercised
_HARMLESS = {Cause.TAIL, Cause.EMPTY_MESSAGE_DROPPED}
"""No prompt holds a tail, and an empty message that one side leaves out takes nothing with it but scaffold."""

CaseFunction = Callable[["Case"], Verdict]
TargetFunction = Callable[["Target"], Verdict]
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


registry: dict[str, Check] = {}


def case_check(
    family: str,
    promise: str,
    *,
    purposes: tuple[Purpose, ...] = ("train", "generate"),
    applies: Applies = lambda _target, _renderer: True,
    wide: bool = False,
    ahead: bool = False,
    sparse: bool = False,
    needs: tuple[Feature, ...] = (),
) -> Callable[[CaseFunction], CaseFunction]:
    """Register a function over cases as a check; its name gives the check's, its docstring the check's page."""

    def register(function: CaseFunction) -> CaseFunction:
        name = function.__name__.replace("_", "-")
        page = inspect.cleandoc(function.__doc__ or "")
        registry[name] = Check(
            name, family, promise, page, purposes, False, applies, wide, ahead, sparse, frozenset(needs), case=function
        )
        return function

    return register


def target_check(family: str, promise: str) -> Callable[[TargetFunction], TargetFunction]:
    """Register a function over the target as a check."""

    def register(function: TargetFunction) -> TargetFunction:
        name = function.__name__.replace("_", "-")
        page = inspect.cleandoc(function.__doc__ or "")
        registry[name] = Check(name, family, promise, page, (), True, lambda _t, _r: True, target=function)
        return function

    return register


def all_checks() -> dict[str, Check]:
    """Every check by name, in the order of the families."""
    for family in FAMILIES:
        importlib.import_module(f"template_checks.checks.{family}")
    # One family may use another's words, and is then registered after it.
    return {check.name: check for check in sorted(registry.values(), key=lambda check: FAMILIES.index(check.family))}


def get_checks(names: tuple[str, ...]) -> list[Check]:
    """The checks of these names; all for none.

    Raises:
        UsageError: an unknown name; names the nearest.
    """
    known = all_checks()
    for name in names:
        if name not in known:
            raise UsageError(f"Unknown check {name!r}.", hint=suggest(name, known, "known checks"))
    return [check for check in known.values() if not names or check.name in names]


def seen_in(
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


def from_difference(case: Case, difference: Difference) -> Mismatch:
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
