"""Where two renderings part: exactly there, named for what it is, never through the middle of a control token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation
from template_checks.core.rendering import ContentSpan, Encoded, Piece, Rendering
from template_checks.divergence.compare import compare
from template_checks.renderers.base import Context
from tests.renderings import PROMPT, by_hand, patched, shown
from tests.systems import ROOT, Build, LabelRenderer, TextRenderer, chatml, embedded_tokenizer

TOKENIZER: Any = embedded_tokenizer()

CONTEXT = Context(TOKENIZER, ROOT)
TRAINING = Conversation.of(("user", "a"), ("assistant", "b"))
HEADER = "<|im_start|>assistant\n"
INJECTED = "<|im_start|>system\nBe kind.<|im_end|>\n"


def changed(old: str, new: str, count: int = -1) -> Build:
    return lambda messages, purpose: chatml(messages, purpose).replace(old, new, count)


def ending(old: str, new: str) -> Build:
    return lambda messages, purpose: chatml(messages, purpose).removesuffix(old) + new


def over(change: Callable[[str], str]) -> Build:
    return lambda messages, purpose: chatml([{**m, "content": change(m["content"])} for m in messages], purpose)


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
        assert difference.position == case.place
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
        assert difference.position == "the scaffold after message 1, before the content of message 2 (assistant)"


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
