"""Which checks look at which renderers of a target."""

from __future__ import annotations

from template_checks.checks.base import Check
from template_checks.checks.findings import Item
from template_checks.config.target import Target
from template_checks.renderers.registry import get_renderer_type


def plan(target: Target, checks: list[Check]) -> list[Item]:
    """Every check × renderer × purpose that applies, in the order of the checks."""
    items = []
    for check in checks:
        if check.target is not None:
            items.append(Item(check, None, None))
            continue
        for name, renderer in target.renderers.items():
            if check.applies(target, renderer):
                items += [Item(check, name, purpose) for purpose in check.purposes if purpose in renderer.purposes]
        for name in target.broken:
            kind = get_renderer_type(target.config.renderers[name]["type"], target.name)
            items += [Item(check, name, purpose) for purpose in check.purposes if purpose in kind.purposes]
    return items
