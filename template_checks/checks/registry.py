"""The registry of checks: how one is registered, and how it is found by name.

Checks are ours, or come from another package by an entry point of the group `template_checks.checks`, or from a
conftest.py. A package that cannot be loaded is one message, and the others are used as before.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from template_checks.checks.base import Applies, CaseFunction, Check, TargetFunction
from template_checks.checks.variants import Variant
from template_checks.core.conversation import Feature, Purpose
from template_checks.core.errors import TemplateChecksError, UsageError
from template_checks.core.plugins import LOADING_ERRORS, is_ours, package_of, reason
from template_checks.core.suggest import suggest

FAMILIES = ("tokens", "content", "prompt", "stops", "labels", "history", "tools", "reasoning", "repeat")
"""Our own families, each a module of this package, in the order in which checks are listed. Others come after them."""

GROUP = "template_checks.checks"

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

    Raises:
        UsageError: another function is registered by this name.
    """

    def register(function: CaseFunction) -> CaseFunction:
        _register(
            Check(
                name=_name(function),
                family=family,
                promise=promise,
                page=_page(function, promise),
                purposes=purposes,
                applies=applies,
                wide=wide,
                ahead=ahead,
                compares=compares,
                variants=variants,
                needs=frozenset(needs),
                case=function,
            )
        )
        return function

    return register


def target_check(family: str, promise: str) -> Callable[[TargetFunction], TargetFunction]:
    """Register a function over the target as a check.

    Raises:
        UsageError: another function is registered by this name.
    """

    def register(function: TargetFunction) -> TargetFunction:
        name, page = _name(function), _page(function, promise)
        _register(Check(name=name, family=family, promise=promise, page=page, target=function))
        return function

    return register


def all_checks() -> dict[str, Check]:
    """Every check by name: our families in their order, then those of others by name."""
    _load_own_families()
    _load_plugins()
    # One family may use another's words, and is then registered after it.
    return {check.name: check for check in sorted(registry.values(), key=_rank)}


def own_checks() -> dict[str, Check]:
    """The checks of this package, without those that others add."""
    return {name: check for name, check in all_checks().items() if is_ours(_function(check).__module__)}


def get_checks(names: tuple[str, ...]) -> list[Check]:
    """The checks of these names; all for none.

    Raises:
        UsageError: an unknown name; names the nearest, and what could not be loaded.
    """
    known = all_checks()
    for name in names:
        if name not in known:
            hint = "; ".join((suggest(name, known, "known checks"), *plugin_problems()))
            raise UsageError(f"Unknown check {name!r}.", hint=hint)
    return [check for check in known.values() if not names or check.name in names]


def exists_everywhere(check: Check) -> bool:
    """Whether the command line knows it too: it is ours or comes by an entry point, not from a conftest.py."""
    package = _package(_function(check).__module__)
    return is_ours(package) or any(_package(entry.value) == package for entry in _entry_points())


def plugin_problems() -> list[str]:
    """What is wrong with packages that add checks, a sentence each: their checks are missing from every run."""
    _load_own_families()
    return list(_load_plugins())


def _function(check: Check) -> CaseFunction | TargetFunction:
    function = check.case or check.target
    assert function is not None
    return function


def _name(function: CaseFunction | TargetFunction) -> str:
    return function.__name__.replace("_", "-")


def _page(function: CaseFunction | TargetFunction, promise: str) -> str:
    return inspect.cleandoc(function.__doc__ or "") or promise


def _rank(check: Check) -> tuple[int, str]:
    """What to sort by; those of one family stay in the order in which they were registered."""
    return (FAMILIES.index(check.family), "") if check.family in FAMILIES else (len(FAMILIES), check.family)


def _register(check: Check) -> None:
    """Add a check. A module that is imported again replaces its own, and nobody replaces another's."""
    function = _function(check)
    if not is_ours(function.__module__):
        _load_own_families()  # whoever comes first has the name, and that is always us
    if check.name in registry:
        known = _function(registry[check.name])
        if _origin(known) != _origin(function):
            raise UsageError(
                f"Two checks are named {check.name!r}: {_full_name(known)} and {_full_name(function)}.",
                where=f"{_origin(known)[1]} and {_origin(function)[1]}",
                hint="rename one of the functions",
            )
    registry[check.name] = check


def _full_name(function: CaseFunction | TargetFunction) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _origin(function: CaseFunction | TargetFunction) -> tuple[str, str]:
    """Full name and file: two files named conftest.py have one module name. The cells of a notebook are one file."""
    file = inspect.unwrap(function).__code__.co_filename
    return _full_name(function), "a notebook or script" if function.__module__ == "__main__" else file


def _load_own_families() -> None:
    for family in FAMILIES:
        importlib.import_module(f"template_checks.checks.{family}")


def _package(value: str) -> str:
    """The package of a module, or of the value of an entry point."""
    return value.partition(":")[0].split(".")[0].strip()


def _entry_points() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))


@cache
def _load_plugins() -> tuple[str, ...]:
    """Load every entry point once; says of each that could not be loaded why not."""
    problems = []
    for entry in _entry_points():
        before = set(registry)
        try:
            _load(entry)
        except LOADING_ERRORS as error:
            _forget_broken_modules(before)
            package = package_of(entry)
            problems.append(f"The checks of {package} ({entry.name}) cannot be loaded: {reason(error)}")
    return tuple(problems)


def _load(entry: EntryPoint) -> None:
    """Import the module that an entry point names, so that its decorators register; it may name one check in it."""
    loaded = entry.load()
    if entry.attr:
        if not any(_function(check) is loaded for check in registry.values()):
            raise TemplateChecksError(f"{entry.value} is decorated with neither case_check nor target_check")
        return
    if not any(_package(_function(check).__module__) == _package(entry.value) for check in registry.values()):
        raise TemplateChecksError(f"{entry.module} registers no check")


def _forget_broken_modules(before: set[str]) -> None:
    """Drop what was registered by a module whose import failed later on: half a plug-in looks like a whole one."""
    for name in registry.keys() - before:
        if _function(registry[name]).__module__ not in sys.modules:
            del registry[name]
