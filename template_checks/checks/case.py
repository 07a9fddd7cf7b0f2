"""One conversation with all its prefixes, rendered once by every renderer; the case that a check looks at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from template_checks.checks.variants import Variant, VariantResult, make_variant
from template_checks.config.target import Result, Target
from template_checks.core.conversation import Conversation, Purpose
from template_checks.core.rendering import CharSpan, Rendering
from template_checks.divergence.compare import compare
from template_checks.divergence.model import Difference

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of one answer in a rendering.

    `message` is the message's number (0-based), `end` the character after its content, `position` the first token
    that begins there or later (None where nothing follows), `straddled` whether a token reaches across the end.
    """

    message: int
    end: int
    position: int | None
    straddled: bool


class RenderedPrefixes:
    """Renderings of `conversation` and of each of its prefixes at which somebody else's turn begins.

    A prefix that ends with the assistant is rendered to train, one that ends otherwise to generate.

    Args:
        target: whose renderers render.
        conversation: the whole conversation.
        only: names of the renderers to use; all by default.
    """

    def __init__(self, target: Target, conversation: Conversation, only: Iterable[str] | None = None) -> None:
        self.target = target
        self.conversation = conversation
        self.names = [name for name in target.renderers if only is None or name in only]
        self.prefixes: dict[int, Conversation] = {
            length: conversation.prefix(length)
            for length in range(1, len(conversation.messages) + 1)
            if _may_end(conversation.roles, length)
        }
        self.results: dict[Key, Result] = {}
        self._cases: dict[tuple[str, Purpose], list[Case]] = {}
        for length, prefix in self.prefixes.items():
            purpose = prefix.purpose
            for name in self.names:
                if purpose in target.renderers[name].purposes:
                    result = target.render(name, prefix, purpose)
                    self.results[name, length] = result
                    case = Case(self, name, purpose, length, prefix, result)
                    self._cases.setdefault((name, purpose), []).append(case)
        self._differences: dict[Key, list[Difference]] = {}
        self._variants: dict[tuple[str, int, Variant], VariantResult] = {}

    def cases(self, renderer: str, purpose: Purpose) -> list[Case]:
        """The prefixes that `renderer` rendered for `purpose`, shortest first."""
        return self._cases.get((renderer, purpose), [])

    def release(self) -> None:
        """Forget the cases: they point back here, and such rings are freed only by the garbage collector, slowly."""
        self._cases.clear()

    def case(self, renderer: str, length: int) -> Case | None:
        """The prefix of this length as `renderer` rendered it; None where it did not."""
        cases = self.cases(renderer, self.prefixes[length].purpose) if length in self.prefixes else []
        return next((case for case in cases if case.length == length), None)

    def differences(self, renderer: str, length: int) -> list[Difference]:
        """Where the renderer parts from the reference; computed once for all checks. Both must have rendered."""
        key = (renderer, length)
        if key not in self._differences:
            expected = self.results[self.target.config.reference, length]
            actual = self.results[key]
            assert isinstance(expected, Rendering)
            assert isinstance(actual, Rendering)
            self._differences[key] = compare(expected, actual, self.prefixes[length], self.target.tokenizer)
        return self._differences[key]

    def make(self, renderer: str, length: int, variants: tuple[Variant, ...]) -> None:
        """Make variants of a prefix that this renderer rendered; each once, whoever needs it."""
        for variant in variants:
            key = (renderer, length, variant)
            if key not in self._variants:
                prefix = self.prefixes[length]
                self._variants[key] = make_variant(self.target, renderer, prefix, prefix.purpose, variant)

    def variant(self, renderer: str, length: int, variant: Variant) -> VariantResult:
        """A variant that was made.

        Raises:
            LookupError: it was not: the check that asks for it does not declare it.
        """
        try:
            return self._variants[renderer, length, variant]
        except KeyError as error:
            raise LookupError(f"the check does not declare the variant {variant!r}") from error


@dataclass(frozen=True, eq=False)
class Case:
    """One prefix as one renderer rendered it: what a check looks at."""

    rendered: RenderedPrefixes
    renderer: str
    purpose: Purpose
    length: int
    conversation: Conversation
    result: Result

    @property
    def target(self) -> Target:
        """The target."""
        return self.rendered.target

    @property
    def rendering(self) -> Rendering:
        """The rendering.

        Raises:
            Unsupported: the renderer cannot express the conversation.
            RenderError: it broke.
        """
        if isinstance(self.result, Rendering):
            return self.result
        raise self.result

    @property
    def is_reference(self) -> bool:
        """Whether this is the reference itself."""
        return self.renderer == self.target.config.reference

    @cached_property
    def reference(self) -> Rendering | None:
        """The reference's rendering of the same prefix; None where it has none."""
        return self.rendering_of(self.target.config.reference, self.length)

    def rendering_of(self, renderer: str, length: int) -> Rendering | None:
        """Another rendering of the same exchange; None where there is none."""
        result = self.rendered.results.get((renderer, length))
        return result if isinstance(result, Rendering) else None

    @cached_property
    def answers(self) -> list[Answer]:
        """The answers of the rendering, in order; empty where they cannot be located.

        A message that calls tools is none: what it ends with comes after its calls.
        """
        rendering = self.rendering
        spans = rendering.token_spans
        if rendering.contents is None or spans is None:
            return []
        return [
            _answer(rendering, spans, content.message, content.end)
            for content in rendering.contents
            if (message := self.conversation.messages[content.message]).role == "assistant" and not message.tool_calls
        ]

    def variant(self, variant: Variant) -> VariantResult:
        """A variant of this rendering that the check declares."""
        return self.rendered.variant(self.renderer, self.length, variant)

    def reference_variant(self, variant: Variant) -> VariantResult:
        """The same of the reference; None where it is this renderer itself, or does not render this purpose."""
        if self.is_reference or self.reference is None:
            return None
        return self.rendered.variant(self.target.config.reference, self.length, variant)

    @property
    def differences(self) -> list[Difference]:
        """Where this rendering parts from the reference's."""
        return self.rendered.differences(self.renderer, self.length)


def _may_end(roles: tuple[str, ...], length: int) -> bool:
    """Not after a system message, and not between two results of tools."""
    return roles[length - 1] != "system" and roles[length - 1 : length + 1] != ("tool", "tool")


def _answer(rendering: Rendering, spans: list[CharSpan], message: int, end: int) -> Answer:
    position, straddled = None, False
    for n in range(len(spans) - 1, -1, -1):  # from the end: later answers are nearer to it
        start, stop = spans[n]
        if start >= end:
            position = n
        elif stop <= end:
            break
        else:
            straddled = True
    return Answer(message, end, position, straddled)
