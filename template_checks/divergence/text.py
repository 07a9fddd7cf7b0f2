"""Differences of text: segment by segment where both texts can be cut, as one string otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from template_checks.causes import Cause
from template_checks.divergence.alignment import common_prefix, common_suffix, tokens_at
from template_checks.divergence.model import WINDOW, Core, Difference, Sides, scaffold_place
from template_checks.rendering import CharSpan, Segment
from template_checks.visible import shortened, spell_out, visible


@dataclass(frozen=True)
class _Pair:
    """The same segment in both texts."""

    expected: CharSpan
    actual: CharSpan
    kind: str
    message: int


class TextComparison:
    """Compares the texts of two renderings; `cores` then holds the characters that differ.

    Args:
        sides: the two renderings.
    """

    def __init__(self, sides: Sides) -> None:
        """Nothing is compared yet."""
        self.sides = sides
        self.cores: list[Core] = []

    def differences(self) -> list[Difference]:
        """All differences of text, in order; one whose only content is BOS is left to the ids."""
        if self.sides.expected.text == self.sides.actual.text:
            return []
        pairs = self._pairs()
        if pairs is None:
            whole = _Pair((0, len(self.sides.expected.text)), (0, len(self.sides.actual.text)), "whole", 0)
            return self._differences_of(whole)
        return [difference for pair in pairs for difference in self._differences_of(pair)]

    def _pairs(self) -> list[_Pair] | None:
        count = len(self.sides.conversation.messages)
        left, right = self.sides.expected.segments(count), self.sides.actual.segments(count)
        if left is None or right is None:
            return None
        if [(s.kind, s.message) for s in left] == [(s.kind, s.message) for s in right]:
            return [
                _Pair((a.start, a.end), (b.start, b.end), a.kind, a.message) for a, b in zip(left, right, strict=True)
            ]
        return _pairs_with_gaps(left, right)

    def _differences_of(self, pair: _Pair) -> list[Difference]:
        want = self.sides.expected.text[slice(*pair.expected)]
        have = self.sides.actual.text[slice(*pair.actual)]
        if want == have:
            return []
        prefix, core_want, core_have = self._core(want, have)
        want_start, have_start = pair.expected[0] + prefix, pair.actual[0] + prefix
        want_end, have_end = want_start + len(core_want), have_start + len(core_have)
        self.cores.append(((want_start, want_end), (have_start, have_end)))
        if self._only_bos(pair, core_want, core_have):
            return []
        cause = self._cause(pair, want, have, core_want, core_have, prefix)
        detail = self._detail(pair, core_want, core_have, cause)
        lower = max(pair.actual[0], have_start - WINDOW)
        upper = min(pair.actual[1], have_end + WINDOW)
        return [
            Difference(
                cause,
                detail,
                self._summary(cause, pair, core_want, core_have, have[prefix + len(core_have) :]),
                self._place(pair),
                tokens_at(self.sides.expected, want_start, want_end),
                tokens_at(self.sides.actual, have_start, have_end),
                in_text=True,
                window=self.sides.actual.text[lower:upper],
                core=core_have,
            )
        ]

    def _core(self, want: str, have: str) -> tuple[int, str, str]:
        """Trim what is common; an insertion that can slide is moved so that it begins with a control token."""
        prefix = common_prefix(want, have)
        rest_want, rest_have = want[prefix:], have[prefix:]
        suffix = common_suffix(rest_want, rest_have)
        core_want = rest_want[: len(rest_want) - suffix]
        core_have = rest_have[: len(rest_have) - suffix]
        if core_want and core_have:
            return prefix, core_want, core_have
        longer = have if core_have else want
        length = len(core_have or core_want)
        for start in range(prefix, max(-1, prefix - length - 1), -1):
            if start < prefix and longer[start] != longer[start + length]:
                break
            if longer.startswith(tuple(self.sides.tokenizer.control_tokens) or ("\0",), start):
                moved = longer[start : start + length]
                return start, "" if core_have else moved, moved if core_have else ""
        return prefix, core_want, core_have

    def _only_bos(self, pair: _Pair, want: str, have: str) -> bool:
        """BOS in one text that the other side's tokenizer adds, or has twice: `leading_bos` has judged it."""
        if pair.message != 0 or pair.kind == "content" or self.sides.tokenizer.bos_id is None:
            return False
        name = self.sides.tokenizer.token(self.sides.tokenizer.bos_id)
        return want.replace(name, "") == "" and have.replace(name, "") == ""

    def _cause(self, pair: _Pair, want: str, have: str, core_want: str, core_have: str, prefix: int) -> Cause:
        if pair.kind == "content":
            if core_want and not have:
                return Cause.DROPPED_CONTENT
            return Cause.STRIPPED_CONTENT if have == want.strip() or have in want else Cause.ALTERED_CONTENT
        if pair.kind == "whole":
            return Cause.UNKNOWN
        if pair.kind == "gap":
            return Cause.DROPPED_CONTENT
        if self._after_stop(pair, want[:prefix]):
            return Cause.TAIL
        if not core_have and core_want.strip("\r\n") == "":
            return Cause.MISSING_NEWLINE
        if not core_want.strip() and not core_have.strip():
            return Cause.SCAFFOLD_WHITE_SPACE
        if pair.message == 0 and not core_want and any(c.isalnum() for c in self._plain(core_have)):
            has_system = any(message.role == "system" for message in self.sides.conversation.messages)
            return Cause.EXTRA_SCAFFOLD if has_system else Cause.INJECTED_SYSTEM
        if core_want and core_have:
            return Cause.OTHER_MARKER
        return Cause.MISSING_SCAFFOLD if core_want else Cause.EXTRA_SCAFFOLD

    def _after_stop(self, pair: _Pair, before: str) -> bool:
        """In a training text, behind the last control token after the last answer: no prompt ever contains it."""
        last = pair.message == len(self.sides.conversation.messages)
        if not (last and self.sides.conversation.purpose == "train"):
            return False
        return any(token in before for token in self.sides.tokenizer.control_tokens)

    def _plain(self, text: str) -> str:
        for token in self.sides.tokenizer.control_tokens:
            text = text.replace(token, "")
        return text

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
        if cause is Cause.DROPPED_CONTENT:
            return f"the content of message {pair.message + 1} is missing"
        if pair.kind == "gap":
            return f"message {pair.message + 1} is rendered on one side only"
        if want and have:
            return f"{shown_have} instead of {shown_want}{before}"
        if have:
            return f"{shown_have}{before}"
        return f"no {shown_want}{before}" if want.isspace() else f"{shown_want} is missing{before}"


def _pairs_with_gaps(left: list[Segment], right: list[Segment]) -> list[_Pair]:
    """Contents that one side does not have: they are gaps; scaffold beside a gap cannot be compared."""
    known_left = {s.message: s for s in left if s.kind == "content"}
    known_right = {s.message: s for s in right if s.kind == "content"}
    scaffold_left = {s.message: s for s in left if s.kind == "scaffold"}
    scaffold_right = {s.message: s for s in right if s.kind == "scaffold"}
    pairs = []
    missing = set(known_left) ^ set(known_right)
    for message in sorted(set(known_left) | set(known_right)):
        if message in missing:
            a, b = known_left.get(message), known_right.get(message)
            pairs.append(_Pair((a.start, a.end) if a else (0, 0), (b.start, b.end) if b else (0, 0), "gap", message))
            continue
        if message - 1 not in missing:
            pairs.append(_pair(scaffold_left[message], scaffold_right[message]))
        pairs.append(_pair(known_left[message], known_right[message]))
    pairs.append(_pair(left[-1], right[-1]))
    return pairs


def _pair(a: Segment, b: Segment) -> _Pair:
    return _Pair((a.start, a.end), (b.start, b.end), a.kind, a.message)
