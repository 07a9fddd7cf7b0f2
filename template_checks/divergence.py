"""Where and why two renderings of one conversation part.

Ids are compared; text explains. Both texts are cut into scaffold and content, so that a difference can be named
without the contents that happened to surround it: the same defect gets the same name in every conversation.
"""

from __future__ import annotations

from dataclasses import dataclass

from template_checks.alignment import Run, TokenRange, common_prefix, common_suffix, parted, tokens_at
from template_checks.causes import Cause
from template_checks.conversation import Conversation
from template_checks.rendering import CharSpan, Rendering, Segment
from template_checks.tokenizer import Tokenizer
from template_checks.visible import shortened, spell_out, visible

_WINDOW = 24
"""Characters of scaffold on each side of a difference by which its origin is looked up."""


@dataclass(frozen=True)
class Difference:
    """One place where `actual` parts from `expected`.

    `detail` names the defect without message numbers or contents, so that it is the same in every conversation.
    `window` is the actual scaffold around it, by which the literal it comes from is found.
    """

    cause: Cause
    detail: tuple[str, ...]
    summary: str
    place: str
    expected: TokenRange
    actual: TokenRange
    in_text: bool
    window: str = ""
    core: str = ""


@dataclass(frozen=True)
class _Pair:
    """The same segment in both texts."""

    expected: CharSpan
    actual: CharSpan
    kind: str
    message: int


def compare(
    expected: Rendering, actual: Rendering, conversation: Conversation, tokenizer: Tokenizer
) -> list[Difference]:
    """All differences, in order of appearance; empty where texts and ids are equal.

    Args:
        expected: the reference's rendering.
        actual: the other's rendering of the same conversation.
        conversation: what both rendered.
        tokenizer: of the target.
    """
    if expected.ids == actual.ids and expected.text == actual.text:
        return []
    if not (expected.has_text and actual.has_text):
        return [_ids_only(expected, actual)]
    compared = _Comparison(expected, actual, conversation, tokenizer)
    found = compared.leading_bos() + compared.in_text() + compared.in_tokens()
    unique = {(difference.cause, difference.detail): difference for difference in reversed(found)}
    return sorted(unique.values(), key=lambda difference: difference.expected)


def _ids_only(expected: Rendering, actual: Rendering) -> Difference:
    start = common_prefix(expected.ids, actual.ids)
    tail = common_suffix(expected.ids[start:], actual.ids[start:])
    return Difference(
        Cause.UNKNOWN,
        ("ids only",),
        "the ids differ; one of the two gives ids without text",
        f"token {start}",
        TokenRange(start, len(expected.ids) - tail),
        TokenRange(start, len(actual.ids) - tail),
        in_text=False,
    )


