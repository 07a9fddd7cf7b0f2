"""Differences of text: segment by segment where both texts can be cut, as one string otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from template_checks.core.causes import Cause
from template_checks.core.display import shortened, spell_out, visible
from template_checks.core.rendering import CharSpan, Segment
from template_checks.divergence.alignment import expand_to_token_boundaries, tokens_at
from template_checks.divergence.json_style import json_style_difference
from template_checks.divergence.model import WINDOW, Core, Difference, Sides, scaffold_place
from template_checks.divergence.trim import trim_common


@dataclass(frozen=True)
class _Pair:
    """The same segment in both texts."""

    expected: CharSpan
    actual: CharSpan
    kind: str
    message: int


class TextComparison:
    """Compares the texts of two renderings; `cores` then holds the characters whose tokens may differ because of it.

    Args:
        sides: the two renderings.
    """

    def __init__(self, sides: Sides) -> None:
        self.sides = sides
        bos = sides.tokenizer.bos_id
        name = "" if bos is None else sides.tokenizer.token(bos)
        self._starts = (_repeated(sides.expected.text, name), _repeated(sides.actual.text, name))
        first, second = self._starts
        self.cores: list[Core] = [] if first == second else [((0, first), (0, second))]

    def differences(self) -> list[Difference]:
        """All differences of text, in order. BOS at the start is left out: the ids judge it."""
        expected, actual = self.sides.expected.text, self.sides.actual.text
        first, second = self._starts
        if expected[first:] == actual[second:]:
            return []
        pairs = self._pairs()
        if pairs is None:
            return self._differences_of(_Pair((first, len(expected)), (second, len(actual)), "whole", 0))
        return [difference for pair in pairs for difference in self._differences_of(pair)]

    def _pairs(self) -> list[_Pair] | None:
        count = len(self.sides.conversation.messages)
        left, right = self.sides.expected.segments(count), self.sides.actual.segments(count)
        if left is None or right is None:
            return None
        if [(s.kind, s.message) for s in left] == [(s.kind, s.message) for s in right]:
            pairs = [_pair(a, b) for a, b in zip(left, right, strict=True)]
        else:
            pairs = _pairs_with_gaps(left, right)
        first, second = self._starts
        lead = pairs[0]
        lead = _Pair(
            (first, max(first, lead.expected[1])), (second, max(second, lead.actual[1])), lead.kind, lead.message
        )
        return [lead, *pairs[1:]]

    def _differences_of(self, pair: _Pair) -> list[Difference]:
        want = self.sides.expected.text[slice(*pair.expected)]
        have = self.sides.actual.text[slice(*pair.actual)]
        if want == have:
            return []
        prefix, core_want, core_have = trim_common(want, have, self.sides.tokenizer.control_pattern)
        want_start, have_start = pair.expected[0] + prefix, pair.actual[0] + prefix
        want_end, have_end = want_start + len(core_want), have_start + len(core_have)
        expected, actual = self.sides.expected, self.sides.actual
        marked = expand_to_token_boundaries(expected, actual, (want_start, want_end), (have_start, have_end))
        self.cores.append(marked)
        cause = self._cause(pair, want, have, core_want, core_have, prefix)
        detail = self._detail(pair, core_want, core_have, cause)
        written = json_style_difference(want, have) if pair.kind == "scaffold" and cause is not Cause.TAIL else None
        if written is not None:  # named without what it says, so that it is one defect for all tools and arguments
            cause, detail = Cause.JSON_STYLE, (self.sides.between(pair.message), written)
        lower = max(pair.actual[0], have_start - WINDOW)
        upper = min(pair.actual[1], have_end + WINDOW)
        return [
            Difference(
                cause,
                detail,
                self._summary(cause, pair, core_want, core_have, have[prefix + len(core_have) :]),
                self._place(pair),
                tokens_at(expected, *marked[0]),
                tokens_at(actual, *marked[1]),
                in_text=True,
                window=actual.text[lower:upper],
                core=core_have,
            )
        ]

    def _cause(self, pair: _Pair, want: str, have: str, core_want: str, core_have: str, prefix: int) -> Cause:
        if pair.kind == "content":
            if want.strip() and not have:
                return Cause.DROPPED_CONTENT
            return Cause.STRIPPED_CONTENT if have in want or want in have else Cause.ALTERED_CONTENT
        if pair.kind == "whole":
            return Cause.UNKNOWN
        if pair.kind == "gap":
            content = self.sides.conversation.messages[pair.message].content
            return Cause.DROPPED_CONTENT if content else Cause.EMPTY_MESSAGE_DROPPED
        if self._after_stop(pair, want[:prefix], want[prefix:]):
            return Cause.TAIL
        if not core_have and core_want.strip("\r\n") == "":
            return Cause.MISSING_NEWLINE
        if not core_want.strip() and not core_have.strip():
            return Cause.SCAFFOLD_WHITE_SPACE
        if pair.message == 0 and not (core_want and core_have) and self._is_injected(core_want or core_have):
            return Cause.INJECTED_SYSTEM
        if core_want and core_have:
            return Cause.OTHER_MARKER
        return Cause.MISSING_SCAFFOLD if core_want else Cause.EXTRA_SCAFFOLD

    def _after_stop(self, pair: _Pair, before: str, after: str) -> bool:
        """Whether it is after the control token that ends the last answer of a training text: no prompt contains that.

        `before` and `after` are the reference's scaffold on both sides of where the difference begins.
        """
        last = pair.message == len(self.sides.conversation.messages)
        if not (last and self.sides.conversation.purpose == "train"):
            return False
        controls = self.sides.tokenizer.control_pattern
        return controls.search(before) is not None and controls.search(after) is None

    def _is_injected(self, text: str) -> bool:
        """Words, other than control tokens, in front of a conversation that has no system message."""
        plain = self.sides.tokenizer.control_pattern.sub("", text)
        return "system" not in self.sides.conversation.roles and any(c.isalnum() for c in plain)

    def _detail(self, pair: _Pair, want: str, have: str, cause: Cause) -> tuple[str, ...]:
        if pair.kind == "whole":
            return ("not located",)
        if pair.kind != "scaffold":
            return (pair.kind, self.sides.conversation.messages[pair.message].role)
        return (self.sides.between(pair.message), want, have)

    def _place(self, pair: _Pair) -> str:
        messages = self.sides.conversation.messages
        if pair.kind == "whole":
            return "the text"
        if pair.kind == "content":
            return f"inside message {pair.message + 1} ({messages[pair.message].role})"
        return scaffold_place(self.sides.conversation, pair.message)

    def _summary(self, cause: Cause, pair: _Pair, want: str, have: str, after: str) -> str:
        before = f" before {shortened(visible(after), 30)}" if after and pair.kind == "scaffold" else ""
        shown_want, shown_have = shortened(spell_out(want), 60), shortened(spell_out(have), 60)
        if cause is Cause.JSON_STYLE:
            return f"the same JSON written otherwise: {shown_have} instead of {shown_want}"
        if cause is Cause.DROPPED_CONTENT:
            return f"the content of message {pair.message + 1} is missing"
        if pair.kind == "gap":
            return f"message {pair.message + 1} is rendered on one side only"
        if want and have:
            return f"{shown_have} instead of {shown_want}{before}"
        if pair.kind == "content":
            return f"{shown_have} that the reference does not have" if have else f"{shown_want} is missing"
        if cause is Cause.INJECTED_SYSTEM and want:
            return f"the reference has {shown_want}{before}, which nobody wrote; this side has not"
        if have:
            return f"{shown_have}{before}"
        return f"{shown_want} {'are' if shown_want.endswith('s') else 'is'} missing{before}"


def _repeated(text: str, name: str) -> int:
    """How many characters of `text` are `name`, over and over, from the start."""
    end = 0
    while name and text.startswith(name, end):
        end += len(name)
    return end


def _pairs_with_gaps(left: list[Segment], right: list[Segment]) -> list[_Pair]:
    """Messages that one side does not have: with the scaffold around them they make one gap each."""
    contents_left = {s.message: s for s in left if s.kind == "content"}
    contents_right = {s.message: s for s in right if s.kind == "content"}
    missing = sorted(set(contents_left) ^ set(contents_right))
    common = sorted(set(contents_left) & set(contents_right))
    pairs, before, ends = [], -1, (0, 0)
    for message in [*common, left[-1].message]:
        a, b = contents_left.get(message, left[-1]), contents_right.get(message, right[-1])
        last = message == left[-1].message
        starts = (a.end, b.end) if last else (a.start, b.start)
        gap = next((m for m in missing if before < m < message), None)
        kind, number = ("scaffold", message) if gap is None else ("gap", gap)
        pairs.append(_Pair((ends[0], starts[0]), (ends[1], starts[1]), kind, number))
        if not last:
            pairs.append(_pair(a, b))
        before, ends = message, (a.end, b.end)
    return pairs


def _pair(a: Segment, b: Segment) -> _Pair:
    return _Pair((a.start, a.end), (b.start, b.end), a.kind, a.message)
