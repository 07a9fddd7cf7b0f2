"""Adds an accepted mismatch to a configuration file, and changes nothing else in it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, Table

from template_checks.config.schema import Accepted

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ORDER = ("fingerprint", "check", "renderer", "reason", "owner", "expires")
"""Order of an entry's keys; the witness comes last."""


class Written(NamedTuple):
    """A configuration file's text with an entry more, and the number of the line at which the entry begins."""

    text: str
    line: int


def with_entry(text: str, table: tuple[str, ...], entry: Accepted) -> Written | None:
    """The text of a TOML file with an entry more in the `accepted` of a table; None where it has no place.

    Everything else keeps its bytes, and whatever is written was read back and compared.
    """
    for data in _as_data(entry):
        for new in _candidates(text, table, data):
            if new is not None and _holds(new, text, table, entry):
                start = _insertion(text, new) or 0
                start = len(new) - len(new[start:].lstrip(" \t\r\n,"))
                return Written(new, new.count("\n", 0, start) + 1)
    return None


def _candidates(text: str, table: tuple[str, ...], data: dict[str, Any]) -> Iterator[str]:
    """The text with the entry, at the best place first: where tomlkit puts it, if that is right after its table."""
    try:
        if (new := _in_array(text, table, data)) is not None:
            yield new
            return
        entry = _serialized(table, data)
        if (new := _appended(text, table, data)) is not None:
            yield new
    except (TOMLKitError, TypeError, ValueError):
        return
    ending = "\r\n" if "\r\n" in text else "\n"
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    for place in (_place(lines, table), len(lines)):
        before = "".join(lines[:place])
        gap = "\n" if before.endswith("\n") else "\n\n"
        yield before + (gap + entry).replace("\n", ending) + "".join(lines[place:])


def _as_data(entry: Accepted) -> list[dict[str, Any]]:
    """The entry as TOML can hold it: with the witness as tables, or else (TOML has no null) as JSON text."""
    data = {key: value for key in ORDER if (value := getattr(entry, key)) is not None}
    if entry.witness is None:
        return [data]
    witness = entry.witness.to_data()
    return [{**data, "witness": witness}, {**data, "witness": json.dumps(witness, ensure_ascii=False)}]


def _in_array(text: str, table: tuple[str, ...], data: dict[str, Any]) -> str | None:
    """For `accepted = [ … ]`, with a further element; None where it is not written so."""
    document = tomlkit.parse(text)
    accepted = _node(document, table).get("accepted")
    if not isinstance(accepted, Array):
        return None
    accepted.append(_value(data))
    return tomlkit.dumps(document)


def _appended(text: str, table: tuple[str, ...], data: dict[str, Any]) -> str | None:
    """With tomlkit, for a table that is the last one of the file; None elsewhere.

    Between two tables tomlkit (0.13) puts the entry after the comment that introduces the next one.
    """
    headers = [path for line in text.splitlines() if (path := _header(line)) is not None]
    if not headers or headers[-1][: len(table)] != table or not text.endswith("\n"):
        return None
    document = tomlkit.parse(text)
    node = _node(document, table)
    if not isinstance(node, Table):  # its parts are apart
        return None
    entry = _entry_table(data)
    if "accepted" in node:
        node["accepted"].append(entry)
    else:
        node.append("accepted", AoT([entry]))
    return tomlkit.dumps(document)


def _place(lines: list[str], table: tuple[str, ...]) -> int:
    """After the table's last part, before the comment that introduces the next table: the number of a line."""
    headers = [(n, path) for n, line in enumerate(lines) if (path := _header(line)) is not None]
    last = max((n for n, path in headers if path[: len(table)] == table), default=len(lines))
    place = min((n for n, _ in headers if n > last), default=len(lines))
    if place < len(lines):
        while lines[place - 1].lstrip().startswith("#"):
            place -= 1
    while place and not lines[place - 1].strip():
        place -= 1
    return place


def _header(line: str) -> tuple[str, ...] | None:
    """`[a.b]` and `[[a.b]]` → ("a", "b"); None for other lines."""
    if not line.lstrip().startswith("["):
        return None
    try:
        node: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    path = []
    while node:
        ((key, node),) = node.items()
        path.append(key)
        if isinstance(node, list):
            break
    return tuple(path)


def _serialized(table: tuple[str, ...], data: dict[str, Any]) -> str:
    node: Any = AoT([_entry_table(data)])
    for key in reversed((*table[1:], "accepted")):
        parent = tomlkit.table(is_super_table=True)
        parent.append(key, node)
        node = parent
    document = tomlkit.document()
    document.append(table[0], node)
    return tomlkit.dumps(document)


def _entry_table(data: dict[str, Any]) -> Table:
    entry = tomlkit.table()
    for key, value in data.items():
        item = _value(value)
        if isinstance(item, Array):
            item.multiline(True)
        entry.append(key, item)
    return entry


def _value(value: Any) -> Any:
    """A TOML value on one line."""
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        for key, inner in value.items():
            table.append(key, _value(inner))
        return table
    if isinstance(value, list):
        array = tomlkit.array()
        for inner in value:
            array.append(_value(inner))
        return array
    return tomlkit.item(value)


def _holds(new: str, old: str, table: tuple[str, ...], entry: Accepted) -> bool:
    """Whether the new text is the old one with the entry inserted, and says the same but for the entry."""
    try:
        after = tomllib.loads(new)
        node = _node(after, table)
        last = node["accepted"].pop()
    except (tomllib.TOMLDecodeError, KeyError, TypeError, IndexError):
        return False
    before = tomllib.loads(old)
    if not node["accepted"]:
        _node(before, table).setdefault("accepted", [])
    return _insertion(old, new) is not None and after == before and Accepted.model_validate(last) == entry


def _node(data: Any, table: tuple[str, ...]) -> Any:
    for key in table:
        data = data[key]
    return data


def _insertion(old: str, new: str) -> int | None:
    """Where the new text goes on with what the old one has not; None where it is more than one insertion."""
    start = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(old))
    rest = len(old) - start
    return start if len(new) > len(old) and new[len(new) - rest :] == old[start:] else None
