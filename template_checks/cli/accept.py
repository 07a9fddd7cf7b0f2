"""`template-checks accept`: writes an entry of the ledger into the configuration file, and changes nothing else."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import tomlkit
from rich.console import Console
from rich.text import Text
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array

from template_checks.checks.findings import Finding
from template_checks.config.schema import Accepted
from template_checks.core.errors import UsageError
from template_checks.engine.replay import SavedExample, find_saved, replay
from template_checks.views.terminal import make_console, show_conversation

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_ORDER = ("fingerprint", "check", "renderer", "reason", "owner", "expires")
"""Of an entry's keys; the witness comes last."""


class Written(NamedTuple):
    """A configuration file's text with an entry more, and the number of the line at which the entry begins."""

    text: str
    line: int


def accept_saved(mark: str, reason: str, owner: str | None, expires: date | None, target: str | None) -> None:
    """Accept a kept counterexample, if it still shows, and say what was written where.

    Raises:
        UsageError: there is nothing to accept, or no place to write it.
    """
    _check_words(reason, owner, expires)
    kept = find_saved(mark, target)
    _check_not_accepted(kept)
    finding, _ = replay(kept)
    finding = _check_blocking(finding, kept)
    entry = Accepted(
        fingerprint=finding.fingerprint,
        check=finding.item.check.name,
        renderer=finding.item.renderer,
        reason=reason,
        owner=owner,
        expires=expires,
        witness=finding.mismatch.conversation,
    )
    try:
        old = kept.path.read_bytes().decode("utf-8")
        new = with_entry(old, _table(kept), entry)
        if new is None:
            raise UsageError(
                "The layout of this file leaves no place for an entry.",
                where=f"{kept.path}: target.{kept.counterexample.target}",
                hint="write the target as a table of its own, with the header [target.NAME]",
            )
        kept.path.write_bytes(new.text.encode("utf-8"))
    except OSError as error:
        raise UsageError(f"The entry cannot be written: {error.strerror}", where=str(kept.path)) from error
    here = Path.cwd().resolve()
    path = kept.path.relative_to(here) if kept.path.is_relative_to(here) else kept.path
    _show(entry, finding, f"{path}:{new.line}", make_console())


def _check_words(reason: str, owner: str | None, expires: date | None) -> None:
    for name, text in (("--reason", reason), ("--owner", owner)):
        if text is not None and not text.strip():
            raise UsageError(f"{name} is empty.", hint='for example --reason "the model was trained so"')
    if expires is not None and expires < date.today():
        raise UsageError(f"--expires {expires} is over.", hint="the entry is valid up to and including that day")


def _check_not_accepted(kept: SavedExample) -> None:
    mark, target = kept.counterexample.fingerprint, kept.counterexample.target
    if kept.example:
        raise UsageError(
            f"{mark} comes from an example of the package, which has no file of yours to write to.",
            hint="copy the example's folder, and run that",
        )
    for number, entry in enumerate(kept.config.target[target].accepted, start=1):
        if entry.fingerprint == mark:
            over = entry.expires is not None and entry.expires < date.today()
            raise UsageError(
                f"{mark} has an entry already: {entry.said_expired if over else entry.said}",
                where=f"{kept.path}: target.{target}.accepted, entry {number}",
                hint="change the entry there; --target chooses another target",
            )


def _check_blocking(finding: Finding | None, kept: SavedExample) -> Finding:
    mark = kept.counterexample.fingerprint
    if finding is None:
        raise UsageError(f"{mark} no longer occurs: there is nothing to accept.")
    if not finding.blocking:
        raise UsageError(f"{mark} is advisory: it decides no exit code, and need not be accepted.")
    return finding


def _table(kept: SavedExample) -> tuple[str, ...]:
    section = ("tool", "template-checks") if kept.path.name == "pyproject.toml" else ()
    return (*section, "target", kept.counterexample.target)


# Writing


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
    """The text with the entry, at the best place first."""
    try:
        if (new := _in_array(text, table, data)) is not None:
            yield new
            return
        entry = _serialized(table, data)
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
    data = {key: value for key in _ORDER if (value := getattr(entry, key)) is not None}
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


def _place(lines: list[str], table: tuple[str, ...]) -> int:
    """Behind the table's last part, before the comment that introduces the next table: the number of a line."""
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
    entry = tomlkit.table()
    for key, value in data.items():
        item = _value(value)
        if isinstance(item, Array):
            item.multiline(True)
        entry.append(key, item)
    node: Any = AoT([entry])
    for key in reversed((*table[1:], "accepted")):
        parent = tomlkit.table(is_super_table=True)
        parent.append(key, node)
        node = parent
    document = tomlkit.document()
    document.append(table[0], node)
    return tomlkit.dumps(document)


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


# Reading back


def _holds(new: str, old: str, table: tuple[str, ...], entry: Accepted) -> bool:
    """Is the new text the old one with the entry inserted, and does it say the same but for the entry?"""
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


# Saying


def _show(entry: Accepted, finding: Finding, where: str, console: Console) -> None:
    console.print(Text(f"Accepted {finding.item.id}: written to {where}\n"))
    for key in _ORDER:
        value = getattr(entry, key)
        if value is not None:
            lines = textwrap.wrap(str(value), max(30, console.width - 17)) or [""]
            console.print(Text(f"  {key:<15}" + ("\n" + " " * 17).join(lines)))
    if entry.witness is not None:
        console.print(Text("  witness"))
        show_conversation(entry.witness.to_data(), console, indent=4)
