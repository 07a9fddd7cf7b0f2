"""Seams and what can merge across them as typed lines: NDJSON prints them, and the terminal shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from template_checks.config.target import Target
from template_checks.core.errors import RenderError, Unsupported
from template_checks.core.ndjson import Count, RecordModel, Text, to_json
from template_checks.renderers.base import Renderer
from template_checks.seams.find import find_seams
from template_checks.seams.merges import BoundaryMerge, Listing, find_merges
from template_checks.seams.vocabulary import Vocabulary

_ALSO = (
    "This tokenizer takes the text around a token into account before it cuts: at a seam, ids can also differ without "
    "a token that reaches across."
)


class NextContent(RecordModel):
    """The message (1-based) whose content is on one side of a seam."""

    message: Count
    role: Text


class GivenContent(NextContent):
    """A message and the content that it needs, so that a token merges."""

    content: Text


class AddedToken(RecordModel):
    """A control token that the renderer puts at a seam."""

    id: int
    token: Text


class SeamsModel(RecordModel):
    """Base of the lines: whose seams they are about."""

    kind: str
    target: Text
    renderer: Text

    def to_json(self) -> str:
        """The line as NDJSON has it."""
        return to_json(self)


class RendererLine(SeamsModel):
    """One renderer: how many seams it has, or the outcome where none can be listed, with the reason."""

    kind: Literal["renderer"] = "renderer"
    seams: Count | None = None
    note: Text | None = None
    outcome: Literal["error", "unsupported"] | None = None
    reason: Text | None = None


class SeamLine(SeamsModel):
    """One seam: the fixed text on both sides up to the nearest contents, and how many tokens can merge across it."""

    kind: Literal["seam"] = "seam"
    seam: Count
    place: Text
    left: NextContent | None
    before: Text
    behind: Text
    right: NextContent | None
    added: tuple[AddedToken, ...]
    crossings: Count
    complete: bool
    reason: Text | None
    undecided: tuple[int, ...]


class MergeLine(SeamsModel):
    """One token that can merge across a seam, and what provokes it."""

    kind: Literal["crossing"] = "crossing"
    seam: Count
    id: int
    token: Text
    text: Text
    contents: tuple[GivenContent, ...]
    conversation: Any
    whole_ids: tuple[int, ...]
    piece_ids: tuple[int, ...]


SeamsLine = RendererLine | SeamLine | MergeLine


def seam_lines(
    target: Target, name: str, vocabulary: Callable[[], Vocabulary], report: Callable[[str], None]
) -> Iterator[SeamsLine]:
    """A line for the renderer, then one for each seam, followed by one for each token that can merge across it.

    Args:
        target: whose renderer it is.
        name: the renderer's.
        vocabulary: of the target's tokenizer; called only where there is a seam.
        report: told from time to time what is being tried.
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

        def on_progress(status: str = f"{name}: seam {number} of {len(found)}") -> None:
            report(status)

        listing = find_merges(renderer, seam, vocabulary(), on_progress)
        yield seam_line(listing, number, target.name, renderer)
        yield from (merge_line(merge, number, target.name, renderer) for merge in listing.crossings)


def seam_line(listing: Listing, number: int, target: str, renderer: Renderer) -> SeamLine:
    """One seam of a renderer, with how many tokens can merge across it."""
    seam, roles = listing.seam, listing.seam.conversation.roles
    left, right = (
        None if message is None else NextContent(message=message + 1, role=roles[message])
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
        contents=tuple(GivenContent(message=n + 1, role=roles[n], content=text) for n, text in merge.contents),
        conversation=merge.conversation.to_data(),
        whole_ids=merge.whole,
        piece_ids=merge.pieces,
    )
