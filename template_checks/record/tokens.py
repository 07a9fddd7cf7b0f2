"""Tokens as a record shows them."""

from __future__ import annotations

import re

from template_checks.checks.base import Mismatch
from template_checks.core.causes import Cause
from template_checks.core.display import visible
from template_checks.core.rendering import Rendering
from template_checks.core.tokenizer import Tokenizer
from template_checks.divergence.alignment import text_under

_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")


def display_tokens(rendering: Rendering, tokenizer: Tokenizer) -> list[str]:
    """Each token as it is shown: control tokens by name, others as the text they cover, white space visible."""
    control = set(tokenizer.control_tokens.values())
    spans = rendering.token_spans
    shown = []
    for position, index in enumerate(rendering.ids):
        name = tokenizer.token(index)
        covered = rendering.text[slice(*spans[position])] if spans else ""
        if index in control or not covered or _BYTE_TOKEN.fullmatch(name):
            shown.append(visible(name))
        else:
            shown.append(f'"{visible(covered)}"')
    return shown


def same_text(mismatch: Mismatch) -> bool:
    """Whether both sides' marked tokens cover the same text, so that only the ids differ.

    The cause alone does not say so: where a longer conversation merges the end of a prompt with what follows, that is
    a seam as well, and its text goes on.
    """
    expected, actual = mismatch.expected, mismatch.actual
    if mismatch.cause not in {Cause.SEAM, Cause.OTHER_TOKENS} or expected is None or actual is None:
        return False
    if not (expected.rendering.has_text and actual.rendering.has_text):
        return False
    want, have = text_under(expected.rendering, expected.tokens), text_under(actual.rendering, actual.tokens)
    return want is not None and have is not None and want[0] == have[0]
