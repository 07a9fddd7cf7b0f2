"""Where a renderer that tokenizes in pieces joins them.

A seam is where one piece ends and the next begins. Around it are scaffold, which is fixed, and the contents next to
it, which may be anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from template_checks.core.conversation import Conversation, Message
from template_checks.core.errors import RenderError, Unsupported
from template_checks.core.rendering import ContentSpan, Rendering
from template_checks.divergence.model import scaffold_place
from template_checks.renderers.base import Renderer

_TURNS = ("user", "assistant", "user", "assistant")
_SHAPES = [(*first, *_TURNS[:length]) for length in range(1, len(_TURNS) + 1) for first in ((), ("system",))]


@dataclass(frozen=True)
class Seam:
    """A place where pieces meet.

    `before` and `behind` are the fixed text on both sides, up to the nearest content; `left` and `right` are the
    messages (0-based) of these contents, None where the text begins or ends. `conversation` is the smallest that has
    this seam, `head` and `tail` what its text holds beyond the two contents. `added` are control ids that the
    renderer puts here: they part the pieces, and nothing merges across.
    """

    place: str
    before: str
    behind: str
    left: int | None
    right: int | None
    added: tuple[int, ...]
    conversation: Conversation
    head: str = field(repr=False)
    tail: str = field(repr=False)

    @property
    def kind(self) -> tuple[object, ...]:
        """What makes two seams of two conversations the same."""
        roles = [None if message is None else self.conversation.roles[message] for message in (self.left, self.right)]
        return self.before, self.behind, *roles, self.added

    def same_as(self, other: Seam) -> bool:
        """Whether it is of the same kind, next to the same messages."""
        return (self.kind, self.left, self.right) == (other.kind, other.left, other.right)


def find_seams(renderer: Renderer) -> list[Seam]:
    """The seams of a renderer, each kind once, from conversations of up to two turns, with and without system message.

    Raises:
        Unsupported: it renders none of them, or not as text with contents that can be located.
        RenderError: it breaks on one.
    """
    found: dict[tuple[object, ...], Seam] = {}
    refusal: Unsupported | None = Unsupported("it renders no plain conversation")
    system = renderer.context.system
    for shape in _SHAPES:
        conversation = Conversation.of(*((role, system or "0" if role == "system" else "0") for role in shape))
        if conversation.purpose not in renderer.purposes or (system is not None and shape[0] != "system"):
            continue
        try:
            located = seams_in(renderer.render(conversation, conversation.purpose), conversation, system)
        except Unsupported as error:
            refusal = refusal and error
            continue
        refusal = None
        for _, seam in located:
            found.setdefault(seam.kind, seam)
    if refusal is not None:
        raise refusal
    return [_emptied(renderer, seam) for seam in found.values()]


def seams_in(rendering: Rendering, conversation: Conversation, system: str | None = None) -> list[tuple[int, Seam]]:
    """The seams of one rendering with their positions, those within a content left out.

    Where a content is empty right at a seam, nothing says on which side of it that is: both are given.

    Args:
        rendering: of a renderer that tokenizes in pieces, or not.
        conversation: what it renders.
        system: the system prompt that every conversation carries: it counts as scaffold.

    Raises:
        Unsupported: there is no text, or its contents cannot be located.
    """
    if not rendering.has_text or rendering.contents is None:
        raise Unsupported("it does not say where the contents are in its text")
    free = [s for s in rendering.contents if system is None or conversation.roles[s.message] != "system"]
    added: dict[int, tuple[int, ...]] = {}
    base = 0
    for piece in rendering.pieces:
        base += len(piece.text)
        if not piece.text:
            added[base] = (*added.get(base, ()), *piece.encoded.ids)
    found = []
    for position in sorted(rendering.seams):
        if any(span.start < position < span.end for span in free):
            continue
        first = sum(span.end <= position and span.start < position for span in free)
        last = sum(span.end <= position for span in free)
        for cut in range(first, last + 1):
            left, right = free[cut - 1] if cut else None, free[cut] if cut < len(free) else None
            found.append(
                (position, _seam(rendering.text, position, left, right, added.get(position, ()), conversation))
            )
    return found


def _seam(
    text: str,
    position: int,
    left: ContentSpan | None,
    right: ContentSpan | None,
    added: tuple[int, ...],
    conversation: Conversation,
) -> Seam:
    before = text[left.end if left else 0 : position]
    behind = text[position : right.start if right else len(text)]
    messages = left.message if left else None, right.message if right else None
    return Seam(
        _place(conversation, *messages, before, behind),
        before,
        behind,
        *messages,
        added,
        conversation,
        text[: left.start] if left else "",
        text[right.end :] if right else "",
    )


def _emptied(renderer: Renderer, seam: Seam) -> Seam:
    """The same seam in a conversation whose contents are empty, as far as it is still there."""
    system = renderer.context.system
    for kept in ((), (seam.left, seam.right)):
        messages = [
            message if n in kept or (system is not None and message.role == "system") else Message(message.role, "")
            for n, message in enumerate(seam.conversation.messages)
        ]
        conversation = Conversation(tuple(messages))
        try:
            located = seams_in(renderer.render(conversation, conversation.purpose), conversation, system)
        except (Unsupported, RenderError):
            continue
        for _, other in located:
            if other.same_as(seam):
                return other
    return seam


def _place(conversation: Conversation, left: int | None, right: int | None, before: str, behind: str) -> str:
    def content(message: int) -> str:
        return f"the content of message {message + 1} ({conversation.roles[message]})"

    if right is not None and not behind:
        return f"right before {content(right)}"
    if left is not None and not before:
        return f"right after {content(left)}"
    return scaffold_place(conversation, len(conversation.messages) if right is None else right)
