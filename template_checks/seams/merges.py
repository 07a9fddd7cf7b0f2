"""Every token that can merge across a seam. Nothing is sampled.

Tokenized whole, a token may reach across a seam; tokenized in pieces, it cannot. The tokens that can are found in the
vocabulary: their bytes are an end of what is before the seam, followed by a beginning of what is after it. Each is
confirmed by encoding both ways.

Why that is all of them, where texts are cut by merges alone (BPE): what is on one side of a token boundary has no
influence on how the other side is cut. So a token that reaches across in one conversation still does when the
contents are cut off at its ends and go on with a control token, and such contents are tried. Only fixed text with
neither control token nor token boundary before the next content could hide one; all ways to cut into it are tried.
The tests compare this with brute force over small vocabularies: `test_every_pair_of_tokens_of_the_embedded_tokenizer`
and `test_random_merges_and_templates`.

Where a pre-tokenizer looks at what follows, further continuations are tried, and a token that fits by its text and
merged with none of them is counted: only where there is none is a list called complete.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, product

from template_checks.core.conversation import Conversation, Message
from template_checks.core.errors import RenderError, Unsupported
from template_checks.core.rendering import Rendering
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.base import Renderer
from template_checks.seams.find import Seam
from template_checks.seams.vocabulary import Vocabulary, VocabularyEntry, as_text, completed, preceded

_FEW, _MANY = 1, 400
"""How many contents of one side are tried with all of the other, and how many at all, where merges are not alone.

