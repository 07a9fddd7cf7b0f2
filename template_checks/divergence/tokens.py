"""Differences of ids that the texts do not explain: same text, different tokens."""

from __future__ import annotations

from template_checks.core.causes import Cause
from template_checks.core.display import shortened, spell_out, visible
from template_checks.core.rendering import CharSpan, Rendering
from template_checks.divergence.alignment import (
    SharedText,
    TokenRange,
    common_prefix,
    common_suffix,
    misaligned_ranges,
    text_under,
)
from template_checks.divergence.model import Core, Difference, Sides, scaffold_place


class TokenComparison:
    """Compares ids over the text that both renderings share.

    Args:
        sides: the two renderings.
        cores: the characters in which the texts differ, as far as tokens reach over them.
        skip: how many leading BOS each side has: they are judged apart.
    """

    def __init__(self, sides: Sides, cores: list[Core], skip: tuple[int, int]) -> None:
        self.sides = sides
        self.cores = cores
        self.skip = skip

    def differences(self) -> list[Difference]:
        """Where the ids part although the text is the same, in order."""
        if self.sides.expected.ids == self.sides.actual.ids:
            return []
        if self.sides.expected.token_spans is None or self.sides.actual.token_spans is None:
            return [self._without_offsets()]
        groups = misaligned_ranges(self.sides.expected, self.sides.actual, self._shared_texts(), self.skip)
        return [self._token_difference(left, right) for left, right in groups]

    def _shared_texts(self) -> list[SharedText]:
        """The text both share: what lies between the differences in the text."""
        ends = (len(self.sides.expected.text), len(self.sides.actual.text))
        shared, left, right = [], 0, 0
        for want, have in [*sorted(self.cores), ((ends[0], ends[0]), (ends[1], ends[1]))]:
            if want[0] > left and want[0] - left == have[0] - right:
                cut_right = want[0] < ends[0] or have[0] < ends[1]
                shared.append(SharedText((left, want[0]), (right, have[0]), bool(left or right), cut_right))
            left, right = max(left, want[1]), max(right, have[1])
        return shared

    def _token_difference(self, left: TokenRange, right: TokenRange) -> Difference:
        want, have = text_under(self.sides.expected, left), text_under(self.sides.actual, right)
        under = have or want
        place, between = self._locate(under[1] if under else None, have is not None)
        if self._is_tail(left, right):
            cause, summary = Cause.TAIL, "ids differ only after the last stop token"
        elif left.start == left.end or right.start == right.end:
            cause, names = self._on_one_side(left, right)
            summary = f"{names} is {'added by the system' if cause is Cause.EXTRA_SCAFFOLD else 'missing'}"
            between = f"{between}: {names}"
        elif want and have and want[0] == have[0]:
            seam = want[0] and (
                self._at_seam(self.sides.expected, want[1]) or self._at_seam(self.sides.actual, have[1])
            )
            cause = Cause.SEAM if seam else Cause.OTHER_TOKENS
            summary = f"{shortened(spell_out(want[0]), 40)}: {_count(left)} on one side, {_count(right)} on the other"
            if seam:
                summary += (
                    ", which tokenizes in pieces" if self.sides.actual.seams else "; the first tokenizes in pieces"
                )
        else:
            cause, summary = Cause.UNKNOWN, "the ids differ"
        return Difference(cause, (between,), summary, place, left, right, in_text=False)

    def _without_offsets(self) -> Difference:
        """One side's tokens cannot be located in its text: all that lies between what is equal at both ends."""
        want, have = self.sides.expected.ids, self.sides.actual.ids
        start = common_prefix(want, have)
        tail = common_suffix(want[start:], have[start:])
        left, right = TokenRange(start, len(want) - tail), TokenRange(start, len(have) - tail)
        same = self.sides.expected.text == self.sides.actual.text
        cause = Cause.OTHER_TOKENS if same else Cause.UNKNOWN
        summary = f"{_count(left)} on one side, {_count(right)} on the other; one side gives no offsets"
        return Difference(cause, ("without offsets",), summary, f"token {start}", left, right, in_text=False)

    def _on_one_side(self, left: TokenRange, right: TokenRange) -> tuple[Cause, str]:
        """Ids that only one side has, and their names."""
        if left.start == left.end:
            cause, ids = Cause.EXTRA_SCAFFOLD, self.sides.actual.ids[slice(*right)]
        else:
            cause, ids = Cause.MISSING_SCAFFOLD, self.sides.expected.ids[slice(*left)]
        return cause, " ".join(visible(self.sides.tokenizer.token(i)) for i in ids)

    def _is_tail(self, left: TokenRange, right: TokenRange) -> bool:
        if self.sides.conversation.purpose != "train":
            return False
        controls = self.sides.tokenizer.control_ids
        end = self._last_content_end(self.sides.actual)
        spans = self.sides.actual.token_spans
        if end is None or spans is None:
            return False
        stop = next((n for n, i in enumerate(self.sides.actual.ids) if i in controls and spans[n][0] >= end), None)
        if stop is None or right.start <= stop or left.end != len(self.sides.expected.ids):
            return False
        return controls.isdisjoint(self.sides.expected.ids[slice(*left)])

    def _last_content_end(self, rendering: Rendering) -> int | None:
        return rendering.contents[-1].end if rendering.contents else None

    def _at_seam(self, rendering: Rendering, span: CharSpan) -> bool:
        return any(span[0] <= seam <= span[1] for seam in rendering.seams)

    def _locate(self, span: CharSpan | None, in_actual: bool) -> tuple[str, str]:
        """Place for the reader and place without numbers."""
        rendering = self.sides.actual if in_actual else self.sides.expected
        segments = rendering.segments(len(self.sides.conversation.messages))
        if segments is None or span is None:
            return "the text", "not located"
        touched = [s for s in segments if s.start < max(span[1], span[0] + 1) and s.end > span[0]]
        scaffold = next((s for s in touched if s.kind == "scaffold"), None)
        if scaffold is None:
            content = touched[0] if touched else segments[-1]
            role = (*self.sides.conversation.roles, "end")[content.message]
            return f"inside message {content.message + 1} ({role})", f"content {role}"
        place = scaffold_place(self.sides.conversation, scaffold.message)
        return place, self.sides.between(scaffold.message)


def _count(tokens: TokenRange) -> str:
    count = tokens.end - tokens.start
    return f"{count} token" if count == 1 else f"{count} tokens"
