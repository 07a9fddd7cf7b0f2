"""What the app's state holds besides the conversation, and the script's own words for roles."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from template_checks.core.errors import UsageError
from template_checks.renderers.web_ui.analysis.builders import Builder
from template_checks.renderers.web_ui.analysis.script import (
    MISSING,
    Extracted,
    Script,
    last_name,
    literal_text,
    parameters,
)
from template_checks.renderers.web_ui.analysis.settings import initial_session
from template_checks.renderers.web_ui.analysis.shapes import (
    OTHER_WORDS,
    SYSTEM_NAMES,
    SYSTEM_WORDS,
    USER_WORDS,
    ListKind,
    ParameterKind,
    Roles,
    list_kind,
)


@dataclass(frozen=True)
class Choices:
    """What the target settles: options of the renderer, and the deployment's system prompt."""

    session_key: str | None = None
    system_key: str | None = None
    roles: dict[str, str] = field(default_factory=dict)
    system: str | None = None


def _session_keys(script: Script, body: ast.Module) -> dict[str, int]:
    keys: dict[str, int] = {}
    for node in ast.walk(body):
        key = script.session_key(node)
        if key is not None:
            keys.setdefault(key, getattr(node, "lineno", 1))
    return keys


def session_list(script: Script, body: ast.Module, choices: Choices) -> tuple[str | None, ListKind | None]:
    """The key that holds the history, and how it is read.

    Raises:
        UsageError: the chosen key is not read, or several keys could be it.
    """
    keys = _session_keys(script, body)
    if choices.session_key is not None:
        key = choices.session_key
        if key not in keys:
            raise UsageError(
                f"The prompt builder does not read st.session_state.{key}.",
                where=script.name,
                hint="it reads " + (", ".join(f"{k} (line {line})" for k, line in keys.items()) or "no session state"),
            )
        return key, list_kind(script, body, lambda node: script.session_key(node) == key) or "messages"
    found: dict[str, ListKind] = {}
    for key in keys:
        kind = list_kind(script, body, lambda node, key=key: script.session_key(node) == key)  # type: ignore[misc]
        if kind and not any(word in key.lower() for word in SYSTEM_NAMES):
            found[key] = kind
    if len(found) > 1:
        raise UsageError(
            "Several session keys look like the history: "
            + ", ".join(f"{key} (line {keys[key]})" for key in found)
            + ".",
            where=script.name,
            hint=f'choose one, for example session_key = "{next(iter(found))}"',
        )
    return next(iter(found.items()), (None, None))


def session_values(
    script: Script, body: ast.Module, history: str | None, choices: Choices
) -> tuple[dict[str, Any], dict[str, int]]:
    """What the other session keys hold: the deployment's system prompt, or the script's first value.

    Raises:
        UsageError: a system text without either.
    """
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key, line in _session_keys(script, body).items():
        if key == history:
            continue
        is_system = key == choices.system_key or any(word in key.lower() for word in SYSTEM_NAMES)
        first = initial_session(script, key)
        if is_system and choices.system is not None:
            values[key], lines[key] = choices.system, line
        elif first is not None:
            values[key], lines[key] = first.value, first.line
        elif is_system:
            raise UsageError(
                f"The system text comes from st.session_state.{key}, and the script gives no first value for it.",
                where=script.where(line),
                hint="set `system` in the target to the system prompt of this deployment",
            )
    return values, lines


def system_arguments(
    script: Script, scope: Any, arguments: dict[str, ParameterKind], choices: Choices
) -> dict[str, str]:
    """The text for each parameter that holds the system prompt: the deployment's, else the script's first value.

    Raises:
        UsageError: there is neither.
    """
    found: dict[str, str] = {}
    for name, kind in arguments.items():
        if kind != "system":
            continue
        default = next((d for n, d in parameters(scope) if n == name), None)
        value = choices.system
        if value is None:
            value = script.constant(default) if default is not None else _system_widget(script)
        if not isinstance(value, str):
            raise UsageError(
                f"The system text is the parameter {name!r}, and the script gives no first value for it.",
                where=script.where(scope),
                hint="set `system` in the target to the system prompt of this deployment",
            )
        found[name] = value
    return found


def _system_widget(script: Script) -> Any:
    """The first text of a box labelled as the system prompt."""
    for call in script.calls:
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        label = literal_text(keywords.get("label")) or ""
        if last_name(call.func) in {"Textbox", "TextArea"} and "system" in label.lower():
            value = keywords.get("value") or (call.args[0] if call.args else None)
            return "" if value is None else script.constant(value)
    return MISSING


def is_system_literal(node: ast.AST, roles: Roles) -> bool:
    """Whether this is a dict display of a system message, which the script then supplies itself."""
    if not isinstance(node, ast.Dict):
        return False
    entries = {
        literal_text(key) if key else None: literal_text(value)
        for key, value in zip(node.keys, node.values, strict=True)
    }
    return entries.get(roles.role_key) in SYSTEM_WORDS or entries.get("role") == "system"


def greets_as_system(greeting: Extracted | None, roles: Roles) -> bool:
    """Whether a system message is among those the history starts with."""
    return greeting is not None and any(
        isinstance(message, dict) and message.get(roles.role_key) in SYSTEM_WORDS for message in greeting.value
    )


def role_names(script: Script, builder: Builder, roles: Roles, choices: Choices) -> dict[str, str]:
    """OpenAI role → the script's word for it.

    Raises:
        UsageError: none of the script's words is the user.
    """
    words = [*roles.compared, *(word for word in roles.stored if word not in roles.compared)]
    users = [word for word in words if word.lower() in USER_WORDS]
    systems = [word for word in roles.compared if word.lower() in SYSTEM_WORDS]
    reserved = USER_WORDS | SYSTEM_WORDS | OTHER_WORDS
    others = [word for word in roles.compared if word.lower() not in reserved]
    stored = [word for word in roles.stored if word.lower() not in reserved]
    both = [word for word in stored if word in others]
    if roles.compared and not users and "user" not in choices.roles and not roles.open and others:
        raise UsageError(
            "Cannot tell which of the script's roles is the user: " + ", ".join(roles.compared) + ".",
            where=script.where(builder.line),
            hint='say so, for example roles = { user = "…", assistant = "…" }',
        )
    names = {
        "user": (users or ["user"])[0],
        "assistant": ([*both, *(others or stored)] or ["assistant"])[0],
    }
    if systems or roles.open:
        names["system"] = (systems or ["system"])[0]
    return {**names, **choices.roles}
