"""Where and why two renderings of one conversation part.

Ids are compared; text explains. Both texts are cut into scaffold and content, so that a difference can be named
without the contents that happened to surround it: the same defect gets the same name in every conversation.
"""

from __future__ import annotations

from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation
from template_checks.core.rendering import Rendering
from template_checks.core.tokenizer import Tokenizer
from template_checks.divergence.alignment import TokenRange, common_prefix, common_suffix
from template_checks.divergence.model import WINDOW, Difference, Sides, scaffold_place
from template_checks.divergence.text import TextComparison
from template_checks.divergence.tokens import TokenComparison

__all__ = ["Difference", "compare", "scaffold_place"]


_BOS = (Cause.DUPLICATED_BOS, Cause.MISSING_BOS)


def compare(
    expected: Rendering, actual: Rendering, conversation: Conversation, tokenizer: Tokenizer
) -> list[Difference]:
    """All differences, in order of appearance; empty only where texts and ids are equal.

    A BOS that one text holds and the other side's tokenizer adds is no difference of text.

    Args:
        expected: the reference's rendering.
        actual: the other's rendering of the same conversation.
        conversation: what both rendered.
        tokenizer: of the target.
    """
    if expected.ids == actual.ids:
        same = expected.text == actual.text or _without_bos(expected, tokenizer) == _without_bos(actual, tokenizer)
        if same:
            return []
    if not (expected.has_text and actual.has_text):
        return [_unlocated(expected, actual, "one of the two gives ids without text")]
    sides = Sides(expected, actual, conversation, tokenizer)
    want, have = (_leading(ids, tokenizer.bos_id) for ids in (expected.ids, actual.ids))
    text = TextComparison(sides)
    found = _leading_bos(sides, want, have) + text.differences()
    if expected.ids != actual.ids:
        found += TokenComparison(sides, text.cores, (want, have)).differences()
        if expected.ids[want:] != actual.ids[have:] and all(d.cause in _BOS for d in found):
            found.append(_unlocated(expected, actual, "no place could be found"))
    unique = {(difference.cause, difference.detail): difference for difference in reversed(found)}
    return sorted(unique.values(), key=lambda difference: (difference.expected, difference.actual))


def _unlocated(expected: Rendering, actual: Rendering, why: str) -> Difference:
    """Ids differ, and nothing explains it: said, never passed over."""
    start = common_prefix(expected.ids, actual.ids)
    tail = common_suffix(expected.ids[start:], actual.ids[start:])
    return Difference(
        Cause.UNKNOWN,
        (why,),
        f"the ids differ; {why}",
        f"token {start}",
        TokenRange(start, len(expected.ids) - tail),
        TokenRange(start, len(actual.ids) - tail),
        in_text=False,
    )


# BOS is judged apart: an extra one in front would otherwise be aligned with whatever else differs near the start.


def _without_bos(rendering: Rendering, tokenizer: Tokenizer) -> str:
    bos = tokenizer.bos_id
    return rendering.text if bos is None else rendering.text.removeprefix(tokenizer.token(bos))


def _leading(ids: tuple[int, ...], bos: int | None) -> int:
    count = 0
    while count < len(ids) and ids[count] == bos:
        count += 1
    return count


def _leading_bos(sides: Sides, want: int, have: int) -> list[Difference]:
    bos = sides.tokenizer.bos_id
    if bos is None or have == want:
        return []
    name = sides.tokenizer.token(bos)
    if have > want:
        cause, summary = Cause.DUPLICATED_BOS, f"BOS {name} occurs {have} times instead of {want}"
        if any(sides.actual.added[:have]) and not all(sides.actual.added[:have]):
            summary += ": once in the text, once more added by the tokenizer"
    else:
        cause, summary = Cause.MISSING_BOS, f"BOS {name} occurs {have} times instead of {want}"
    return [
        Difference(
            cause,
            (str(want), str(have)),
            summary,
            "the start",
            TokenRange(min(want, have), want),
            TokenRange(min(want, have), have),
            in_text=False,
            window=sides.actual.text[: len(name) + WINDOW],
            core=name,
        )
    ]
