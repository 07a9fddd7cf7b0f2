"""What a liar is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from template_checks.config.target import Target
from template_checks.core.causes import Cause


@dataclass(frozen=True)
class Liar:
    """`check` must catch `lie` with `cause`, and be silent on `honest`."""

    name: str
    check: str
    cause: Cause
    lie: Callable[[], Target]
    honest: Callable[[], Target]
    messages: int = 2
    severity: str = "blocking"
