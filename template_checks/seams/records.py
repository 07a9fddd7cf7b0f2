"""Seams and what can cross them as lines: NDJSON, and what the terminal shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from template_checks.config.target import Target
from template_checks.core.errors import RenderError, Unsupported
from template_checks.record.models import ConversationData, Count, RecordModel, Text
from template_checks.renderers.base import Renderer
from template_checks.seams.find import find_seams
from template_checks.seams.merges import BoundaryMerge, Listing, find_merges
from template_checks.seams.vocabulary import Vocabulary

_ALSO = (
    "This tokenizer looks at the text around a token before it cuts: at a seam, ids can also differ without a token "
    "that reaches across."
)


class SeamPart(RecordModel):
    """A line about one renderer of a target."""

    kind: str
    target: Text
    renderer: Text


class RendererLine(SeamPart):
    """A renderer and how many seams it has; `outcome` and `reason` say why nothing is known of them."""

    kind: Literal["renderer"] = "renderer"
    seams: Count | None = None
    note: Text | None = None
    outcome: Literal["error", "unsupported"] | None = None
    reason: Text | None = None


class MessageRef(RecordModel):
    """A message, by its number from 1."""

    message: Count
    role: Text


class ContentRef(MessageRef):
    """A message with its content."""

    content: Text


class AddedToken(RecordModel):
    """A token that the renderer puts at a seam."""

    id: int
    token: Text


class SeamLine(SeamPart):
    """A seam: what is fixed before and behind it, the contents beyond that, and how many tokens can cross it.

    `complete` says that there are no others; if there may be, `reason` says why, and `undecided` are ids of tokens that
    fit by their text and were not seen to merge.
    """

    kind: Literal["seam"] = "seam"
    seam: Count
    place: Text
    left: MessageRef | None
    before: Text
    behind: Text
    right: MessageRef | None
    added: tuple[AddedToken, ...]
    crossings: Count
    complete: bool
    reason: Text | None
    undecided: tuple[int, ...]


class MergeLine(SeamPart):
    """A token that can merge across a seam, contents that provoke it, and the ids of the text whole and in pieces."""

    kind: Literal["crossing"] = "crossing"
    seam: Count
    id: int
    token: Text
    text: Text
    contents: tuple[ContentRef, ...]
    conversation: ConversationData
    whole_ids: tuple[int, ...]
    piece_ids: tuple[int, ...]


SeamsLine = RendererLine | SeamLine | MergeLine


def seam_lines(
    target: Target, name: str, vocabulary: Callable[[], Vocabulary], say: Callable[[str], None]
) -> Iterator[SeamsLine]:
    """A line for the renderer, then one for each seam, followed by one for each token that can cross it.

    Args:
        target: whose renderer it is.
        name: the renderer's.
        vocabulary: of the target's tokenizer; called only where there is a seam.
        say: told from time to time what is looked at.
    """
    if name in target.broken:
        yield RendererLine(target=target.name, renderer=name, outcome="error", reason=target.broken[name].what)
        return
    renderer = target.renderers[name]
    try:
        found = find_seams(renderer)
    except Unsupported as error:
        yield RendererLine(target=target.name, renderer=name, outcome="unsupported", reason=str(error))
        return
    except RenderError as error:
        yield RendererLine(target=target.name, renderer=name, outcome="error", reason=str(error))
        return
    note = _ALSO if found and not vocabulary().exact else None
    yield RendererLine(target=target.name, renderer=name, seams=len(found), note=note)
    for number, seam in enumerate(found, start=1):

        def tick(words: str = f"{name}: seam {number} of {len(found)}") -> None:
            say(words)

        listing = find_merges(renderer, seam, vocabulary(), tick)
        yield seam_line(listing, number, target.name, renderer)
        yield from (merge_line(merge, number, target.name, renderer) for merge in listing.crossings)


def seam_line(listing: Listing, number: int, target: str, renderer: Renderer) -> SeamLine:
    """One seam of a renderer as a view shows it, with how many tokens can cross it."""
    seam, roles = listing.seam, listing.seam.conversation.roles
    left, right = (
        None if message is None else MessageRef(message=message + 1, role=roles[message])
        for message in (seam.left, seam.right)
    )
    return SeamLine(
        target=target,
        renderer=renderer.name,
        seam=number,
        place=seam.place,
        left=left,
        before=seam.before,
        behind=seam.behind,
        right=right,
        added=tuple(AddedToken(id=index, token=renderer.tokenizer.token(index)) for index in seam.added),
        crossings=len(listing.crossings),
        complete=listing.complete,
        reason=listing.reason,
        undecided=listing.undecided,
    )


def merge_line(merge: BoundaryMerge, number: int, target: str, renderer: Renderer) -> MergeLine:
    """One token that can merge across a seam, and what provokes it."""
    roles = merge.conversation.roles
    return MergeLine(
        target=target,
        renderer=renderer.name,
        seam=number,
        id=merge.id,
        token=renderer.tokenizer.token(merge.id),
        text=merge.text,
        contents=tuple(ContentRef(message=n + 1, role=roles[n], content=text) for n, text in merge.contents),
        conversation=merge.conversation,
        whole_ids=tuple(merge.whole),
        piece_ids=tuple(merge.pieces),
    )
