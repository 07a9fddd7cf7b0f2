"""Where two renderings part: exactly there, named for what it is, never through the middle of a control token."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation
from template_checks.core.rendering import ContentSpan, Encoded, Piece, Rendering
from template_checks.divergence.alignment import SharedText, TokenRange, misaligned_ranges
from template_checks.divergence.compare import compare
from template_checks.divergence.model import Difference, Sides
from template_checks.divergence.text import TextComparison
from template_checks.divergence.tokens import TokenComparison
from template_checks.divergence.trim import trim_common
from template_checks.renderers.base import Context
from tests.systems import ROOT, Build, LabelRenderer, TextRenderer, chatml, embedded_tokenizer

TOKENIZER: Any = embedded_tokenizer()
CONTEXT = Context(TOKENIZER, ROOT)
PROMPT = Conversation.of(("user", "a"))
TRAINING = Conversation.of(("user", "a"), ("assistant", "b"))
HEADER = "<|im_start|>assistant\n"
INJECTED = "<|im_start|>system\nBe kind.<|im_end|>\n"


def changed(old: str, new: str, count: int = -1) -> Build:
    return lambda messages, purpose: chatml(messages, purpose).replace(old, new, count)


def ending(old: str, new: str) -> Build:
    return lambda messages, purpose: chatml(messages, purpose).removesuffix(old) + new


def over(change: Callable[[str], str]) -> Build:
    return lambda messages, purpose: chatml([{**m, "content": change(m["content"])} for m in messages], purpose)


def shown(rendering: Rendering, tokens: TokenRange) -> str:
    """The text that a range of tokens covers."""
    spans = rendering.token_spans
    assert spans is not None
    return "".join(rendering.text[start:end] for start, end in spans[slice(*tokens)])


def patched(expected: Rendering, actual: Rendering, differences: Sequence[Difference]) -> tuple[int, ...]:
    """The expected ids with every difference replaced by what the actual side has there."""
    ids: list[int] = []
    position = 0
    for difference in differences:
        assert position <= difference.expected.start <= difference.expected.end <= len(expected.ids)
        assert 0 <= difference.actual.start <= difference.actual.end <= len(actual.ids)
        ids += [*expected.ids[position : difference.expected.start], *actual.ids[slice(*difference.actual)]]
        position = difference.expected.end
    return (*ids, *expected.ids[position:])


@dataclass(frozen=True)
class Case:
    """One difference of text: `want` and `have` are what the marked tokens cover on both sides."""

    name: str
    conversation: Conversation
    build: Build
    cause: Cause
    want: str
    have: str
    place: str


BEHIND = "the scaffold after message 1, up to where the answer begins"
END = "the scaffold after message 2"
CASES = [
    Case("inserted", PROMPT, changed(HEADER, "    " + HEADER), Cause.SCAFFOLD_WHITE_SPACE, "", "    ", BEHIND),
    Case("deleted at the end", PROMPT, changed(HEADER, HEADER.strip()), Cause.MISSING_NEWLINE, "\n", "", BEHIND),
    Case(
        "added at the end",
        PROMPT,
        changed(HEADER, HEADER + "<|im_end|>"),
        Cause.EXTRA_SCAFFOLD,
        "",
        "<|im_end|>",
        BEHIND,
    ),
    Case("newline doubled", PROMPT, changed(HEADER, HEADER + "\n"), Cause.SCAFFOLD_WHITE_SPACE, "\n", "\n\n", BEHIND),
    Case(
        "newline doubled between two messages",
        TRAINING,
        changed(HEADER, "\n" + HEADER),
        Cause.SCAFFOLD_WHITE_SPACE,
        "\n",
        "\n\n",
        "the scaffold after message 1, before the content of message 2 (assistant)",
    ),
    Case(
        "a space that merges with the content",
        PROMPT,
        changed("user\n", "user\n "),
        Cause.SCAFFOLD_WHITE_SPACE,
        "a",
        " a",
        "the scaffold before message 1 (user)",
    ),
    Case("no header", PROMPT, changed(HEADER, ""), Cause.MISSING_SCAFFOLD, HEADER, "", BEHIND),
    Case("another marker", PROMPT, changed("<|im_end|>", "<eoa>"), Cause.OTHER_MARKER, "<|im_end|>", "<eoa>", BEHIND),
    Case(
        "markers with a common start and end",
        PROMPT,
        changed(HEADER, "<|im_end|>assistant\n"),
        Cause.OTHER_MARKER,
        "<|im_start|>",
        "<|im_end|>",
        BEHIND,
    ),
    Case(
        "injected at the start",
        PROMPT,
        changed("<s>", "<s>" + INJECTED),
        Cause.INJECTED_SYSTEM,
        "",
        INJECTED,
        "the scaffold before message 1 (user)",
    ),
    Case(
        "between two messages",
        TRAINING,
        changed(HEADER, "<|im_start|>assistant\n<think>"),
        Cause.EXTRA_SCAFFOLD,
        "",
        "<think>",
        "the scaffold after message 1, before the content of message 2 (assistant)",
    ),
    Case("tail cut off", TRAINING, ending("\n", ""), Cause.TAIL, "\n", "", END),
    Case("tail added", TRAINING, ending("", "</s>"), Cause.TAIL, "", "</s>", END),
    Case("stop cut off", TRAINING, ending("<|im_end|>\n", ""), Cause.MISSING_SCAFFOLD, "<|im_end|>\n", "", END),
    Case(
        "content stripped",
        Conversation.of(("user", "a ")),
        over(str.strip),
        Cause.STRIPPED_CONTENT,
        " ",
        "",
        "inside message 1 (user)",
    ),
    Case(
        "content altered",
        Conversation.of(("user", "a"), ("assistant", "<b")),
        over(lambda text: text.replace("<", "{")),
        Cause.ALTERED_CONTENT,
        "<",
        "{",
        "inside message 2 (assistant)",
    ),
]


def rendered(build: Build, conversation: Conversation, *, special: bool = False) -> Rendering:
    return TextRenderer("other", CONTEXT, build, special=special).render(conversation, conversation.purpose)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_difference_of_text(case: Case) -> None:
    for swapped in (False, True):
        sides = [rendered(chatml, case.conversation), rendered(case.build, case.conversation)]
        marked = [case.want, case.have]
        if swapped:
            sides.reverse()
            marked.reverse()
        (difference,) = compare(*sides, case.conversation, TOKENIZER)
        assert [shown(sides[0], difference.expected), shown(sides[1], difference.actual)] == marked
        assert patched(*sides, [difference]) == sides[1].ids
        assert difference.place == case.place
        assert difference.in_text
        if not swapped:
            assert difference.cause is case.cause
        assert compare(sides[0], sides[0], case.conversation, TOKENIZER) == []


def test_bos_is_judged_by_ids() -> None:
    def without(messages: list[dict[str, Any]], purpose: str) -> str:
        return chatml(messages, purpose).removeprefix("<s>")

    plain, added = rendered(chatml, PROMPT), rendered(without, PROMPT, special=True)
    twice, missing = rendered(chatml, PROMPT, special=True), rendered(without, PROMPT)
    assert compare(plain, added, PROMPT, TOKENIZER) == compare(added, plain, PROMPT, TOKENIZER) == []
    (double,) = compare(plain, twice, PROMPT, TOKENIZER)
    assert (double.cause, double.expected, double.actual) == (Cause.DUPLICATED_BOS, (1, 1), (1, 2))
    assert "once in the text, once more added by the tokenizer" in double.summary
    (none,) = compare(plain, missing, PROMPT, TOKENIZER)
    assert (none.cause, none.expected, none.actual) == (Cause.MISSING_BOS, (0, 1), (0, 0))


def test_nothing_at_all() -> None:
    full, nothing = rendered(chatml, PROMPT), rendered(lambda _messages, _purpose: "", PROMPT)
    for sides in ((full, nothing), (nothing, full)):
        found = compare(*sides, PROMPT, TOKENIZER)
        assert found[-1].cause is Cause.DROPPED_CONTENT
        assert patched(*sides, found) == sides[1].ids


def test_a_seam_is_the_same_text_in_different_tokens() -> None:
    conversation = Conversation.of(("user", ""), ("assistant", "\n"))
    whole = rendered(chatml, conversation)
    pieces = LabelRenderer("training", CONTEXT).render(conversation, "train")
    assert pieces.text == whole.text.removeprefix("<s>")
    for sides in ((whole, pieces), (pieces, whole)):
        (difference,) = compare(*sides, conversation, TOKENIZER)
        assert difference.cause is Cause.SEAM
        assert not difference.in_text
        assert [shown(sides[0], difference.expected), shown(sides[1], difference.actual)] == ["\n\n", "\n\n"]
        assert patched(*sides, [difference]) == sides[1].ids
        assert "2 newlines" in difference.summary
        assert "1 token " in difference.summary
        assert "2 tokens" in difference.summary
        assert "in pieces" in difference.summary
        assert difference.place == "the scaffold after message 1, before the content of message 2 (assistant)"


def by_hand(parts: Sequence[tuple[str, int]], contents: tuple[ContentSpan, ...] | None = None) -> Rendering:
    """One piece of text in tokens of one's own choice; empty ones are added by the system."""
    offsets, position = [], 0
    for text, _ in parts:
        offsets.append((position, position + len(text)))
        position += len(text)
    encoding = SimpleNamespace(offsets=offsets)
    return Rendering((Piece("".join(text for text, _ in parts), Encoded([i for _, i in parts], encoding)),), contents)


