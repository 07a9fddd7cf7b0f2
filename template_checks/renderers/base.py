"""The renderer protocol.

A renderer adapts ONE real system that turns a conversation into token ids. It runs that system's own code or data,
and never guesses: what it cannot express raises `Unsupported`, what breaks raises `RenderError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from template_checks.core.conversation import Conversation, Feature, Purpose
from template_checks.core.errors import Unsupported
from template_checks.core.rendering import Artefact, Rendering, SourceLiteral, Stop

if TYPE_CHECKING:
    from template_checks.core.tokenizer import Tokenizer


class RendererOptions(BaseModel):
    """Options every renderer table may hold; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str


OptionsType = type[RendererOptions]
"""Named here, since `type` means the renderer's type inside a renderer class."""


@dataclass(frozen=True)
class Context:
    """What a renderer may use of its target.

    `folder` is what relative paths are relative to; `offline` forbids fetching. `stop_ids` are the ids of the model's
    generation config, with their source; None where the target has no generation config.
    """

    tokenizer: Tokenizer
    folder: Path
    system: str | None = None
    offline: bool = False
    stop_ids: tuple[Stop, ...] | None = None


@dataclass(frozen=True)
class Served:
    """Where the serving side halts; `unknown` says why the stops cannot be known."""

    stops: tuple[Stop, ...] = ()
    unknown: str | None = None


class Renderer(ABC):
    """Base of all renderers.

    Args:
        name: the name the target gives it.
        options: its table in the target, validated by `Options`.
        context: tokenizer and surroundings of the target.

    Raises:
        TemplateChecksError: an artefact is missing or cannot be understood.
    """

    type: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[OptionsType] = RendererOptions
    purposes: frozenset[Purpose] = frozenset({"train", "generate"})
    features: frozenset[Feature] = frozenset()
    """What this system can express beyond roles and text."""
    labelled: ClassVar[str] = "no"
    """Whether it gives labels, in words."""
    gives_labels: bool = False
    sees_clock: ClassVar[bool] = True
    """Whether it runs in this process, so that it sees the clock as this process sees it."""
    masks_padding: bool | None = None
    """Whether the collator of its training sets the label of every padding id to -100; None where that is not known."""

    def __init__(self, name: str, options: Any, context: Context) -> None:
        self.name = name
        self.options = options
        self.context = context
        self.tokenizer = context.tokenizer
        self.artefacts: list[Artefact] = []
        self.source_literals: list[SourceLiteral] = []
        self.notes: list[str] = []
        self.taught: tuple[Stop, ...] = ()
        self.served: Served | None = None

    @abstractmethod
    def render(self, conversation: Conversation, purpose: Purpose) -> Rendering:
        """Render one conversation.

        Raises:
            Unsupported: this system cannot express the conversation.
            RenderError: the system broke on it.
        """

    def render_continued(self, conversation: Conversation) -> Rendering:
        """Render a prompt that goes on with the last message, an answer that was begun.

        Raises:
            Unsupported: this system cannot go on with a message.
            RenderError: the system broke on it.
        """
        raise Unsupported("it cannot go on with a message")

    def given_after(self, conversation: Conversation, purpose: Purpose) -> Any:
        """What the system was given, as `Conversation.to_data` gives it, after it rendered that.

        None where it gets nothing that it could change.
        """
        return None

    def after_fork(self) -> None:  # noqa: B027 — most renderers hold nothing
        """Let go, in a new process, of what only the process that made it may use: pipes and the like."""

    def close(self) -> None:  # noqa: B027 — most renderers hold nothing
        """Give back processes and the like."""

    def describe(self) -> dict[str, Any]:
        """Facts for the record's header: what was extracted, from where."""
        return {}
