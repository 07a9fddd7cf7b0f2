"""The generated parts of the documents, `<!-- generated: NAME -->` … `<!-- end -->`.

Tables come from the models and registries, the layout from the first line of each package.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

import template_checks
from template_checks.checks.base import Check
from template_checks.checks.registry import own_checks
from template_checks.config.schema import Accepted, TargetConfig
from template_checks.core.ndjson import RecordModel
from template_checks.engine.known_bugs import known_bugs
from template_checks.record.models import Line, schema
from template_checks.renderers.registry import own_renderer_types

ROOT = Path(__file__).parent.parent
GENERATED = re.compile(r"(^<!-- generated: (?P<name>[\w-]+) -->\n)(.*?)(^<!-- end -->$)", re.MULTILINE | re.DOTALL)
FOLDERS = {
    "docs": "the reference that README.md links to",
    "fixtures": "data, no logic; `examples` and `museum` go into the wheel",
    "tests": "tests of the suite; a file is named after what it tests",
    "tests/meta": "tests of the tester: liars, known bugs, mutation, false alarms, documents",
    "scripts": "keeps documents and pictures up to date, mutates templates, counts false alarms",
    "benchmarks": "what a run costs",
    ".ci": "`run` checks everything on a bare machine",
}
"""Folders beside the package."""


def refreshed(text: str) -> str:
    """The document with its generated parts as the code says they should be."""
    return GENERATED.sub(lambda match: match[1] + TABLES[match["name"]]() + match[4], text)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def checks_table() -> str:
    """Family, name, promise and purposes of every check."""
    return _table(
        ("family", "check", "promise", "purposes"),
        [
            (check.family, f"`{check.name}`", check.promise, ", ".join(check.purposes) or "once for the target")
            for check in own_checks().values()
        ],
    )


def check_pages() -> str:
    """Each check with its page, under a heading for each family."""
    parts = []
    for family, members in groupby(own_checks().values(), key=lambda check: check.family):
        parts += [f"## Family {family}", *map(_check_page, members)]
    return "\n" + "\n\n".join(parts) + "\n\n"


def _check_page(check: Check) -> str:
    purposes = ", ".join(check.purposes) or "once for the target"
    return f"### `{check.name}`\n\n**{check.promise}**\n\n{check.page}\n\nPurposes: {purposes}."


def _prose(text: str) -> str:
    """On one line, with `<s>` as text and not as a mark of HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


def known_bugs_table() -> str:
    """Every known bug: what was wrong, where it was reported, and the check that has to fire."""
    return _table(
        ("bug", "kind", "what was wrong", "reported", "check"),
        [
            (bug.id, bug.kind, _prose(bug.about), _prose(bug.reported), f"`{bug.check}`" if bug.check else "–")
            for bug in known_bugs()
        ],
    )


def renderers_table() -> str:
    """What each renderer type adapts, and what it gives."""
    return _table(
        ("type", "renders", "purposes", "labels"),
        [
            (
                f"`{name}`",
                kind.summary,
                ", ".join(sorted(kind.purposes, reverse=True)),
                kind.labelled,
            )
            for name, kind in own_renderer_types().items()
        ],
    )


def renderer_options_table() -> str:
    """Options of every renderer type."""
    rows = []
    for name, kind in own_renderer_types().items():
        rows += [(f"`{name}`", *row) for row in _fields(kind.Options) if row[0] != "`type`"]
    return _table(("type", "key", "default", "meaning"), rows)


def model_table(model: type[BaseModel]) -> str:
    """Keys of one model."""
    return _table(("key", "default", "meaning"), _fields(model))


def _fields(model: type[BaseModel]) -> list[tuple[str, ...]]:
    return [(f"`{key}`", _default(field), field.description or "") for key, field in model.model_fields.items()]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


# The Python API


def api_table() -> str:
    """Every public name with what the code says of it."""
    return _table(("name", "meaning"), [(f"`{name}`", public_doc(name)) for name in template_checks.__all__])


