"""Which literal of an artefact a piece of scaffold comes from."""

from __future__ import annotations

from template_checks.checks.base import Mismatch
from template_checks.config.target import Target
from template_checks.core.rendering import SourceLiteral

_TELLING = 8
"""Characters from which on a literal inside a longer difference says where that comes from."""


def locate(target: Target, renderer: str | None, mismatch: Mismatch) -> str | None:
    """File, line and name of the one literal that holds the scaffold around a mismatch; None where it is not certain.

    The longest stretch of scaffold around the difference that stands in a literal decides; of a literal over several
    lines, the line. A difference made of several literals is placed at the longest of them.
    """
    if renderer is None or renderer not in target.renderers or not mismatch.scaffold:
        return None
    source_literals = target.renderers[renderer].source_literals
    for stretch in _stretches(mismatch.window, mismatch.scaffold):
        holding = [origin for origin in source_literals if stretch in origin.value]
        if holding:
            return _most_exact(_narrowed(holding, source_literals, mismatch))
    inside = [o for o in source_literals if len(o.value) >= _TELLING and o.value in mismatch.scaffold]
    longest = max((len(origin.value) for origin in inside), default=0)
    return _most_exact([origin for origin in inside if len(origin.value) == longest]) if inside else None


def _stretches(window: str, core: str) -> list[str]:
    """Parts of the window that hold the core, longest first; the core alone only if it is more than white space."""
    at = window.find(core)
    if at < 0:
        return [core] if core.strip() else []
    end = at + len(core)
    found = [window[a:b] for a in range(at + 1) for b in range(end, len(window) + 1)]
    found = [stretch for stretch in found if stretch.strip() and len(stretch) > 2]
    return sorted(found, key=len, reverse=True)


def _narrowed(
    holding: list[SourceLiteral], source_literals: list[SourceLiteral], mismatch: Mismatch
) -> list[SourceLiteral]:
    """Of one literal over several lines, the line that holds the longest stretch."""
    if len({origin.name for origin in holding}) != 1:
        return holding
    whole = max(holding, key=lambda origin: len(origin.value))
    lines = [o for o in source_literals if o.name == whole.name and o.value != whole.value and o.value in whole.value]
    for stretch in _stretches(mismatch.window, mismatch.scaffold):
        found = [origin for origin in lines if stretch in origin.value]
        if found:
            return found
    return holding


def _most_exact(source_literals: list[SourceLiteral]) -> str | None:
    shortest = min(len(origin.value) for origin in source_literals)
    best = {(origin.where, origin.name) for origin in source_literals if len(origin.value) == shortest}
    if len(best) != 1:
        return None
    where, name = best.pop()
    return f"{where} {name}"
