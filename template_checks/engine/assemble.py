"""The one place that assembles a finding."""

from __future__ import annotations

from template_checks.checks.base import Mismatch
from template_checks.checks.findings import Finding, Item
from template_checks.config.target import Target
from template_checks.engine.locate import locate


def assemble(target: Target, item: Item, mismatch: Mismatch, fingerprint: str, conversations: int = 0) -> Finding:
    """The finding that a mismatch is, with the literal that it comes from; nothing is accepted yet.

    `conversations` counts those examined until it was first seen; 0 where nobody searched.
    """
    return Finding(
        target=target.name,
        item=item,
        mismatch=mismatch,
        fingerprint=fingerprint,
        conversations=conversations,
        source=locate(target, item.renderer, mismatch),
    )
