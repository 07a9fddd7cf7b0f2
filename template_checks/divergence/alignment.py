"""Alignment of two tokenizations over the runs of text that both share.

No search (such as Myers 1986) is needed: inside a run that is equal character for character, the two part where their
token boundaries or ids part, and meet again at the next boundary they have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from template_checks.core.rendering import CharSpan, Rendering


def common_prefix(a: Sequence[object], b: Sequence[object]) -> int:
    """How many elements two sequences have in common at the start."""
    length = min(len(a), len(b))
    if a[:length] == b[:length]:
        return length
    return next(n for n in range(length) if a[n] != b[n])


def common_suffix(a: Sequence[object], b: Sequence[object]) -> int:
    """How many elements two sequences have in common at the end."""
    return common_prefix(a[::-1], b[::-1])


class TokenRange(NamedTuple):
    """Half-open range of token positions."""

    start: int
    end: int


@dataclass(frozen=True)
class SharedText:
    """Text that is equal on both sides: half-open character ranges of the same length.

    `cut_left` and `cut_right` say that different text adjoins. An id without text right there belongs to
    neither side of the cut, and is passed over.
    """

    expected: CharSpan
    actual: CharSpan
    cut_left: bool
    cut_right: bool


@dataclass(frozen=True)
class _Unit:
    """Tokens that cannot be told apart by characters: one token, or the byte tokens of one character."""

    start: int
    end: int
    tokens: TokenRange
    ids: tuple[int, ...]


def tokens_at(rendering: Rendering, start: int, end: int) -> TokenRange:
    """Tokens that overlap the characters [start, end); for an empty range, none, at the token that begins there."""
    spans = rendering.token_spans
    if spans is None:
        return TokenRange(0, len(rendering.ids))
    first = next((n for n, span in enumerate(spans) if span[1] > start), len(spans))
    last = first
    while last < len(spans) and spans[last][0] < end:
        last += 1
    return TokenRange(first, last)


def text_under(rendering: Rendering, tokens: TokenRange) -> tuple[str, CharSpan] | None:
    """The text that some tokens cover, and its position; None where the tokenizer gives no offsets."""
    spans = rendering.token_spans
    if spans is None:
        return None
    covered = spans[slice(*tokens)]
    if not covered:
        at = spans[tokens.start][0] if tokens.start < len(spans) else len(rendering.text)
        return "", (at, at)
    start, end = covered[0][0], max(span[1] for span in covered)
    return rendering.text[start:end], (start, end)


def expand_to_token_boundaries(
    expected: Rendering, actual: Rendering, want: CharSpan, have: CharSpan
) -> tuple[CharSpan, CharSpan]:
    """Different text with as much of the equal text around it as its tokens reach over.

    Both sides grow alike, up to where no token of either is cut through: a token that merges across the difference on
    one side takes the other side's tokens of the same text with it.

    Args:
        expected: one rendering.
        actual: the other.
        want: the characters of `expected` that differ.
        have: the characters of `actual` that differ.
    """
    cut_expected, cut_actual = _inside_tokens(expected), _inside_tokens(actual)
    before = common_suffix(expected.text[: want[0]], actual.text[: have[0]])
    after = common_prefix(expected.text[want[1] :], actual.text[have[1] :])
    left = next((n for n in range(before) if want[0] - n not in cut_expected and have[0] - n not in cut_actual), before)
    right = next((n for n in range(after) if want[1] + n not in cut_expected and have[1] + n not in cut_actual), after)
    return (want[0] - left, want[1] + right), (have[0] - left, have[1] + right)


def _inside_tokens(rendering: Rendering) -> set[int]:
    """Positions at which a cut would go through a token."""
    return {position for start, end in rendering.token_spans or () for position in range(start + 1, end)}


def misaligned_ranges(
    expected: Rendering, actual: Rendering, shared: list[SharedText], skip: tuple[int, int]
) -> list[tuple[TokenRange, TokenRange]]:
    """Where the ids part although the text is the same.

    Args:
        expected: one rendering.
        actual: the other.
        shared: the text they share.
        skip: how many leading tokens of each are passed over.
    """
    found = []
    for run in shared:
        cut = {
            *([0] if run.cut_left else []),
            *([run.expected[1] - run.expected[0]] if run.cut_right else []),
        }
        left = _units(expected, run.expected, skip[0], cut)
        right = _units(actual, run.actual, skip[1], cut)
        found += _walk(left, right)
    return found


def _units(rendering: Rendering, span: CharSpan, skip: int, cut: set[int]) -> list[_Unit]:
    """Units that lie wholly inside `span`, with positions relative to it; none without text at a position in `cut`."""
    spans = rendering.token_spans or []
    units: list[_Unit] = []
    for n in range(skip, len(spans)):
        start, end = spans[n]
        if start < span[0] or end > span[1] or (start == end and start - span[0] in cut):
            continue
        last = units[-1] if units else None
        if last and last.tokens.end == n and start - span[0] < last.end:
            units[-1] = _Unit(
                last.start,
                max(last.end, end - span[0]),
                TokenRange(last.tokens.start, n + 1),
                (*last.ids, rendering.ids[n]),
            )
        else:
            units.append(_Unit(start - span[0], end - span[0], TokenRange(n, n + 1), (rendering.ids[n],)))
    return units


def _walk(left: list[_Unit], right: list[_Unit]) -> list[tuple[TokenRange, TokenRange]]:
    groups: list[tuple[TokenRange, TokenRange]] = []
    i = j = 0
    while i < len(left) or j < len(right):
        a = left[i] if i < len(left) else None
        b = right[j] if j < len(right) else None
        if a and b and (a.start, a.end, a.ids) == (b.start, b.end, b.ids):
            i, j = i + 1, j + 1
            continue
        first_i, first_j = i, j
        i, j = _until_they_meet(left, right, i, j)
        groups.append((_range(left, first_i, i), _range(right, first_j, j)))
    return groups


def _until_they_meet(left: list[_Unit], right: list[_Unit], i: int, j: int) -> tuple[int, int]:
    """Advance at least one unit, then whichever side is behind, until both end at the same character."""
    # A unit without text (an id the system adds) that only one side has is a group by itself.
    if i < len(left) and left[i].start == left[i].end and not _matches_empty(right, j, left[i]):
        return i + 1, j
    if j < len(right) and right[j].start == right[j].end and not _matches_empty(left, i, right[j]):
        return i, j + 1
    end_left = left[i].end if i < len(left) else -1
    end_right = right[j].end if j < len(right) else -1
    i, j = min(i + 1, len(left)), min(j + 1, len(right))
    while end_left != end_right:
        if end_left < end_right and i < len(left):
            end_left, i = left[i].end, i + 1
        elif end_right < end_left and j < len(right):
            end_right, j = right[j].end, j + 1
        else:
            break
    return i, j


def _matches_empty(units: list[_Unit], at: int, unit: _Unit) -> bool:
    return at < len(units) and units[at].start == units[at].end == unit.start


def _range(units: list[_Unit], first: int, last: int) -> TokenRange:
    if first < last:
        return TokenRange(units[first].tokens.start, units[last - 1].tokens.end)
    at = units[first].tokens.start if first < len(units) else units[-1].tokens.end if units else 0
    return TokenRange(at, at)
