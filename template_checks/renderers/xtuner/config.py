"""What an XTuner training config says about prompts, read with `ast`: the config is never executed.

An XTuner config imports torch and builds a model's description; only a handful of its names matter here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from template_checks.core.errors import UsageError
from template_checks.renderers.xtuner.literals import UnreadableError, dict_items, literal
from template_checks.renderers.xtuner.templates import PromptTemplate, prompt_template

_DUMPED = re.compile(r"xtuner\.utils\.(?:templates\.)?PROMPT_TEMPLATE\.(\w+)")
"""How XTuner writes a template down in the resolved config that it leaves beside its checkpoints."""

_HINT = 'write prompt_template = PROMPT_TEMPLATE.<name>, or give the renderer template = "<name>"'


@dataclass(frozen=True)
class TrainingConfig:
    """The readable part of one config.

    `template` is a name of `PROMPT_TEMPLATE` or a whole template; `system` is SYSTEM as written, for display:
    XTuner itself uses it only to evaluate during training.
    """

    template: str | PromptTemplate
    line: int
    max_length: int | None
    pack_to_max_length: bool | None
    system: str | None
    notes: tuple[str, ...] = ()


def read_config(path: Path, label: str, *, max_length: int | None = None) -> TrainingConfig:
    """Read a config.

    Args:
        path: the file.
        label: how messages name it.
        max_length: the user's own, instead of the config's.

    Raises:
        UsageError: no such file, not Python, or a prompt template that is not written out; names the line.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except OSError as error:
        raise UsageError(f"The XTuner config cannot be read: {error.strerror or error}.", where=str(path)) from error
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise UsageError(
            f"The XTuner config is not Python: {getattr(error, 'msg', error)}.",
            where=f"{label}:{line}" if line else label,
        ) from error
    return _ConfigReader(tree, label).read(max_length)


