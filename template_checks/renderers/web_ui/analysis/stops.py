"""Where a script tells its generation loop to halt."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from template_checks.core.rendering import Stop
from template_checks.renderers.web_ui.analysis.script import (
    MISSING,
    Extracted,
    Script,
    is_tokenizer,
    last_name,
    literal_text,
)
from template_checks.renderers.web_ui.analysis.settings import Setting, find_settings

IDS = frozenset(
    {
        "eos_token_id",
        "eos_token_ids",
        "additional_eos_token_id",
        "stop_token_ids",
        "stop_ids",
        "stop_token_id",
    }
)
TEXTS = frozenset({"stop_words", "stop", "stop_strings", "stop_sequences", "stops"})


@dataclass
class ScriptStops:
    """The stops a script sets.

    `replaces`: it sets `eos_token_id` itself, so that the model's own stops are not used.
    """

    stops: list[Stop] = field(default_factory=list)
    found: list[Extracted] = field(default_factory=list)
    replaces: bool = False
    notes: list[str] = field(default_factory=list)


class _UnresolvedError(Exception):
    """The value cannot be read from the source."""


class _ModelsOwnError(Exception):
    """The value is what the model's configuration says."""


def find_stops(script: Script, tokenizer: Any) -> ScriptStops:
    """Read stop ids and strings from arguments, assignments, fields and defaults.

    Args:
        script: the script.
        tokenizer: a transformers tokenizer, which resolves the script's own tokenizer expressions.
    """
    result = ScriptStops()
    seen: set[tuple[Any, bool]] = set()
    for setting in sorted(find_settings(script, IDS | TEXTS), key=lambda s: s.line):
        by_text = setting.name in TEXTS
        try:
            values = _ValueReader(script, tokenizer, setting).values(setting.value)
        except _ModelsOwnError:
            continue
        except _UnresolvedError:
            if not _is_passed_on(script, setting):
                result.notes.append(
                    f"{script.where(setting.line)}: {setting.name} = {ast.unparse(setting.value)} cannot be read"
                    " from the source; it is not among the stops"
                )
            continue
        result.replaces |= setting.name in {"eos_token_id", "eos_token_ids"} and bool(values)
        for value in values:
            if (value, by_text) not in seen:
                seen.add((value, by_text))
                _add(script, tokenizer, setting, value, by_text, result)
    return result


def _add(script: Script, tokenizer: Any, setting: Setting, value: Any, by_text: bool, result: ScriptStops) -> None:
    source = f"{script.where(setting.line)} {setting.name}"
    result.found.append(Extracted(value, setting.line))
    if isinstance(value, str):
        result.stops.append(Stop(source, text=value, by_text=True))
        return
    result.stops.append(Stop(source, id=value))
    if value == tokenizer.unk_token_id:
        result.notes.append(f"{script.where(setting.line)}: {setting.name} is the unknown token's id {value}")


def _is_passed_on(script: Script, setting: Setting) -> bool:
    """`f(eos_token_id=eos_token_id)`: the value comes from elsewhere, where it is read."""
    names = {node.id for node in ast.walk(setting.value) if isinstance(node, ast.Name)} - {"list", "set", "tuple"}
    if names and names <= IDS | TEXTS:
        return True
    return last_name(setting.value) in IDS | TEXTS and not is_tokenizer(getattr(setting.value, "value", setting.value))


class _ValueReader:
    """Reads one setting's value."""

    def __init__(self, script: Script, tokenizer: Any, setting: Setting) -> None:
        self._script = script
        self._tokenizer = tokenizer
        self._scope = script.scope_of(setting.node)
        self._depth = 0

    def values(self, node: ast.expr) -> list[int | str]:
        """Ids or strings; empty for None.

        Raises:
            _UnresolvedError: the source does not say.
            _ModelsOwnError: it is what the model's configuration says.
        """
        self._depth += 1
        if self._depth > 30:
            raise _UnresolvedError
        literal = self._script.constant(node, self._scope)
        if literal is not MISSING:
            return _flat(literal)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return [value for item in node.elts for value in self.values(item)]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return [*self.values(node.left), *self.values(node.right)]
        if isinstance(node, ast.Name):
            assigned = self._script.assigned(node.id, self._scope)
            if assigned is None:
                raise _UnresolvedError
            return self.values(assigned)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Subscript):
            return self._item(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        raise _UnresolvedError

    def _attribute(self, node: ast.Attribute) -> list[int | str]:
        if is_tokenizer(node.value) and node.attr.endswith(("_token_id", "_token", "_id")):
            value = getattr(self._tokenizer, node.attr, None)
            return [] if value is None else [value]
        if node.attr in IDS and last_name(node.value).lower() in {"generation_config", "config", "model"}:
            raise _ModelsOwnError
        raise _UnresolvedError

    def _call(self, node: ast.Call) -> list[int | str]:
        name = last_name(node.func)
        owner = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        if not is_tokenizer(owner) or not node.args:
            raise _UnresolvedError
        argument = self._script.constant(node.args[0], self._scope)
        if name == "convert_tokens_to_ids" and isinstance(argument, (str, list)):
            found = self._tokenizer.convert_tokens_to_ids(argument)
            return _flat([item for item in (found if isinstance(found, list) else [found]) if item is not None])
        if name == "encode" and isinstance(argument, str):
            plain = any(
                k.arg == "add_special_tokens" and getattr(k.value, "value", True) is False for k in node.keywords
            )
            return list(self._tokenizer.encode(argument, add_special_tokens=not plain))
        raise _UnresolvedError

    def _item(self, node: ast.Subscript) -> list[int | str]:
        table = node.value
        if isinstance(table, ast.Call) and last_name(table.func) == "get_vocab":
            table = table.func
        if isinstance(table, ast.Attribute) and table.attr in {"vocab", "get_vocab"} and is_tokenizer(table.value):
            token = literal_text(node.slice)
            found = self._tokenizer.get_vocab().get(token)
            return [] if found is None else [found]
        index = self._script.constant(node.slice)
        values = self.values(table)
        if isinstance(index, int) and -len(values) <= index < len(values):
            return [values[index]]
        raise _UnresolvedError


def _flat(value: Any) -> list[int | str]:
    if value is None or isinstance(value, bool):
        return []
    items = list(value) if isinstance(value, (list, tuple, set)) else [value]
    if any(isinstance(item, bool) or not isinstance(item, (int, str)) for item in items):
        raise _UnresolvedError
    return items
