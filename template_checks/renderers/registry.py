"""The registry of renderer types: by name, from the entry point group `template_checks.renderers`.

A type is loaded when it is asked for. One that cannot be loaded is one message, and the others are used as before.
"""

from __future__ import annotations

import inspect
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from template_checks.core.errors import ArtefactError, UsageError
from template_checks.core.plugins import LOADING_ERRORS, is_ours, package_of, reason
from template_checks.core.suggest import did_you_mean
from template_checks.renderers.base import Renderer

GROUP = "template_checks.renderers"


def renderer_names() -> list[str]:
    """Names of all known renderer types, also of those that cannot be loaded."""
    return sorted(_entries())


def get_renderer_type(name: str, where: str) -> type[Renderer]:
    """The renderer type `name`.

    Raises:
        UsageError: no such type; names the nearest.
        ArtefactError: the package that adds it is broken, or two packages add it.
    """
    if name not in _entries():
        raise UsageError(
            f"Unknown renderer type {name!r}.",
            where=where,
            hint=f"{did_you_mean(name, _entries())} known types: {', '.join(renderer_names())}".lstrip(),
        )
    loaded = _loaded(name)
    if isinstance(loaded, str):
        raise ArtefactError(
            f"The renderer type {name!r} {loaded}",
            where=where,
            hint="reinstall, correct or remove the package that adds it",
        )
    return loaded


def own_renderer_types() -> dict[str, type[Renderer]]:
    """The renderer types of this package, without those that other packages add."""
    return {name: get_renderer_type(name, "") for name in renderer_names() if is_ours(_entries()[name][0].value)}


def describe_renderers() -> list[tuple[str, str]]:
    """Name and summary of every renderer type, or why it cannot be used."""
    lines = []
    for name in renderer_names():
        loaded = _loaded(name)
        lines.append((name, loaded if isinstance(loaded, str) else loaded.summary))
        first, *others = _entries()[name]
        if is_ours(first.value):
            lines += [(name, f"is ignored: the name is taken (from {package_of(entry)})") for entry in others]
    return lines


@cache
def _entries() -> dict[str, list[EntryPoint]]:
    """The entry points of each name, ours first."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (not is_ours(entry.value), entry.value)):
        found.setdefault(entry.name, {}).setdefault(entry.value, entry)
    return {name: list(entries.values()) for name, entries in found.items()}


@cache
def _loaded(name: str) -> type[Renderer] | str:
    """The type, or why it cannot be used. Ours wins; of two that others add, neither does."""
    first, *others = _entries()[name]
    if others and not is_ours(first.value):
        return f"cannot be chosen: it is added by {' and by '.join(map(package_of, (first, *others)))}"
    try:
        problem = _problem(loaded := first.load())
    except LOADING_ERRORS as error:
        problem = reason(error)
    return loaded if problem is None else f"cannot be loaded: {problem} (from {package_of(first)})"


def _problem(loaded: object) -> str | None:
    """Why this is no renderer type; None where it is one."""
    if not (isinstance(loaded, type) and issubclass(loaded, Renderer)):
        return f"{loaded!r} is no subclass of Renderer"
    if inspect.isabstract(loaded):
        return f"{loaded.__qualname__} has no method {' and no method '.join(sorted(loaded.__abstractmethods__))}"
    missing = [name for name in ("type", "summary") if not isinstance(getattr(loaded, name, None), str)]
    return f"{loaded.__qualname__} has no text {' and no text '.join(missing)}" if missing else None