class _ConfigReader:
    """One config's module-level names."""

    def __init__(self, tree: ast.Module, label: str) -> None:
        self.label = label
        self.tree = tree
        self.nodes: dict[str, ast.expr] = {}
        self.names: dict[str, Any] = {}
        self.changed: dict[str, int] = {}
        for statement in tree.body:
            self._assign(statement)

    def read(self, max_length: int | None) -> TrainingConfig:
        """The template, the lengths and SYSTEM.

        Raises:
            UsageError: one of them is not written out.
        """
        node, notes = self._template_node()
        template = self._template(node)
        system = self.nodes.get("SYSTEM")
        if isinstance(template, PromptTemplate) and template.ignored:
            notes.append(f"{self.label}:{node.lineno}: XTuner passes over {', '.join(template.ignored)}")
        return TrainingConfig(
            template=template,
            line=node.lineno,
            max_length=max_length
            or self._value("max_length", "a whole number", lambda value: type(value) is int and value > 0),
            pack_to_max_length=self._value("pack_to_max_length", "True or False", lambda value: type(value) is bool),
            system=None if system is None else str(self.names.get("SYSTEM", ast.unparse(system))),
            notes=tuple(notes),
        )

    def _assign(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Assign) and all(isinstance(t, ast.Name) for t in statement.targets):
            targets = [target.id for target in statement.targets if isinstance(target, ast.Name)]
            value = statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            targets, value = [statement.target.id], statement.value
        else:
            # Whatever else may change a name (a branch, a loop, `x += 1`, `x["key"] = …`) makes it unknown.
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                    self._forget(node.id, node.lineno)
                elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
                    self._forget(getattr(node.value, "id", ""), node.lineno)
            return
        for name in targets:
            self.changed.pop(name, None)
            self.nodes[name] = value
            try:
                self.names[name] = literal(value, self.names)
            except UnreadableError:
                self.names.pop(name, None)

    def _forget(self, name: str, line: int) -> None:
        self.names.pop(name, None)
        self.changed[name] = line

    def _template_node(self) -> tuple[ast.expr, list[str]]:
        """The expression that the data set's `template_map_fn_factory` gets, names followed."""
        used = [self._follow(node) for node in _factory_templates(self.tree)]
        if len({ast.dump(node) for node in used}) > 1:
            lines = sorted({node.lineno for node in used})
            raise UsageError(
                "The XTuner config trains on several prompt templates.",
                where=f"{self.label}, lines {', '.join(map(str, lines))}",
                hint='give one renderer for each, with template = "<name>"',
            )
        if used:
            return used[0], []
        if "prompt_template" in self.nodes:
            note = "no data set of this config uses prompt_template through template_map_fn_factory"
            return self._follow(ast.Name("prompt_template", ast.Load())), [f"{self.label}: {note}"]
        source = ast.dump(self.tree)
        inherits = "_base_" in source or "read_base" in source
        raise UsageError(
            "The XTuner config sets no prompt_template.",
            where=self.label,
            hint=(
                "it inherits from another config: name that one, or the resolved config in XTuner's work_dirs"
                if inherits
                else _HINT
            ),
        )

    def _follow(self, node: ast.expr) -> ast.expr:
        seen: set[str] = set()
        while isinstance(node, ast.Name) and node.id in self.nodes and node.id not in seen:
            if node.id in self.changed:
                raise self._unreadable(f"{node.id} is changed after it is set", self.changed[node.id])
            seen.add(node.id)
            node = self.nodes[node.id]
        return node

    def _template(self, node: ast.expr) -> str | PromptTemplate:
        owner = node.value if isinstance(node, ast.Attribute | ast.Subscript) else None
        if owner is not None and ast.unparse(owner).split(".")[-1] == "PROMPT_TEMPLATE":
            return self._name(node)
        if isinstance(node, ast.Constant) and (dumped := _DUMPED.fullmatch(str(node.value))):
            return dumped[1]
        try:
            values, lines = dict_items(node, self.names)
        except UnreadableError as error:
            raise self._unreadable(f"prompt_template cannot be read: {error}", error.line) from error
        where = {key: f"{self.label}:{line}" for key, line in lines.items()}
        return prompt_template("prompt_template", values, where, place=f"{self.label}:{node.lineno}", strict=False)

    def _name(self, node: ast.expr) -> str:
        if isinstance(node, ast.Attribute):
            return node.attr
        if isinstance(node, ast.Subscript):
            try:
                name = literal(node.slice, self.names)
            except UnreadableError as error:
                raise self._unreadable(f"the template's name cannot be read: {error}", error.line) from error
            if isinstance(name, str):
                return name
        raise self._unreadable(f"the template's name is not text: {ast.unparse(node)}", node.lineno)

    def _value(self, name: str, expected: str, fits: Callable[[Any], bool]) -> Any:
        if name in self.changed:
            raise self._unreadable(f"{name} is changed after it is set", self.changed[name], name)
        if name not in self.nodes:
            return None
        if name not in self.names:
            node = self.nodes[name]
            raise self._unreadable(f"{name} cannot be read: {ast.unparse(node)}", node.lineno, name)
        value = self.names[name]
        if value is not None and not fits(value):
            raise self._unreadable(f"{name} is not {expected}: {value!r}", self.nodes[name].lineno, name)
        return value

    def _unreadable(self, what: str, line: int, name: str | None = None) -> UsageError:
        hint = f"write {name} as a number or True/False" if name else _HINT
        return UsageError(f"In the XTuner config, {what}.", where=f"{self.label}:{line}", hint=hint)


def _factory_templates(tree: ast.Module) -> list[ast.expr]:
    """`template=` wherever `type=template_map_fn_factory` is beside it, in `dict(...)` or `{...}`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            entries = {keyword.arg: keyword.value for keyword in node.keywords}
        elif isinstance(node, ast.Dict):
            entries = {
                key.value: value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            }
        else:
            continue
        kind = entries.get("type")
        named = kind is not None and ast.unparse(kind).strip("'\"").split(".")[-1] == "template_map_fn_factory"
        if named and "template" in entries:
            found.append(entries["template"])
    return found
