"""Hypothesis strategies for conversations, cheap to draw and quick to shrink.

Public: `contents`, `conversations`, `starters`.
"""

from template_checks.strategies.contents import contents, fragments
from template_checks.strategies.conversations import conversations, starters

__all__ = ["contents", "conversations", "fragments", "starters"]
