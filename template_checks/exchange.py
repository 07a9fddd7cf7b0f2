"""One conversation with all its prefixes, rendered once by every renderer and shared by all checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from template_checks.conversation import Conversation, Purpose
from template_checks.divergence import Difference, compare
from template_checks.errors import RenderError, Unsupported
from template_checks.rendering import Rendering
from template_checks.target import Target

Result = Rendering | Unsupported | RenderError
Key = tuple[str, int]


class Exchange:
    """Renderings of `conversation` and of each of its prefixes that ends with a user or an assistant turn.

    A prefix that ends with the assistant is rendered to train, one that ends otherwise to generate.

    Args:
        target: whose renderers render.
        conversation: the whole conversation.
        only: names of the renderers to use; all by default.
    """

    def __init__(self, target: Target, conversation: Conversation, only: Iterable[str] | None = None) -> None:
        """Render everything now: no check renders anything."""
        self.target = target
        self.conversation = conversation
        self.names = [name for name in target.renderers if only is None or name in only]
        self.prefixes: dict[int, Conversation] = {
            length: conversation.prefix(length)
            for length in range(1, len(conversation.messages) + 1)
            if conversation.messages[length - 1].role != "system"
        }
        self.results: dict[Key, Result] = {}
        for length, prefix in self.prefixes.items():
            for name in self.names:
                if prefix.purpose in target.renderers[name].purposes:
                    self.results[name, length] = self._render(name, prefix)
        self._differences: dict[Key, list[Difference]] = {}

    def _render(self, name: str, conversation: Conversation) -> Result:
        try:
            return self.target.renderers[name].render(conversation, conversation.purpose)
        except (Unsupported, RenderError) as error:
            return error

    def cases(self, renderer: str, purpose: Purpose) -> Iterator[Case]:
        """The prefixes that `renderer` rendered for `purpose`, shortest first."""
        for length, prefix in self.prefixes.items():
            if prefix.purpose == purpose and (renderer, length) in self.results:
                yield Case(self, renderer, purpose, length)

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


@dataclass(frozen=True)
class Case:
    """One prefix as one renderer rendered it: what a check looks at."""

    exchange: Exchange
    renderer: str
    purpose: Purpose
    length: int

    @property
    def target(self) -> Target:
        """The target."""
        return self.exchange.target

    @property
    def conversation(self) -> Conversation:
        """The prefix."""
        return self.exchange.prefixes[self.length]

    @property
    def result(self) -> Result:
        """What the renderer made of it."""
        return self.exchange.results[self.renderer, self.length]

    @cached_property
    def rendering(self) -> Rendering:
        """The rendering.

        Raises:
            Unsupported: the renderer cannot express the conversation.
            RenderError: it broke.
        """
        return _unwrap(self.result)

    @property
    def is_reference(self) -> bool:
        """Is this the reference itself?"""
        return self.renderer == self.target.config.reference

    @cached_property
    def reference(self) -> Rendering | None:
        """The reference's rendering of the same prefix; None where it has none."""
        return self.rendering_of(self.target.config.reference, self.length)

    def rendering_of(self, renderer: str, length: int) -> Rendering | None:
        """Another rendering of the same exchange; None where there is none."""
        result = self.exchange.results.get((renderer, length))
        return result if isinstance(result, Rendering) else None

    @property
    def differences(self) -> list[Difference]:
        """Where this rendering parts from the reference's."""
        return self.exchange.differences(self.renderer, self.length)


def _unwrap(result: Result) -> Rendering:
    if isinstance(result, Rendering):
        return result
    raise result