class _Comparison:
    def __init__(
        self, expected: Rendering, actual: Rendering, conversation: Conversation, tokenizer: Tokenizer
    ) -> None:
        self.expected = expected
        self.actual = actual
        self.conversation = conversation
        self.tokenizer = tokenizer
        self.cores: list[tuple[CharSpan, CharSpan]] = []

    # BOS first: an extra one in front would otherwise be aligned with whatever else differs near the start.

    def leading_bos(self) -> list[Difference]:
        bos = self.tokenizer.bos_id
        have, want = _leading(self.actual.ids, bos), _leading(self.expected.ids, bos)
        self.skip = (want, have)
        if bos is None or have == want:
            return []
        name = self.tokenizer.token(bos)
        if have > want:
            cause, summary = Cause.DUPLICATED_BOS, f"BOS {name} stands {have} times instead of {want}"
            if any(self.actual.added[:have]) and not all(self.actual.added[:have]):
                summary += ": once in the text, once more added by the tokenizer"
        else:
            cause, summary = Cause.MISSING_BOS, f"BOS {name} stands {have} times instead of {want}"
        return [
            Difference(
                cause,
                (str(want), str(have)),
                summary,
                "the start",
                TokenRange(min(want, have), want),
                TokenRange(min(want, have), have),
                in_text=False,
                window=self.actual.text[: len(name) + _WINDOW],
                core=name,
            )
        ]

    # Text: segment by segment where both texts can be cut, as one string otherwise.

    def in_text(self) -> list[Difference]:
        if self.expected.text == self.actual.text:
            return []
        pairs = self._pairs()
        if pairs is None:
            whole = _Pair((0, len(self.expected.text)), (0, len(self.actual.text)), "whole", 0)
            return self._differences_of(whole)
        return [difference for pair in pairs for difference in self._differences_of(pair)]

    def _pairs(self) -> list[_Pair] | None:
        count = len(self.conversation.messages)
        left, right = self.expected.segments(count), self.actual.segments(count)
        if left is None or right is None:
            return None
        if [(s.kind, s.message) for s in left] == [(s.kind, s.message) for s in right]:
            return [
                _Pair((a.start, a.end), (b.start, b.end), a.kind, a.message) for a, b in zip(left, right, strict=True)
            ]
        return _pairs_with_gaps(left, right)

    def _differences_of(self, pair: _Pair) -> list[Difference]:
        want = self.expected.text[slice(*pair.expected)]
        have = self.actual.text[slice(*pair.actual)]
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
        lower = max(pair.actual[0], have_start - _WINDOW)
        upper = min(pair.actual[1], have_end + _WINDOW)
        return [
            Difference(
                cause,
                detail,
                self._summary(cause, pair, core_want, core_have, have[prefix + len(core_have) :]),
                self._place(pair),
                tokens_at(self.expected, want_start, want_end),
                tokens_at(self.actual, have_start, have_end),
                in_text=True,
                window=self.actual.text[lower:upper],
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
            if longer.startswith(tuple(self.tokenizer.control_tokens) or ("\0",), start):
                moved = longer[start : start + length]
                return start, "" if core_have else moved, moved if core_have else ""
        return prefix, core_want, core_have

    def _only_bos(self, pair: _Pair, want: str, have: str) -> bool:
        """BOS in one text that the other side's tokenizer adds, or has twice: `leading_bos` has judged it."""
        if pair.message != 0 or pair.kind == "content" or self.tokenizer.bos_id is None:
            return False
        name = self.tokenizer.token(self.tokenizer.bos_id)
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
            has_system = any(message.role == "system" for message in self.conversation.messages)
            return Cause.EXTRA_SCAFFOLD if has_system else Cause.INJECTED_SYSTEM
        if core_want and core_have:
            return Cause.OTHER_MARKER
        return Cause.MISSING_SCAFFOLD if core_want else Cause.EXTRA_SCAFFOLD

    def _after_stop(self, pair: _Pair, before: str) -> bool:
        """In a training text, behind the last control token after the last answer: no prompt ever contains it."""
        last = pair.message == len(self.conversation.messages)
        if not (last and self.conversation.purpose == "train"):
            return False
        return any(token in before for token in self.tokenizer.control_tokens)

    def _plain(self, text: str) -> str:
        for token in self.tokenizer.control_tokens:
            text = text.replace(token, "")
        return text

    def _detail(self, pair: _Pair, want: str, have: str, cause: Cause) -> tuple[str, ...]:
        if pair.kind == "whole":
            return ("not located",)
        if pair.kind != "scaffold":
            return (pair.kind, self.conversation.messages[pair.message].role)
        return (self._between(pair.message), want, have)

    def _between(self, message: int) -> str:
        roles = ("start", *self.conversation.roles, "end")
        return f"{roles[message]} to {roles[message + 1]}"

    def _place(self, pair: _Pair) -> str:
        messages = self.conversation.messages
        if pair.kind == "whole":
            return "the text"
        if pair.kind == "content":
            return f"inside message {pair.message + 1} ({messages[pair.message].role})"
        return scaffold_place(self.conversation, pair.message)

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

    # Tokens: what the text does not explain.

    def in_tokens(self) -> list[Difference]:
        if self.expected.ids == self.actual.ids:
            return []
        groups = parted(self.expected, self.actual, self._runs(), self.skip)
        return [self._token_difference(left, right) for left, right in groups]

    def _runs(self) -> list[Run]:
        """The text both share: what lies between the differences in the text."""
        ends = (len(self.expected.text), len(self.actual.text))
        runs, left, right = [], 0, 0
        for want, have in [*sorted(self.cores), ((ends[0], ends[0]), (ends[1], ends[1]))]:
            if want[0] > left and want[0] - left == have[0] - right:
                runs.append(Run((left, want[0]), (right, have[0]), bool(left or right), want[0] < ends[0]))
            left, right = want[1], have[1]
        return runs

    def _token_difference(self, left: TokenRange, right: TokenRange) -> Difference:
        left_text, left_span = _text_of(self.expected, left)
        right_text, right_span = _text_of(self.actual, right)
        place, between = self._locate(right_span or left_span, right_span is not None)
        if self._is_tail(left, right):
            cause, summary = Cause.TAIL, "ids differ only after the last stop token"
        elif left_text is not None and left_text == right_text:
            at_seam = self._at_seam(self.expected, left_span) or self._at_seam(self.actual, right_span)
            cause = Cause.SEAM if at_seam else Cause.OTHER_TOKENS
            summary = f"{shortened(spell_out(left_text), 40)}: {_count(left)} on one side, {_count(right)} on the other"
            if at_seam:
                summary += ", which tokenizes in pieces" if self.actual.seams else "; the first tokenizes in pieces"
        elif left_text == "" or right_text == "":
            extra = right_text == "" and right.end > right.start
            cause = Cause.EXTRA_SCAFFOLD if extra else Cause.MISSING_SCAFFOLD
            ids = self.actual.ids[slice(*right)] if extra else self.expected.ids[slice(*left)]
            names = " ".join(self.tokenizer.token(i) for i in ids)
            summary = f"{names} is {'added by the system' if extra else 'missing'}"
            between = f"{between}: {names}"
        else:
            cause, summary = Cause.UNKNOWN, "the ids differ"
        return Difference(cause, (between,), summary, place, left, right, in_text=False)

    def _is_tail(self, left: TokenRange, right: TokenRange) -> bool:
        if self.conversation.purpose != "train":
            return False
        controls = set(self.tokenizer.control_tokens.values())
        end = self._last_content_end(self.actual)
        spans = self.actual.token_spans
        if end is None or spans is None:
            return False
        stop = next((n for n, i in enumerate(self.actual.ids) if i in controls and spans[n][0] >= end), None)
        return stop is not None and right.start > stop and left.end == len(self.expected.ids)

    def _last_content_end(self, rendering: Rendering) -> int | None:
        return rendering.contents[-1].end if rendering.contents else None

    def _at_seam(self, rendering: Rendering, span: CharSpan | None) -> bool:
        return span is not None and any(span[0] <= seam <= span[1] for seam in rendering.seams)

    def _locate(self, span: CharSpan | None, in_actual: bool) -> tuple[str, str]:
        """Place for the reader and place without numbers."""
        rendering = self.actual if in_actual else self.expected
        segments = rendering.segments(len(self.conversation.messages))
        if segments is None or span is None:
            return "the text", "not located"
        touched = [s for s in segments if s.start < max(span[1], span[0] + 1) and s.end > span[0]]
        scaffold = next((s for s in touched if s.kind == "scaffold"), None)
        if scaffold is None:
            content = touched[0] if touched else segments[-1]
            role = (*self.conversation.roles, "end")[content.message]
            return f"inside message {content.message + 1} ({role})", f"content {role}"
        place = scaffold_place(self.conversation, scaffold.message)
        return place, self._between(scaffold.message)


def scaffold_place(conversation: Conversation, message: int) -> str:
    """Words for the scaffold in front of message `message` (0-based)."""
    count = len(conversation.messages)
    if message == 0:
        return f"the scaffold before message 1 ({conversation.messages[0].role})"
    if message == count:
        after = f"the scaffold after message {count}"
        return after if conversation.purpose == "train" else f"{after}, up to where the answer begins"
    header = conversation.messages[message].role
    return f"the scaffold after message {message}, before the content of message {message + 1} ({header})"


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


def _leading(ids: tuple[int, ...], bos: int | None) -> int:
    count = 0
    while count < len(ids) and ids[count] == bos:
        count += 1
    return count


def _text_of(rendering: Rendering, tokens: TokenRange) -> tuple[str | None, CharSpan | None]:
    spans = rendering.token_spans
    if spans is None:
        return None, None
    covered = spans[slice(*tokens)]
    if not covered:
        at = spans[tokens.start][0] if tokens.start < len(spans) else len(rendering.text)
        return "", (at, at)
    start, end = covered[0][0], max(span[1] for span in covered)
    return rendering.text[start:end], (start, end)


def _count(tokens: TokenRange) -> str:
    count = tokens.end - tokens.start
    return f"{count} token" if count == 1 else f"{count} tokens"
