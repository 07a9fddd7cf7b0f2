"""Where two renderings part: what holds for any two of them."""

from __future__ import annotations

import re
from typing import ClassVar

from hypothesis import example, given
from hypothesis import strategies as st

from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation
from template_checks.core.rendering import ContentSpan, Encoded, Piece, Rendering
from template_checks.divergence.alignment import SharedText, misaligned_ranges
from template_checks.divergence.compare import compare
from template_checks.divergence.model import Difference, Sides
from template_checks.divergence.text import TextComparison
from template_checks.divergence.tokens import TokenComparison
from template_checks.divergence.trim import trim_common
from tests.renderings import PROMPT, by_hand, patched, shown

CONTROL = re.compile("<s>|<e>|<x>")
BITS = ("<s>", "<e>", "<x>", "<", ">", "s", "e", "\n", " ", "é")
TEXTS = st.lists(st.sampled_from(BITS), max_size=8).map("".join)


class Characters:
    """A tokenizer with one token for each character and each control token."""

    bos_id = 1
    control_tokens: ClassVar = {"<s>": 1, "<e>": 2, "<x>": 3}
    control_pattern = CONTROL

    def token(self, index: int) -> str:
        return {i: name for name, i in self.control_tokens.items()}.get(index, chr(index))

    def encode(self, text: str) -> list[tuple[str, int]]:
        found = re.findall("<s>|<e>|<x>|(?s:.)", text)
        return [(token, self.control_tokens.get(token, ord(token[0]))) for token in found]


def inside_a_token(text: str, position: int) -> bool:
    return any(match.start() < position < match.end() for match in CONTROL.finditer(text))


@given(TEXTS, TEXTS)
@example("<s>", "<e>")
@example("a<s>", "a<s><s>")
@example("<e>\n<s>s", "<e>\n<s>e<e>\n<s>s")
def test_the_core_is_all_that_differs(want: str, have: str) -> None:
    start, core_want, core_have = trim_common(want, have, CONTROL)
    behind = want[start + len(core_want) :]
    assert want == want[:start] + core_want + behind
    assert have == want[:start] + core_have + behind
    for text, middle in ((want, core_want), (have, core_have)):
        assert not inside_a_token(text, start)
        assert not inside_a_token(text, start + len(middle))
    assert (core_want == core_have == "") == (want == have)
    if core_want and core_have:
        first = [CONTROL.match(text) for text in (core_want, core_have)]
        assert core_want[0] != core_have[0] or any(first), "the common start is not common"
        assert core_want[-1] != core_have[-1] or core_want[-1] == ">", "the common end is not common"


@given(st.lists(st.integers(0, 3), max_size=8), st.lists(st.integers(0, 3), max_size=8))
def test_ids_without_text(left: list[int], right: list[int]) -> None:
    sides = [Rendering((Piece("", Encoded(ids)),), has_text=False) for ids in (left, right)]
    found = compare(*sides, PROMPT, Characters())
    if left == right:
        assert found == []
        return
    (difference,) = found
    (a, b), (c, d) = difference.expected, difference.actual
    assert patched(*sides, found) == sides[1].ids
    assert a == c
    assert left[:a] == right[:a]
    assert left[a:b][:1] != right[c:d][:1]
    assert not (left[a:b] and right[c:d] and left[b - 1] == right[d - 1])
    assert difference.position == f"token {a}"
    assert difference.cause is Cause.UNKNOWN


@given(TEXTS, TEXTS)
def test_texts_that_cannot_be_cut(want: str, have: str) -> None:
    sides = [by_hand(Characters().encode(text)) for text in (want, have)]
    found = compare(*sides, PROMPT, Characters())
    assert (found == []) == (want == have)
    assert patched(*sides, found) == sides[1].ids
    assert len([d for d in found if d.in_text]) <= 1


THREE = Conversation.of(("system", "q"), ("user", "w"), ("assistant", "v"))


@given(st.lists(TEXTS, min_size=7, max_size=7), st.data())
def test_every_segment_that_differs_is_found(segments: list[str], data: st.DataObject) -> None:
    """Scaffold and content in turn; some of them are others on the other side."""
    others = [data.draw(TEXTS) if data.draw(st.booleans()) else text for text in segments]
    segments, others = ["<e>" + segments[0], *segments[1:]], ["<e>" + others[0], *others[1:]]
    sides = []
    for texts in (segments, others):
        ends = [sum(map(len, texts[: n + 1])) for n in range(7)]
        contents = tuple(ContentSpan(n, ends[2 * n], ends[2 * n + 1]) for n in range(3))
        parts = [token for text in texts for token in Characters().encode(text)]
        sides.append(by_hand(parts, contents))
    found = compare(*sides, THREE, Characters())
    same = "".join(segments) == "".join(others)
    assert len(found) == (0 if same else sum(a != b for a, b in zip(segments, others, strict=True)))
    assert all(difference.in_text for difference in found)
    assert patched(*sides, found) == sides[1].ids


@st.composite
def cuts(draw: st.DrawFn, text: str, *, plain: bool = False) -> list[tuple[str, int]]:
    """One way to cut a text into tokens: two ids for each token, and some ids without text unless `plain`."""
    parts: list[tuple[str, int]] = []
    position = 0
    while position < len(text):
        end = draw(st.integers(position + 1, min(len(text), position + 3)))
        token = text[position:end]
        parts += [("", draw(st.integers(0, 2)))] * draw(st.sampled_from([0, 0, 0, 0 if plain else 1]))
        parts.append((token, 2 * int.from_bytes(token.encode(), "big") + draw(st.integers(0, 1))))
        position = end
    return parts


@given(st.text("ab", max_size=10), st.data())
def test_the_same_text_in_other_tokens(text: str, data: st.DataObject) -> None:
    left, right = by_hand(data.draw(cuts(text))), by_hand(data.draw(cuts(text)))
    groups = misaligned_ranges(left, right, [SharedText((0, len(text)), (0, len(text)), False, False)], (0, 0))
    found = [Difference(Cause.UNKNOWN, (), "", "", a, b, in_text=False) for a, b in groups]
    assert patched(left, right, found) == right.ids
    for a, b in groups:
        assert left.ids[slice(*a)] != right.ids[slice(*b)]
        assert shown(left, a) == shown(right, b) or "" in (shown(left, a), shown(right, b))
    assert (compare(left, right, PROMPT, Characters()) == []) == (left.ids == right.ids)


@given(
    st.text("ab", max_size=6),
    st.text("abc", max_size=3),
    st.text("abc", max_size=3),
    st.text("ab", max_size=6),
    st.data(),
)
def test_tokens_that_reach_over_a_difference(
    before: str, want: str, have: str, behind: str, data: st.DataObject
) -> None:
    sides = [by_hand(data.draw(cuts(before + middle + behind, plain=True))) for middle in (want, have)]
    both = Sides(*sides, PROMPT, Characters())
    text = TextComparison(both)
    found = text.differences() + TokenComparison(both, text.cores, (0, 0)).differences()
    assert patched(*sides, sorted(found, key=lambda difference: difference.expected)) == sides[1].ids
    for difference in found:
        same = shown(sides[0], difference.expected) == shown(sides[1], difference.actual)
        assert same == (not difference.in_text)
