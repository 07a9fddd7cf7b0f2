"""The same JSON, written in two ways."""

from __future__ import annotations

import json
from typing import Any

JsonParts = list[Any]
"""Text, and JSON values as their ordered pairs, in turn."""


def json_style_difference(expected: str, actual: str) -> str | None:
    """In which way two texts that say the same write their JSON differently; None where they do not say the same.

    Args:
        expected: a text with JSON objects or arrays in it.
        actual: another.
    """
    left, right = _parts(expected), _parts(actual)
    texts = [[part for part in side if isinstance(part, str)] for side in (left, right)]
    values = [[part for part in side if not isinstance(part, str)] for side in (left, right)]
    if texts[0] != texts[1] or len(left) != len(right) or not values[0]:
        return None
    if values[0] == values[1]:
        same = _compact(expected) == _compact(actual)
        return "white space" if same else "escapes"
    return "order of keys" if _unordered(values[0]) == _unordered(values[1]) else None


def _parts(text: str) -> JsonParts:
    decoder = json.JSONDecoder(object_pairs_hook=_Pairs)
    parts: JsonParts = []
    begin = at = 0
    while at < len(text):
        if text[at] in "{[":
            try:
                value, end = decoder.raw_decode(text, at)
            except (json.JSONDecodeError, RecursionError):
                at += 1
                continue
            parts += [text[begin:at], value]
            begin = at = end
        else:
            at += 1
    return [*parts, text[begin:]]


class _Pairs(tuple[Any, ...]):
    """The pairs of an object, in order."""

    def __new__(cls, pairs: list[tuple[str, Any]]) -> _Pairs:
        return super().__new__(cls, pairs)


def _unordered(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {key: _unordered(inner) for key, inner in value}
    return [_unordered(inner) for inner in value] if isinstance(value, list) else value


def _compact(text: str) -> str:
    """Without white space; inside strings too, where equal values have the same."""
    return "".join(text.split())
