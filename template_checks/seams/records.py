"""Seams and what can cross them as lines: NDJSON, and what the terminal shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from template_checks.config.target import Target
from template_checks.core.errors import RenderError, Unsupported
from template_checks.renderers.base import Renderer
from template_checks.seams.find import find_seams
from template_checks.seams.merges import BoundaryMerge, Listing, find_merges
from template_checks.seams.vocabulary import Vocabulary

SeamLine = dict[str, Any]
"""One line of what `seams` prints: of the kind `renderer`, `seam` or `crossing`."""

_ALSO = (
    "This tokenizer takes the text around a token into account before it cuts: at a seam, ids can also differ without "
    "a token that reaches across."
)


def seam_lines(
    target: Target, name: str, vocabulary: Callable[[], Vocabulary], report: Callable[[str], None]
) -> Iterator[SeamLine]:
    """A line for the renderer, then one for each seam, followed by one for each token that can cross it.

    Args:
        target: whose renderer it is.
        name: the renderer's.
        vocabulary: of the target's tokenizer; called only where there is a seam.
        report: told from time to time what is being tried.
    """
    head: SeamLine = {"kind": "renderer", "target": target.name, "renderer": name, "seams": None, "note": None}
    if name in target.broken:
        yield {**head, "outcome": "error", "reason": target.broken[name].what}
        return
    renderer = target.renderers[name]
    try:
        found = find_seams(renderer)
    except (Unsupported, RenderError) as error:
        outcome = "unsupported" if isinstance(error, Unsupported) else "error"
        yield {**head, "outcome": outcome, "reason": str(error)}
        return
    note = _ALSO if found and not vocabulary().exact else None
    yield {**head, "seams": len(found), "note": note, "outcome": None, "reason": None}
    for number, seam in enumerate(found, start=1):

        def on_progress(status: str = f"{name}: seam {number} of {len(found)}") -> None:
            report(status)

        listing = find_merges(renderer, seam, vocabulary(), on_progress)
        yield seam_line(listing, number, target.name, renderer)
        yield from (crossing_line(crossing, number, target.name, renderer) for crossing in listing.crossings)


def seam_line(listing: Listing, number: int, target: str, renderer: Renderer) -> SeamLine:
    """One seam of a renderer as a view shows it, with how many tokens can cross it."""
    seam, roles = listing.seam, listing.seam.conversation.roles
    left, right = (
        None if message is None else {"message": message + 1, "role": roles[message]}
        for message in (seam.left, seam.right)
    )
    return {
        "kind": "seam",
        "target": target,
        "renderer": renderer.name,
        "seam": number,
        "place": seam.place,
        "left": left,
        "before": seam.before,
        "behind": seam.behind,
        "right": right,
        "added": [{"id": index, "token": renderer.tokenizer.token(index)} for index in seam.added],
        "crossings": len(listing.crossings),
        "complete": listing.complete,
        "reason": listing.reason,
        "undecided": list(listing.undecided),
    }


def crossing_line(crossing: BoundaryMerge, number: int, target: str, renderer: Renderer) -> SeamLine:
    """One token that can merge across a seam, and what provokes it."""
    roles = crossing.conversation.roles
    return {
        "kind": "crossing",
        "target": target,
        "renderer": renderer.name,
        "seam": number,
        "id": crossing.id,
        "token": renderer.tokenizer.token(crossing.id),
        "text": crossing.text,
        "contents": [{"message": n + 1, "role": roles[n], "content": text} for n, text in crossing.contents],
        "conversation": crossing.conversation.to_data(),
        "whole_ids": list(crossing.whole),
        "piece_ids": list(crossing.pieces),
    }