def public_doc(name: str) -> str:
    """The first paragraph of a public name's docstring: that of the object, or the string below the assignment."""
    value = getattr(template_checks, name)
    if isinstance(value, type) or inspect.isfunction(value):
        return _paragraph(inspect.getdoc(value))
    home = template_checks._HOME.get(name)
    module = import_module(f"template_checks.{home}") if home else template_checks
    statements = ast.parse(inspect.getsource(module)).body
    for statement, following in pairwise(statements):
        assigned = isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name
        if assigned and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            return _paragraph(str(following.value.value))
    raise LookupError(f"{name} has no docstring")


def _paragraph(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


# The record


def record_lines_table() -> str:
    """The kinds of lines, with their fields."""
    lines = [(model.model_fields["kind"].default, model) for model in get_args(Line)]
    return _table(
        ("kind", "fields", "what it says"),
        [(f"`{kind}`", _record_fields(model), _paragraph_all(model)) for kind, model in lines],
    )


def record_parts_table() -> str:
    """What the fields of lines are made of."""
    names = schema()["$defs"].keys() - {model.__name__ for model in get_args(Line)}
    parts = [_record_models()[name] for name in sorted(names & _record_models().keys())]
    return _table(
        ("part", "fields", "what it says"),
        [(f"`{part.__name__}`", _record_fields(part), _paragraph_all(part)) for part in parts],
    )


@cache
def _record_models() -> dict[str, type[RecordModel]]:
    """The models that lines are made of, by name, wherever they are defined."""
    found: list[type[RecordModel]] = [RecordModel]
    for model in found:
        found += model.__subclasses__()
    return {model.__name__: model for model in found}


def _paragraph_all(model: type[BaseModel]) -> str:
    return " ".join((inspect.getdoc(model) or "").split())


def _record_fields(model: type[BaseModel]) -> str:
    properties = model.model_json_schema(mode="serialization")["properties"]
    return ", ".join(f"`{name}` {_type(value)}".strip() for name, value in properties.items() if name != "kind")


def _type(value: dict[str, Any]) -> str:
    """The part that a field of a record holds, if it is one, or several of them; nothing for plain values."""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[1]
        return f"({name})" if name in _record_models() else ""
    nested = [*value.get("anyOf", ()), value.get("items"), value.get("additionalProperties")]
    found = [_type(item) for item in nested if isinstance(item, dict)]
    return next(filter(None, found), "")


# The tree


ORDER = (
    "core",
    "sources",
    "strategies",
    "divergence",
    "renderers",
    "config",
    "seams",
    "checks",
    "engine",
    "record",
    "views",
)
"""Packages in the order of their layers, lowest first; what people call follows."""


def packages() -> Iterator[Path]:
    """The folders of the package, itself first, then by layer."""
    root = ROOT / "template_checks"

    def rank(folder: Path) -> tuple[int, Path]:
        name = folder.relative_to(root).parts[:1]
        return (ORDER.index(name[0]) if name[0] in ORDER else len(ORDER)) if name else -1, folder

    yield from sorted((path.parent for path in root.rglob("__init__.py")), key=rank)


def layout() -> str:
    """The tree with one line a package, taken from the package itself."""
    lines = [_line(folder.relative_to(ROOT), _first_line(folder / "__init__.py")) for folder in packages()]
    lines.append(f"  {'api.py':<16} {_first_line(ROOT / 'template_checks' / 'api.py')}")
    lines += [_line(Path(name), meaning) for name, meaning in FOLDERS.items()]
    return "\n```text\n" + "\n".join(lines) + "\n```\n\n"


def _line(folder: Path, meaning: str) -> str:
    name = "  " * (len(folder.parts) - 1) + folder.name + "/"
    return f"{name:<18} {meaning}"


def _first_line(path: Path) -> str:
    return _paragraph(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))


TABLES: dict[str, Callable[[], str]] = {
    "checks": checks_table,
    "renderers": renderers_table,
    "target-options": lambda: model_table(TargetConfig),
    "renderer-options": renderer_options_table,
    "accepted-options": lambda: model_table(Accepted),
    "check-pages": check_pages,
    "known-bugs": known_bugs_table,
    "layout": layout,
    "api": api_table,
    "record-lines": record_lines_table,
    "record-parts": record_parts_table,
}