STOP, EOS = TOKENIZER.control_tokens["<|im_end|>"], TOKENIZER.control_tokens["</s>"]
ANSWERED = (ContentSpan(0, 0, 2), ContentSpan(1, 12, 14))
PLAIN = [("hi", 9), ("<|im_end|>", STOP), ("ok", 8), ("<|im_end|>", STOP)]
BY_HAND: dict[str, tuple[list[tuple[str, int]], Cause, tuple[int, int], tuple[int, int]]] = {
    "other tokens": ([("h", 6), ("i", 7), *PLAIN[1:]], Cause.OTHER_TOKENS, (0, 1), (0, 2)),
    "another id": ([PLAIN[0], ("<|im_end|>", 77), *PLAIN[2:]], Cause.OTHER_TOKENS, (1, 2), (1, 2)),
    "an id without text at the start": ([("", EOS), *PLAIN], Cause.EXTRA_SCAFFOLD, (0, 0), (0, 1)),
    "an id without text between": (
        [*PLAIN[:2], ("", EOS), *PLAIN[2:]],
        Cause.EXTRA_SCAFFOLD,
        (2, 2),
        (2, 3),
    ),
    "an id without text behind the last stop": ([*PLAIN, ("", EOS)], Cause.TAIL, (4, 4), (4, 5)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_difference_of_ids(name: str) -> None:
    parts, cause, expected, actual = BY_HAND[name]
    conversation = Conversation.of(("user", "hi"), ("assistant", "ok"))
    sides = by_hand(PLAIN, ANSWERED), by_hand(parts, ANSWERED)
    (difference,) = compare(*sides, conversation, TOKENIZER)
    assert (difference.expected, difference.actual) == (expected, actual)
    assert difference.cause is cause
    assert not difference.in_text
    (back,) = compare(*reversed(sides), conversation, TOKENIZER)
    assert (back.expected, back.actual) == (actual, expected)
    # What the reference teaches behind its stop is missing; what only the other has there no prompt ever holds.
    assert back.cause is (Cause.MISSING_SCAFFOLD if cause in {Cause.EXTRA_SCAFFOLD, Cause.TAIL} else cause)


def test_an_id_without_text_is_no_seam() -> None:
    whole, spoken = by_hand(PLAIN, ANSWERED), Encoded([EOS])
    pieces = [Piece(text, Encoded([index], SimpleNamespace(offsets=[(0, len(text))]))) for text, index in PLAIN]
    added = Rendering((*pieces[:2], Piece("", spoken), *pieces[2:]), ANSWERED)
    conversation = Conversation.of(("user", "hi"), ("assistant", "ok"))
    (extra,) = compare(whole, added, conversation, TOKENIZER)
    assert (extra.cause, extra.summary) == (Cause.EXTRA_SCAFFOLD, "</s> is added by the system")
    (missing,) = compare(added, whole, conversation, TOKENIZER)
    assert (missing.cause, missing.summary) == (Cause.MISSING_SCAFFOLD, "</s> is missing")


def test_white_space_that_only_one_side_has_is_visible() -> None:
    newline = TOKENIZER.encode("\n").ids[0]
    sides = by_hand(PLAIN, ANSWERED), by_hand([*PLAIN[:2], ("", newline), *PLAIN[2:]], ANSWERED)
    (difference,) = compare(*sides, Conversation.of(("user", "hi"), ("assistant", "ok")), TOKENIZER)
    assert difference.summary == "⏎ is added by the system"
    assert difference.detail == ("content assistant: ⏎",)


def test_a_difference_of_text_that_the_ids_hide() -> None:
    sides = by_hand([("a", 3), ("\ue000", 0), ("b", 4)]), by_hand([("a", 3), ("\ue001", 0), ("b", 4)])
    assert sides[0].ids == sides[1].ids
    (difference,) = compare(*sides, PROMPT, TOKENIZER)
    assert difference.in_text
    assert (difference.expected, difference.actual) == ((1, 2), (1, 2))


# Properties

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
    assert difference.place == f"token {a}"
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