A bound on time, not on truth: what is not found within it is counted as undecided.
"""
_REACHING = 8
"""Contents for each way in which a token of a content can reach into the fixed text."""
_CHARACTERS = ("0", "a", " ", "\n", ".", "\t", "é", "\r", "\u3000", "~")
"""One or two of each kind that pre-tokenizers tell apart."""


@dataclass(frozen=True)
class BoundaryMerge:
    """A token that merges across a seam, and a conversation that provokes it.

    `contents` are those that the token depends on: (message, content). `whole` and `pieces` are the ids where the
    whole text and its pieces differ.
    """

    id: int
    text: str
    contents: tuple[tuple[int, str], ...]
    conversation: Conversation
    whole: tuple[int, ...]
    pieces: tuple[int, ...]


@dataclass(frozen=True)
class Listing:
    """The tokens that can cross one seam, in order of id; `reason` says why there may be more.

    `undecided` are ids of tokens that fit by their text and were not seen to merge.
    """

    seam: Seam
    crossings: tuple[BoundaryMerge, ...]
    undecided: tuple[int, ...]
    reason: str | None

    @property
    def complete(self) -> bool:
        """Whether these are all."""
        return self.reason is None


def crossing(tokenizer: Tokenizer, text: str, position: int) -> tuple[int, int, int] | None:
    """The token that reaches across a position of a text that is tokenized whole: (id, start, end)."""
    encoded = tokenizer.encode(text)
    for index, (start, end) in zip(encoded.ids, encoded.offsets() or (), strict=False):
        if start < position < end:
            return index, start, end
    return None


def find_merges(
    renderer: Renderer, seam: Seam, vocabulary: Vocabulary, on_progress: Callable[[], None] = lambda: None
) -> Listing:
    """Every token that can merge across one seam, each confirmed by encoding.

    Args:
        renderer: whose seam it is.
        seam: one of `find_seams`.
        vocabulary: of the renderer's tokenizer.
        on_progress: called for each token that is tried.
    """
    if seam.added:
        return Listing(seam, (), (), None)
    finder = _MergeFinder(renderer, seam, vocabulary)
    found: list[BoundaryMerge] = []
    undecided: list[int] = []
    for index, fits in sorted(finder.fits().items()):
        on_progress()
        if not vocabulary.stands_alone(index):
            continue
        confirmed = next(filter(None, (finder.provoke(index, fit) for fit in fits)), None)
        if confirmed is not None:
            found.append(confirmed)
        elif not all(finder.is_refuted(index, fit) for fit in fits):
            undecided.append(index)
    reasons = list(vocabulary.doubts)
    if vocabulary.composes and not finder.is_inert():
        reasons.append("the tokenizer composes letters and marks (NFC), and the text at this seam can take part in it")
    if undecided:
        fit, them = ("token fits by its", "it") if len(undecided) == 1 else ("tokens fit by their", "them")
        reasons.append(f"{len(undecided)} more {fit} text, and no content that was tried made {them} merge")
    return Listing(seam, tuple(found), tuple(undecided), "; ".join(reasons) or None)


# How they are found


@dataclass(frozen=True)
class _Side:
    """What is on one side of a seam, as far as a token can reach.

    `fixed` goes up to the nearest content (`open`), or else to the nearest control token or the end of the text.
    `closed` is the text from which it can be cut in the same way, where it is not open. `cuts` are the numbers of
    bytes, counted from the content, up to which a token of that content can reach into `fixed`, with such contents.
    """

    fixed: bytes
    open: bool
    closed: str
    cuts: dict[int, list[str]]


@dataclass(frozen=True)
class _Fit:
    """How a token fits: what the contents must end and begin with, and how much of the fixed text it leaves."""

    ends: bytes = b""
    begins: bytes = b""
    left_over: int = 0
    right_over: int = 0


class _MergeFinder:
    """Tries tokens at one seam."""

    def __init__(self, renderer: Renderer, seam: Seam, vocabulary: Vocabulary) -> None:
        self.renderer, self.seam, self.vocabulary = renderer, seam, vocabulary
        self.tokenizer = renderer.tokenizer
        controls = self.tokenizer.control_pattern
        *_, last = None, *controls.finditer(seam.before)
        first = controls.search(seam.behind)
        self.left = self._side(
            seam.before[last.end() :] if last else seam.before,
            seam.before[last.start() :] if last else seam.before,
            last is None and seam.left is not None,
            lambda fixed, n: [data[:-n] for data, _ in vocabulary.ending(fixed[:n])],
        )
        self.right = self._side(
            seam.behind[: first.start()] if first else seam.behind,
            seam.behind[: first.end()] if first else seam.behind,
            first is None and seam.right is not None,
            lambda fixed, n: [data[n:] for data, _ in vocabulary.starting(fixed[len(fixed) - n :])],
        )
        plain = ["", "0"]
        if not vocabulary.exact:
            plain += [*_CHARACTERS[1:], *map("".join, product(_CHARACTERS, repeat=2))]
        self.around = [*plain, vocabulary.spacer] if vocabulary.spacer else plain

    def _side(self, text: str, closed: str, is_open: bool, reaching: Callable[[bytes, int], list[bytes]]) -> _Side:
        fixed, cuts = self.vocabulary.spelling(text), {}
        if is_open and self.vocabulary.exact:
            for n in range(1, min(len(fixed), self.vocabulary.longest)):
                contents = sorted((content for data in reaching(fixed, n) if (content := as_text(data))), key=len)
                if contents:
                    cuts[n] = contents[:_REACHING]
        return _Side(fixed, is_open, closed, cuts)

    def is_inert(self) -> bool:
        """Whether nothing of the fixed text at the seam can be composed (NFC) with what is next to it."""
        fixed = (self.left.fixed + self.right.fixed).decode()
        if not fixed:  # content meets content, or a control token, at which the text is cut before that
            return not (self.left.open and self.right.open)
        first, last = fixed[0], fixed[-1]
        begins = not self.left.open or first.isascii()
        ends = not self.right.open or (last.isascii() and not last.isalnum() and last not in "<=>")
        return begins and ends and unicodedata.is_normalized("NFC", fixed)

    # Which tokens fit

    def fits(self) -> dict[int, list[_Fit]]:
        """Tokens whose text fits across the seam, and how."""
        found: dict[int, list[_Fit]] = {}
        for (data, index), cut in self._candidates():
            ends, left_over = _outside(data[:cut][::-1], self.left.fixed[::-1], self.left.open) or (None, 0)
            begins, right_over = _outside(data[cut:], self.right.fixed, self.right.open) or (None, 0)
            if ends is not None and begins is not None:
                found.setdefault(index, []).append(_Fit(ends[::-1], begins, left_over, right_over))
        for index, fit in self._absorbed():
            found.setdefault(index, []).append(fit)
        return found

    def _candidates(self) -> Iterator[tuple[VocabularyEntry, int]]:
        """Tokens that fit on one side at least, with the number of their bytes in front of the seam."""
        left, right, vocabulary = self.left.fixed, self.right.fixed, self.vocabulary
        for n in range(1, min(len(left), vocabulary.longest) + 1):
            yield from ((entry, n) for entry in vocabulary.starting(left[-n:]) if len(entry[0]) > n)
        if not self.left.open:
            return
        for n in range(1, min(len(right), vocabulary.longest) + 1):
            for entry in vocabulary.ending(right[:n]):
                if len(entry[0]) - n > len(left):
                    yield entry, len(entry[0]) - n
        if self.right.open:
            both = left + right
            for entry in vocabulary.entries:
                at = entry[0].find(both, 1)
                while 0 < at < len(entry[0]) - len(both):
                    yield entry, at + len(left)
                    at = entry[0].find(both, at + 1)

    def _absorbed(self) -> Iterator[tuple[int, _Fit]]:
        """Control tokens next to the seam that take in white space from its other side."""
        before, behind = self.seam.before, self.seam.behind
        for index, name in self.vocabulary.absorbing(left=False):
            if before.rstrip().endswith(name.rstrip()):
                if behind[:1].isspace():
                    yield index, _Fit()
                elif not behind and self.right.open:
                    yield index, _Fit(begins=b" ")
        for index, name in self.vocabulary.absorbing(left=True):
            if behind.lstrip().startswith(name.lstrip()):
                if before[-1:].isspace():
                    yield index, _Fit()
                elif not before and self.left.open:
                    yield index, _Fit(ends=b" ")

    # Which of them merge

    def provoke(self, index: int, fit: _Fit) -> BoundaryMerge | None:
        """The token as it merges in a conversation, if it does in one of those that are tried."""
        lefts = self._contents(self.left, fit.ends, fit.left_over, before=True)
        rights = self._contents(self.right, fit.begins, fit.right_over, before=False)
        if self.vocabulary.exact:
            pairs = [*product(lefts, rights)]
        else:
            pairs = [*product(lefts[:_FEW], rights), *product(lefts[_FEW:], rights[: _FEW + 1])]
        for left, right in pairs:
            if self._merges(index, self._left_text(left), self._right_text(right)):
                found = self._confirmed(index, left, right)
                if found is not None:
                    return found
        return None

    def _contents(self, side: _Side, needed: bytes, over: int, *, before: bool) -> list[str]:
        """Contents to try next to the seam, simplest first."""
        if not side.open:
            return [""]
        if not needed:
            reaching = [text for n, texts in side.cuts.items() if n <= over for text in texts]
            spacer = self.vocabulary.spacer
            apart = [spacer + text if before else text + spacer for text in ("", *reaching)]
            return list(dict.fromkeys([*self.around[: len(_CHARACTERS) + 1], *reaching, *apart]))
        texts = list(islice(preceded(needed) if before else completed(needed), _MANY))
        return [around + text if before else text + around for around in self.around for text in texts][:_MANY]

    def _left_text(self, content: str) -> str:
        return self.seam.head + content + self.seam.before if self.left.open else self.left.closed

    def _right_text(self, content: str) -> str:
        return self.seam.behind + content + self.seam.tail if self.right.open else self.right.closed

    def _merges(self, index: int, left: str, right: str) -> bool:
        found = crossing(self.tokenizer, left + right, len(left))
        return found is not None and found[0] == index

    def _confirmed(self, index: int, left: str, right: str) -> BoundaryMerge | None:
        """Render the conversation, and encode its text whole and in pieces."""
        seam, messages = self.seam, list(self.seam.conversation.messages)
        texts = {}
        for message, content, side in ((seam.left, left, self.left), (seam.right, right, self.right)):
            if message is not None:
                if side.open:
                    messages[message] = Message(messages[message].role, content)
                texts[message] = messages[message].content
        conversation = Conversation(tuple(messages))
        try:
            rendering = self.renderer.render(conversation, conversation.purpose)
        except (Unsupported, RenderError):
            return None
        before = seam.head + ("" if seam.left is None else texts[seam.left]) + seam.before
        behind = seam.behind + ("" if seam.right is None else texts[seam.right]) + seam.tail
        position = len(before)
        if rendering.text != before + behind or position not in rendering.seams:
            return None
        found = crossing(self.tokenizer, rendering.text, position)
        if found is None or found[0] != index:
            return None
        contents = tuple(
            (message, content)
            for message, content, side in ((seam.left, left, self.left), (seam.right, right, self.right))
            if message is not None and side.open and content
        )
        text = rendering.text[found[1] : found[2]]
        return BoundaryMerge(index, text, contents, conversation, *_parted(self.tokenizer, rendering, *found[1:]))

    def is_refuted(self, index: int, fit: _Fit) -> bool:
        """Whether it is shown that the token cannot merge here, whatever the contents are."""
        if not self.vocabulary.exact and not self.vocabulary.is_control(index):
            return False
        lefts = self._windows(self.left, fit.ends, fit.left_over, before=True)
        rights = self._windows(self.right, fit.begins, fit.right_over, before=False)
        if lefts is None or rights is None:
            return False
        return not any(self._merges(index, left, right) for left, right in product(lefts, rights))

    def _windows(self, side: _Side, needed: bytes, over: int, *, before: bool) -> list[str] | None:
        """The texts on one side between token boundaries: one for each place where these can be."""
        if not side.open:
            return [side.closed]
        if needed:
            texts = [needed + side.fixed if before else side.fixed + needed]
        else:
            cuts = [0, *(n for n in side.cuts if n <= over)]
            texts = [side.fixed[n:] if before else side.fixed[: len(side.fixed) - n] for n in cuts]
        decoded = [text for text in map(as_text, texts) if text is not None]
        return decoded if len(decoded) == len(texts) else None


def _outside(data: bytes, fixed: bytes, is_open: bool) -> tuple[bytes, int] | None:
    """What of `data`, which begins at the seam, lies beyond the fixed text, and what it leaves of that text.

    None where it does not fit.
    """
    if fixed.startswith(data):
        return b"", len(fixed) - len(data)
    if is_open and data.startswith(fixed):
        return data[len(fixed) :], 0
    return None


def _parted(
    tokenizer: Tokenizer, rendering: Rendering, start: int, end: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids of the whole text and of its pieces from one boundary that both have to the next, around a token."""
    encoded = tokenizer.encode(rendering.text)
    whole = [*zip(encoded.offsets() or (), encoded.ids, strict=False)]
    pieces = [*zip(rendering.token_spans or (), rendering.ids, strict=False)]
    both = [span for span, _ in (*whole, *pieces)]
    while cut := [span for span in both if span[0] < start < span[1] or span[0] < end < span[1]]:
        start, end = min(start, *(a for a, _ in cut)), max(end, *(b for _, b in cut))
    ids = [tuple(i for (a, b), i in side if start <= a < b <= end) for side in (whole, pieces)]
    return ids[0], ids[1]
