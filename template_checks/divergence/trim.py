"""The part in which two strings differ, never cutting through a control token."""

from __future__ import annotations

import re

from template_checks.divergence.alignment import common_prefix, common_suffix


def trim_common(want: str, have: str, control: re.Pattern[str]) -> tuple[int, str, str]:
    """Trim what two strings have in common.

    An insertion or deletion that fits at several positions is moved so that it begins with a control token, where
    it can: `<|im_start|>system…<|im_end|>` rather than `system…<|im_end|><|im_start|>`.

    Args:
        want: one string.
        have: the other.
        control: matches control tokens, through which no cut is made.

    Returns:
        the length of the common start, and what remains of each string between common start and common end.
    """
    prefix = common_prefix(want, have)
    prefix = min(_outside(want, prefix, control)[0], _outside(have, prefix, control)[0])
    suffix = common_suffix(want[prefix:], have[prefix:])
    suffix = min(len(text) - _outside(text, len(text) - suffix, control)[1] for text in (want, have))
    core_want, core_have = want[prefix : len(want) - suffix], have[prefix : len(have) - suffix]
    if core_want and core_have:
        return prefix, core_want, core_have
    longer, length = (have, len(core_have)) if core_have else (want, len(core_want))
    start = _begin_at_control(longer, prefix, length, control)
    moved = longer[start : start + length]
    return start, "" if core_have else moved, moved if core_have else ""


def common_end(a: str, b: str, control: re.Pattern[str]) -> int:
    """Length of the common end of two strings that cuts through no control token of `a`."""
    cut = len(a) - common_suffix(a, b)
    return len(a) - _outside(a, cut, control)[1]


def _outside(text: str, position: int, control: re.Pattern[str]) -> tuple[int, int]:
    """The nearest positions, not after and not before, at which no control token is cut through."""
    for match in control.finditer(text):
        if match.start() < position < match.end():
            return match.span()
        if match.start() >= position:
            break
    return position, position


def _begin_at_control(text: str, start: int, length: int, control: re.Pattern[str]) -> int:
    """Where a run that repeats can begin with a control token: as it is, or further to the left."""
    for earlier in range(start, max(-1, start - length), -1):
        if earlier < start and text[earlier] != text[earlier + length]:
            break
        if control.match(text, earlier):
            return earlier
    return start
