"""What a script sets besides its prompt: special tokens, stops, generation defaults, session state."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from template_checks.core.errors import ArtefactError, UsageError
from template_checks.renderers.web_ui.analysis.builders import prompt_calls
from template_checks.renderers.web_ui.analysis.script import (
    MISSING,
    Extracted,
    Script,
    is_tokenizer,
    last_name,
    literal_text,
    parameters,
)

GENERATION = (
    "max_length",
    "max_new_tokens",
    "top_p",
    "top_k",
    "temperature",
    "do_sample",
    "repetition_penalty",
)
WIDGETS = frozenset({"slider", "Slider", "number_input", "Number", "checkbox", "Checkbox", "toggle", "select_slider"})


@dataclass(frozen=True)
class Setting:
    """One place where a name gets a value: keyword, assignment, dict entry, field or default; `owner` is the call."""

    name: str
    value: ast.expr
    line: int
    owner: str
    node: ast.AST


def find_settings(script: Script, names: frozenset[str]) -> Iterator[Setting]:
    """Every place where one of `names` gets a value, in no order."""
    for node in ast.walk(script.tree):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in names:
                    yield Setting(str(keyword.arg), keyword.value, keyword.value.lineno, last_name(node.func), node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if last_name(target) in names:
                    yield Setting(last_name(target), node.value, node.lineno, "=", node)
        elif isinstance(node, ast.AnnAssign) and node.value is not None and last_name(node.target) in names:
            yield Setting(last_name(node.target), node.value, node.lineno, "field", node)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if key is not None and literal_text(key) in names:
                    yield Setting(str(literal_text(key)), value, value.lineno, "dict", node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for name, default in parameters(node):
                if name in names and default is not None:
                    yield Setting(name, default, default.lineno, "default", node)


def special_tokens(script: Script) -> Extracted | None:
    """Does the tokenizer call on the prompt add special tokens? None where no such call is found.

    Raises:
        UsageError: the calls differ, or the argument is not a literal.
    """
    found: list[Extracted] = []
    for call in prompt_calls(script):
        given = next((k.value for k in call.keywords if k.arg == "add_special_tokens"), None)
        value = True if given is None else script.constant(given, script.scope_of(call))
        if not isinstance(value, bool):
            raise UsageError(
                "Whether the tokenizer call adds special tokens cannot be read from the script.",
                where=script.where(call),
                hint='set tokenize = "with-special-tokens" or "without-special-tokens"',
            )
        found.append(Extracted(value, call.lineno))
    if len({item.value for item in found}) > 1:
        lines = ", ".join(f"line {item.line} ({'with' if item.value else 'without'})" for item in found)
        raise UsageError(
            f"The script calls its tokenizer with and without special tokens: {lines}.",
            where=script.name,
            hint='set tokenize = "with-special-tokens" or "without-special-tokens"',
        )
    return found[0] if found else None


def generation_defaults(script: Script) -> dict[str, Extracted]:
    """Generation parameters as the app starts with them: widgets first, then arguments, then fields and defaults."""
    ranked: dict[str, tuple[int, Extracted]] = {}

    def offer(name: str, value: Any, line: int, rank: int) -> None:
        if isinstance(value, (int, float)) and (
            name not in ranked or (rank, line) < (ranked[name][0], ranked[name][1].line)
        ):
            ranked[name] = (rank, Extracted(value, line))

    for call in script.calls:
        if last_name(call.func) in WIDGETS and (name := _widget_name(script, call)):
            offer(name, _widget_value(script, call), call.lineno, 0)
    ranks = {"field": 3, "default": 4, "dict": 2}
    for setting in find_settings(script, frozenset(GENERATION)):
        if setting.owner not in WIDGETS and not is_tokenizer(ast.Name(id=setting.owner)):
            value = script.constant(setting.value, script.scope_of(setting.node))
            offer(setting.name, value, setting.line, ranks.get(setting.owner, 1))
    return {name: ranked[name][1] for name in GENERATION if name in ranked}


def _widget_name(script: Script, call: ast.Call) -> str | None:
    """`top_p` for a widget labelled "Top P", or assigned to a variable `top_p`."""
    labels = [literal_text(k.value) for k in call.keywords if k.arg in {"label", "key"}]
    labels += [literal_text(argument) for argument in call.args[:1]]
    statement = script.statement_of(call)
    if isinstance(statement, ast.Assign):
        labels += [last_name(target) for target in statement.targets]
    for label in labels:
        plain = (label or "").lower().replace("-", " ").replace("_", " ").strip()
        for name in GENERATION:
            if plain in {name.replace("_", " "), name.replace("_", "")}:
                return name
    return None


def _widget_value(script: Script, call: ast.Call) -> Any:
    scope = script.scope_of(call)
    given = next((k.value for k in call.keywords if k.arg == "value"), None)
    if given is None:
        gradio = last_name(call.func)[:1].isupper()
        boolean = last_name(call.func).lower() in {"checkbox", "toggle"}
        index = (0 if gradio else 1) if boolean else (2 if gradio else 3)
        given = call.args[index] if len(call.args) > index else None
    return script.constant(given, scope)


def initial_session(script: Script, key: str) -> Extracted | None:
    """What the script puts into `st.session_state.<key>` at the start; None where it says nothing.

    Raises:
        ArtefactError: it starts with messages that cannot be read from the source.
    """
    for guarded in (True, False):
        for node in ast.walk(script.tree):
            value = _session_value(script, node, key)
            if value is None or (guarded and not _is_guarded(script, node, key)):
                continue
            read = script.constant(value, script.scope_of(node))
            if read is MISSING and isinstance(value, ast.List) and value.elts:
                raise ArtefactError(
                    f"The first value of st.session_state.{key} cannot be read from the source.",
                    where=script.where(value),
                    hint="write a `python` renderer that calls the app's own code",
                )
            if read is not MISSING:
                return Extracted(read, value.lineno)
    return None


def _session_value(script: Script, node: ast.AST, key: str) -> ast.expr | None:
    if isinstance(node, ast.Assign) and any(script.session_key(target) == key for target in node.targets):
        return node.value
    if isinstance(node, ast.Call):
        if last_name(node.func) == "setdefault" and script.session_key(node) == key and len(node.args) > 1:
            return node.args[1]
        named = any(k.arg == "key" and literal_text(k.value) == key for k in node.keywords)
        if named and last_name(node.func) in {"text_input", "text_area"}:
            value = next((k.value for k in node.keywords if k.arg == "value"), None)
            return value or (node.args[1] if len(node.args) > 1 else None)
    return None


def _is_guarded(script: Script, node: ast.AST, key: str) -> bool:
    """Whether it is under `if "messages" not in st.session_state`, or a setdefault."""
    if isinstance(node, ast.Call):
        return True
    tests = [parent.test for parent in script.parents(node) if isinstance(parent, ast.If)]
    return any(literal_text(n) == key or script.session_key(n) == key for test in tests for n in ast.walk(test))
