"""What a user's function gave back, validated: text, ids, labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from template_checks.core.errors import RenderError
from template_checks.core.rendering import IGNORE_INDEX, ContentSpan, Encoded, Piece, Rendering

_KEYS = ("text", "ids", "input_ids", "labels", "pieces")
_OTHER_KEYS = frozenset({"attention_mask", "token_type_ids", "position_ids", "special_tokens_mask"})
_EXPECTED = "text, a list of ids, (ids, labels), or a dict with text, ids, labels, or with pieces"

ReturnedPart = tuple[str | tuple[int, ...], bool | None]
"""What is tokenized on its own, or ids that are put in between; and whether loss is computed on it, if known."""


@dataclass(frozen=True, slots=True)
class FunctionResult:
    """At least one of text and ids; labels only where there are ids, or a text whose ids they fit.

    Where the function tokenizes in pieces, `pieces` are these, and `text` is their text.
    """

    text: str | None = None
    ids: tuple[int, ...] | None = None
    labels: tuple[int, ...] | None = None
    pieces: tuple[ReturnedPart, ...] | None = None

    @property
    def labelled(self) -> bool:
        """Whether it says what loss is computed on."""
        if self.pieces is not None:
            return all(supervised is not None for _, supervised in self.pieces)
        return self.labels is not None


@dataclass(frozen=True)
class LabelledRendering(Rendering):
    """A rendering whose labels were given id by id: its text is one piece, so that no seam is invented."""

    given: tuple[int, ...] = ()

    @cached_property
    def labels(self) -> tuple[int, ...] | None:
        """The labels that the function returned."""
        return self.given


def parse_result(value: Any) -> FunctionResult:
    """Read any of the shapes a function may return.

    Raises:
        RenderError: none of them; says what came instead.
    """
    if isinstance(value, str):
        return FunctionResult(text=value)
    # transformers' BatchEncoding is no Mapping, but is read like one.
    if isinstance(value, Mapping) or (hasattr(value, "keys") and hasattr(value, "__getitem__")):
        return _from_mapping({key: value[key] for key in value.keys()})  # noqa: SIM118
    if isinstance(value, tuple) and len(value) == 2 and not any(isinstance(item, int) for item in value):
        return _checked(None, _ids(value[0], "ids"), _ids(value[1], "labels"))
    return FunctionResult(ids=_ids(value, "the returned value"))


def _from_mapping(value: Mapping[Any, Any]) -> FunctionResult:
    unknown = [key for key in value if key not in _KEYS and key not in _OTHER_KEYS]
    if unknown:
        raise RenderError(f"the function returned a dict with the key {unknown[0]!r}; expected {_EXPECTED}")
    if "pieces" in value:
        return _from_pieces(value)
    if "ids" in value and "input_ids" in value:
        raise RenderError("the function returned both `ids` and `input_ids`")
    text = value.get("text")
    if text is not None and not isinstance(text, str):
        raise RenderError(f"`text` must be a str, not {type(text).__name__}")
    given = value.get("ids", value.get("input_ids"))
    ids = None if given is None else _ids(given, "ids")
    if text is None and ids is None:
        raise RenderError("the function returned a dict with neither `text` nor `ids`")
    labels = value.get("labels")
    return _checked(text, ids, None if labels is None else _ids(labels, "labels"))


def _from_pieces(value: Mapping[Any, Any]) -> FunctionResult:
    others = [key for key in ("text", "ids", "input_ids", "labels") if value.get(key) is not None]
    if others:
        raise RenderError(f"the function returned both `pieces` and `{others[0]}`")
    if not isinstance(value["pieces"], list | tuple):
        raise RenderError(f"`pieces` must be a list, not {type(value['pieces']).__name__}")
    parts = tuple(_part(item, number) for number, item in enumerate(value["pieces"], start=1))
    return FunctionResult(text="".join(what for what, _ in parts if isinstance(what, str)), pieces=parts)


def _part(item: Any, number: int) -> ReturnedPart:
    supervised: bool | None = None
    if isinstance(item, list | tuple) and len(item) == 2 and isinstance(item[1], bool):
        item, supervised = item
    if isinstance(item, str):
        return item, supervised
    return _ids(item, f"piece {number}"), supervised


def _checked(text: str | None, ids: tuple[int, ...] | None, labels: tuple[int, ...] | None) -> FunctionResult:
    if labels is not None and ids is not None:
        check_labels(ids, labels)
    return FunctionResult(text, ids, labels)


def check_labels(ids: tuple[int, ...], labels: tuple[int, ...]) -> None:
    """Each label is its id or -100.

    Raises:
        RenderError: another length, or another label; labels shifted by one are recognized.
    """
    if len(ids) != len(labels):
        raise RenderError(f"{len(labels)} labels for {len(ids)} ids")
    wrong = [i for i, (index, label) in enumerate(zip(ids, labels, strict=True)) if label not in (index, IGNORE_INDEX)]
    if not wrong:
        return
    at = wrong[0]
    shifted = all(label in (index, IGNORE_INDEX) for index, label in zip(ids[1:], labels, strict=False))
    raise RenderError(
        f"label {at + 1} is {labels[at]}, neither {IGNORE_INDEX} nor the id {ids[at]}"
        + ("; the labels look shifted by one, return them unshifted" if shifted else "")
    )


def _ids(value: Any, what: str) -> tuple[int, ...]:
    if hasattr(value, "tolist"):  # numpy, torch
        value = value.tolist()
    if not isinstance(value, list | tuple):
        raise RenderError(f"{what}: a {type(value).__name__} is not {_EXPECTED}")
    for position, item in enumerate(value, start=1):
        if isinstance(item, list | tuple):
            raise RenderError(
                f"{what}: a batch came back; return the ids of this one conversation, not a list of lists"
            )
        if isinstance(item, bool) or not hasattr(item, "__index__"):
            raise RenderError(f"{what}: item {position} is {item!r}, not a token id; expected {_EXPECTED}")
    return tuple(item.__index__() for item in value)


def rendering_of_ids(ids: tuple[int, ...], labels: tuple[int, ...] | None) -> Rendering:
    """Ids without text: one piece, or one for each run of supervised and unsupervised ids."""
    if labels is None:
        return Rendering((Piece("", Encoded(ids)),), has_text=False)
    pieces = []
    runs = groupby(zip(ids, labels, strict=True), key=lambda pair: pair[1] != IGNORE_INDEX)
    for supervised, run in runs:
        pieces.append(Piece("", Encoded([index for index, _ in run]), supervised))
    return Rendering(tuple(pieces), has_text=False)


def rendering_of_text(
    text: str, encoded: Encoded, contents: tuple[ContentSpan, ...] | None, labels: tuple[int, ...] | None
) -> Rendering:
    """A text as one piece, with the labels of its ids.

    Raises:
        RenderError: the labels do not fit the ids.
    """
    pieces = (Piece(text, encoded),)
    if labels is None:
        return Rendering(pieces, contents)
    check_labels(encoded.ids, labels)
    return LabelledRendering(pieces, contents, given=labels)
