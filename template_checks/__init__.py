"""template-checks: proves that the tokens a chat model was trained on are the tokens it will be served."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Case": "checks.case",
    "Cause": "core.causes",
    "CheckResult": "checks.base",
    "ContentLocator": "core.content_spans",
    "NotExercised": "checks.base",
    "Piece": "core.rendering",
    "RenderError": "core.errors",
    "Renderer": "renderers.base",
    "Rendering": "core.rendering",
    "Unsupported": "core.errors",
    "case_check": "checks.registry",
    "mismatch_at": "checks.base",
    "target_check": "checks.registry",
    "tokens_at": "divergence.alignment",
}
"""Where the names live that other packages use. They are imported when asked for: `--help` is quick."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
