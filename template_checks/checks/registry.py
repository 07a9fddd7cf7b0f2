"""The registry of checks: how one is registered, and how it is found by name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable

from template_checks.checks.base import Applies, CaseFunction, Check, TargetFunction
from template_checks.checks.variants import Variant
from template_checks.core.conversation import Feature, Purpose
from template_checks.core.errors import UsageError
from template_checks.core.suggest import suggest

FAMILIES = ("tokens", "content", "prompt", "stops", "labels", "history", "tools", "reasoning", "repeat")
"""Modules of this package, one a family, in the order in which checks are listed."""

registry: dict[str, Check] = {}


def case_check(
    family: str,
    promise: str,
    *,
    purposes: tuple[Purpose, ...] = ("train", "generate"),
    applies: Applies = lambda _target, _renderer: True,
    wide: bool = False,
    ahead: bool = False,
    compares: bool = False,
    variants: tuple[Variant, ...] = (),
    needs: tuple[Feature, ...] = (),
) -> Callable[[CaseFunction], CaseFunction]:
    """Register a function over cases as a check; its name gives the check's, its docstring the check's page.

    The keywords are those of `Check`.
    """

    def register(function: CaseFunction) -> CaseFunction:
        name, page = _name_and_page(function)
        registry[name] = Check(
            name=name,
            family=family,
            promise=promise,
            page=page,
            purposes=purposes,
            applies=applies,
            wide=wide,
            ahead=ahead,
            compares=compares,
            variants=variants,
            needs=frozenset(needs),
            case=function,
        )
        return function

    return register


def target_check(family: str, promise: str) -> Callable[[TargetFunction], TargetFunction]:
    """Register a function over the target as a check."""

    def register(function: TargetFunction) -> TargetFunction:
        name, page = _name_and_page(function)
        registry[name] = Check(name=name, family=family, promise=promise, page=page, target=function)
        return function

    return register


def _name_and_page(function: Callable[..., object]) -> tuple[str, str]:
    return function.__name__.replace("_", "-"), inspect.cleandoc(function.__doc__ or "")


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
