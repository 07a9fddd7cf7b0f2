"""Reads the record of a run, and knows its views."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from template_checks.core.conversation import Conversation
from template_checks.core.errors import UsageError
from template_checks.record.writer import VERSION, Line
from template_checks.views.console import on_one_line, printable, printed

_HINT = "a record is what `template-checks run --record FILE` writes"
_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


def read_record(path: Path) -> list[Line]:
    """The lines of a record. The last one may be broken, since a run can be cut off while it writes.

    Raises:
        UsageError: the file cannot be read, or is no record that this version understands.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"The record cannot be read: {error.strerror}.", where=str(path), hint=_HINT) from error
    rows = [(number, row) for number, row in enumerate(data.split(b"\n"), start=1) if row.strip()]
    if not rows:
        raise UsageError("The record is empty: its run was cut off before it began.", where=str(path), hint=_HINT)
    lines: list[Line] = []
    for number, row in rows:
        where = f"{path}, line {number}"
        try:
            line = json.loads(row.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            if number == rows[-1][0] and lines and lines[-1]["kind"] != "footer":
                break
            raise _not_a_line(error, where) from error
        _place(line, lines, where)
        _examine(line, where)
        lines.append(line)
    return lines


def _not_a_line(error: Exception, where: str) -> UsageError:
    if isinstance(error, UnicodeDecodeError):
        return UsageError(f"This is not UTF-8, at byte {error.start + 1} of the line.", where=where, hint=_HINT)
    return UsageError(f"This is not JSON: {error}.", where=where, hint=_HINT)


def _place(line: Any, before: list[Line], where: str) -> None:
    """Is it a line at all, of a version that is known, and may it stand here?"""
    if not isinstance(line, dict) or not isinstance(line.get("kind"), str):
        raise UsageError("This is no line of a record: an object with a `kind` is expected.", where=where, hint=_HINT)
    if not before:
        if line["kind"] != "header":
            kind = on_one_line(line["kind"], 40)
            raise UsageError(f"A record begins with its header, and not with {kind!r}.", where=where, hint=_HINT)
        if line.get("record") != VERSION:
            version = on_one_line(repr(line.get("record")), 40)
            raise UsageError(
                f"This record has version {version}; this template-checks reads version {VERSION}.",
                where=where,
                hint="use the template-checks that wrote it: `versions` in this line has it",
            )
    elif line["kind"] == "header":
        raise UsageError("A second header: these are several records in one file.", where=where, hint="split the file")
    elif before[-1]["kind"] == "footer":
        raise UsageError("The record goes on after its footer.", where=where, hint=_HINT)


def _examine(line: Line, where: str) -> None:
    """Does it hold what views rely on? Kinds and keys that are not known are let through: a later version has them."""
    from template_checks.record.schema import SCHEMA

    schema = next((one for one in SCHEMA["oneOf"] if line["kind"] in one["properties"]["kind"]["enum"]), None)
    if schema is None:
        return
    problem = next(_problems(line, schema, line["kind"]), None) or _inconsistent(line)
    if problem:
        raise UsageError(f"This is not as a run writes it: {on_one_line(problem, 300)}.", where=where, hint=_HINT)


def _problems(value: Any, schema: dict[str, Any], name: str) -> Iterator[str]:
    """What is wrong with a value, by as much of JSON Schema as the record's has."""
    if "anyOf" in schema:
        found = [list(_problems(value, one, name)) for one in schema["anyOf"]]
        if all(found):
            yield found[0][0]
        return
    if "enum" in schema:
        if name != "finding.cause" and value not in schema["enum"]:  # a later version knows more causes
            yield f"{name} is {value!r}"
        return
    if not isinstance(value, _TYPES[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean"):
        yield f"{name} is of another type than {schema['type']}"
    elif isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{name} is {value!r}"
    elif isinstance(value, list):
        if len(value) < schema.get("minItems", 0) or len(value) > schema.get("maxItems", len(value)):
            yield f"{name} has {len(value)} items"
        for number, item in enumerate(value):
            yield from _problems(item, schema["items"], f"{name}[{number}]")
    elif isinstance(value, dict):
        yield from (f"{name} lacks {key!r}" for key in schema.get("required", ()) if key not in value)
        others = schema.get("additionalProperties")
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key, others)
            if inner:
                yield from _problems(item, inner, f"{name}.{key}")
    elif "minimum" in schema and not schema["minimum"] <= value < float("inf"):
        yield f"{name} is {value!r}"


def _inconsistent(line: Line) -> str | None:
    """What a schema cannot say: a finding's tokens belong to its ids, and its ranges lie within them."""
    if line["kind"] != "finding":
        return None
    for side in ("expected", "actual"):
        ids, tokens, span = (line[f"{side}_{what}"] for what in ("ids", "tokens", "range"))
        if len(ids or ()) != len(tokens or ()):
            return f"finding.{side}_tokens are not as many as its ids"
        if span is not None and not span[0] <= span[1] <= len(ids or ()):
            return f"finding.{side}_range does not lie within its ids"
    if line["expected_ids"] is not None and line["actual_range"] is not None and line["expected_range"] is None:
        return "finding.expected_range is missing"
    try:
        known = line["conversation"] is None or Conversation.from_list(line["conversation"]).to_data()
    except UsageError as error:
        return f"finding.conversation: {error.what}"
    return None if known is True or known == line["conversation"] else "finding.conversation has another form"


def _terminal(lines: list[Line]) -> str:
    from template_checks.views.terminal import show

    return printable(printed(lambda console: show(lines, console)))


def _html(lines: list[Line]) -> str:
    from template_checks.views.html.page import render_html

    return render_html(lines)


def _markdown(lines: list[Line]) -> str:
    from template_checks.views.markdown import markdown

    return markdown(lines)


def _junit(lines: list[Line]) -> str:
    from template_checks.views.junit import junit

    return junit(lines)


def _github(lines: list[Line]) -> str:
    from template_checks.views.github import annotations

    return annotations(lines)


def _badge(lines: list[Line]) -> str:
    from template_checks.views.badge import badge

    return badge(lines)


def _json(lines: list[Line]) -> str:
    return "".join(f"{json.dumps(line, ensure_ascii=True)}\n" for line in lines)


FORMATS: dict[str, Callable[[list[Line]], str]] = {
    "terminal": _terminal,
    "html": _html,
    "markdown": _markdown,
    "junit": _junit,
    "github": _github,
    "badge": _badge,
    "json": _json,
}
"""The views, each imported when it is used."""
