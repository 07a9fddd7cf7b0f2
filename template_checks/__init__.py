"""template-checks: proves that the tokens a chat model was trained on are the tokens it will be served.

What is listed in `__all__` is the public API, documented in docs/python-api.md; everything else may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"
"""The version of this package."""

if TYPE_CHECKING:
    from template_checks.api import Function as Function
    from template_checks.api import RunResult as RunResult
    from template_checks.api import assert_check as assert_check
    from template_checks.api import assert_same_text as assert_same_text
    from template_checks.api import assert_same_tokens as assert_same_tokens
    from template_checks.api import conversations as conversations
    from template_checks.api import load_target as load_target
    from template_checks.api import make_target as make_target
    from template_checks.api import render as render
    from template_checks.api import run as run
    from template_checks.checks.base import CheckResult as CheckResult
    from template_checks.checks.base import Mismatch as Mismatch
    from template_checks.checks.base import NotExercised as NotExercised
    from template_checks.checks.base import mismatch_at as mismatch_at
    from template_checks.checks.case import Case as Case
    from template_checks.checks.registry import case_check as case_check
    from template_checks.checks.registry import target_check as target_check
    from template_checks.config.target import Target as Target
    from template_checks.core.causes import Cause as Cause
    from template_checks.core.content_spans import ContentLocator as ContentLocator
    from template_checks.core.conversation import Conversation as Conversation
    from template_checks.core.conversation import Message as Message
    from template_checks.core.errors import RenderError as RenderError
    from template_checks.core.errors import TemplateChecksError as TemplateChecksError
    from template_checks.core.errors import Unsupported as Unsupported
    from template_checks.core.errors import UsageError as UsageError
    from template_checks.core.rendering import Encoded as Encoded
    from template_checks.core.rendering import Piece as Piece
    from template_checks.core.rendering import Rendering as Rendering
    from template_checks.divergence.alignment import TokenRange as TokenRange
    from template_checks.divergence.alignment import tokens_at as tokens_at
    from template_checks.renderers.base import Renderer as Renderer
    from template_checks.renderers.base import RendererOptions as RendererOptions

_HOMES = {
    "api": "Function RunResult assert_check assert_same_text assert_same_tokens conversations load_target make_target "
    "render run",
    "checks.base": "CheckResult Mismatch NotExercised mismatch_at",
    "checks.case": "Case",
    "checks.registry": "case_check target_check",
    "config.target": "Target",
    "core.causes": "Cause",
    "core.content_spans": "ContentLocator",
    "core.conversation": "Conversation Message",
    "core.errors": "RenderError TemplateChecksError Unsupported UsageError",
    "core.rendering": "Encoded Piece Rendering",
    "divergence.alignment": "TokenRange tokens_at",
    "renderers.base": "Renderer RendererOptions",
}
"""Where each public name is at home: it is imported when it is first used, so that the command line starts quickly."""

_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Case",
    "Cause",
    "CheckResult",
    "ContentLocator",
    "Conversation",
    "Encoded",
    "Function",
    "Message",
    "Mismatch",
    "NotExercised",
    "Piece",
    "RenderError",
    "Renderer",
    "RendererOptions",
    "Rendering",
    "RunResult",
    "Target",
    "TemplateChecksError",
    "TokenRange",
    "Unsupported",
    "UsageError",
    "__version__",
    "assert_check",
    "assert_same_text",
    "assert_same_tokens",
    "case_check",
    "conversations",
    "load_target",
    "make_target",
    "mismatch_at",
    "render",
    "run",
    "target_check",
    "tokens_at",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
