"""From a script to something that can be called: the program, and how a conversation is given to it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import Any

from template_checks.core.conversation import Conversation, Message
from template_checks.core.errors import ArtefactError, Unsupported, UsageError
from template_checks.renderers.web_ui.analysis.builders import Builder, prompt_calls, template_calls
from template_checks.renderers.web_ui.analysis.isolate import isolate
from template_checks.renderers.web_ui.analysis.script import (
    Extracted,
    FunctionNode,
    Script,
    is_tokenizer,
    last_name,
    literal_text,
    parameters,
)
from template_checks.renderers.web_ui.analysis.settings import initial_session
from template_checks.renderers.web_ui.analysis.shapes import ListKind, ParameterKind, Roles, find_roles, parameter_kind
from template_checks.renderers.web_ui.analysis.slicing import slice_to, whole
from template_checks.renderers.web_ui.analysis.state import (
    Choices,
    greets_as_system,
    is_system_literal,
    role_names,
    session_list,
    session_values,
    system_arguments,
)
from template_checks.renderers.web_ui.sandbox.process import Inputs, Program


@dataclass(frozen=True)
class Plan:
    """A program and what it is given.

    `arguments` says what each parameter of the entry gets; `session` is the session state besides the history,
    `greeting` the messages the history starts with. `takes_message` says that the last user message is given
    apart from the history. `names` are the script's words for OpenAI roles.
    """

    builder: Builder
    program: Program
    nodes: tuple[ast.stmt, ...]
    arguments: dict[str, ParameterKind]
    takes_message: bool
    session_key: str | None
    session_kind: ListKind | None
    session: dict[str, Any]
    session_lines: dict[str, int]
    greeting: Extracted | None
    roles: Roles
    names: dict[str, str]
    template: bool
    supplies_system: bool
    system_arguments: dict[str, str]

    @property
    def kinds(self) -> set[str]:
        """How the history is read."""
        return {kind for kind in [*self.arguments.values(), self.session_kind] if kind}

    @property
    def by_client(self) -> bool:
        """Whether the caller of an API sends the whole list, rather than a user typing into a page."""
        return not self.takes_message and self.session_key is None

    def inputs(self, conversation: Conversation) -> Inputs:
        """What the app would hold when the user has just sent the last message.

        Raises:
            Unsupported: the script cannot hold this conversation.
        """
        messages = list(conversation.messages)
        message: str | None = None
        if self.takes_message:
            if not messages or messages[-1].role != "user":
                raise Unsupported("the script takes a user message last")
            self._refuse_extra(messages[-1:])
            message = messages.pop().content
        elif not messages:
            raise Unsupported("the conversation is empty")
        if messages and not self.kinds & {"messages", "pairs", "request"}:
            raise Unsupported("the script sends the last message only")
        args = {name: self._argument(name, kind, messages, message) for name, kind in self.arguments.items()}
        session = dict(self.session)
        if self.session_key is not None and self.session_kind is not None:
            start = list(self.greeting.value) if self.greeting else []
            session[self.session_key] = [*start, *self._history(self.session_kind, messages)]
        return Inputs(args, session, message)

    def _argument(self, name: str, kind: ParameterKind, history: list[Message], message: str | None) -> Any:
        if kind == "message":
            return message
        if kind == "system":
            return self.system_arguments[name]
        if kind == "request":
            return {"messages": self._history("messages", history)}
        return self._history(kind, history)

    def _history(self, kind: ListKind, messages: list[Message]) -> list[Any]:
        return self._pairs(messages) if kind == "pairs" else [self._message(message) for message in messages]

    def _message(self, message: Message) -> dict[str, Any]:
        if message.role not in self.names and not self.roles.open:
            raise Unsupported(f"the script has no role for {message.role!r}")
        if message.role == "system" and self.supplies_system:
            raise Unsupported("the script supplies the system message itself")
        self._refuse_extra([message])
        plain = message.to_dict()
        del plain["role"], plain["content"]
        role = self.names.get(message.role, message.role)
        return {self.roles.role_key: role, self.roles.content_key: message.content, **plain}

    def _refuse_extra(self, messages: list[Message]) -> None:
        extra = sorted({key for message in messages for key, _ in message.extra})
        if extra and (not self.template or self.takes_message):
            raise Unsupported(f"the script does not hold {', '.join(extra)}")

    def _pairs(self, messages: list[Message]) -> list[list[str | None]]:
        pairs: list[list[str | None]] = []
        for index, message in enumerate(messages):
            if message.role != ("user", "assistant")[index % 2]:
                raise Unsupported(f"the script's history holds pairs of user and assistant, not {message.role!r} here")
            if message.extra:
                raise Unsupported("the script's history holds texts only")
            if index % 2 == 0:
                pairs.append([message.content, None])
            else:
                pairs[-1][1] = message.content
        if self.takes_message and len(messages) % 2:
            raise Unsupported("the script's history holds whole pairs of user and assistant")
        return pairs


def count_ways(script: Script, builder: Builder) -> int:
    """How many plans there are."""
    return len(_targets(script, builder))


def make_plan(script: Script, builder: Builder, way: int, choices: Choices, tokenizer: dict[str, Any]) -> Plan:
    """The plan numbered `way`.

    Raises:
        UsageError: something must be chosen.
        ArtefactError: the builder cannot be cut out.
    """
    return _plan(script, builder, _targets(script, builder)[way], choices, tokenizer)


def _targets(script: Script, builder: Builder) -> list[ast.Call | None]:
    """Calls up to which the script is run; None for the builder's function as a whole."""
    site = _call_site(script, builder)
    if site is None:
        return [builder.target]
    scope = script.scope_of(site)
    later = [c for c in prompt_calls(script) if script.scope_of(c) is scope and c.lineno >= site.lineno]
    reached = later[0] if later and builder.target is None else site
    return [reached, builder.target]


def _call_site(script: Script, builder: Builder) -> ast.Call | None:
    """The one place where the app calls the builder."""
    if isinstance(builder.scope, ast.Module):
        return None
    name = builder.scope.name
    sites = [call for call in script.calls if isinstance(call.func, ast.Name) and call.func.id == name]
    sites = [call for call in sites if builder.scope not in script.parents(call)]
    return sites[0] if len(sites) == 1 else None


def _plan(
    script: Script, builder: Builder, target: ast.Call | None, choices: Choices, tokenizer: dict[str, Any]
) -> Plan:
    if target is not None:
        entry, scope = slice_to(script, target), script.scope_of(target)
    else:
        assert not isinstance(builder.scope, ast.Module)
        scope = builder.scope
        entry = whole(scope, _given(script, scope))
    program, kept = isolate(script, entry, target or scope, tokenizer)
    nodes: tuple[ast.stmt, ...] = (*kept, entry)
    body = ast.Module(body=list(nodes), type_ignores=[])
    given = [a.arg for a in entry.args.kwonlyargs if target is not None or a.arg in _given(script, scope)]
    arguments = {} if isinstance(scope, ast.Module) else _kinds(script, scope, given)
    key, kind = session_list(script, body, choices)
    session, lines = session_values(script, body, key, choices)
    asks, boxes_ask = _asks(body)
    program = replace(program, system=choices.system, boxes_ask=boxes_ask)
    template = any(c.func.attr == "apply_chat_template" for c in _calls(body) if isinstance(c.func, ast.Attribute))
    greeting = initial_session(script, key) if key is not None and kind == "messages" else None
    roles = find_roles(script, nodes, template=template)
    own_system = any(is_system_literal(n, roles) for n in ast.walk(body)) or greets_as_system(greeting, roles)
    messages = kind == "messages" or bool({"messages", "request"} & set(arguments.values()))
    return Plan(
        builder=builder,
        program=program,
        nodes=nodes,
        arguments=arguments,
        takes_message="message" in arguments.values() or asks,
        session_key=key,
        session_kind=kind,
        session=session,
        session_lines=lines,
        greeting=greeting if greeting and greeting.value else None,
        roles=roles,
        names=role_names(script, builder, roles, choices) if messages else {},
        template=template,
        supplies_system=own_system,
        system_arguments=system_arguments(script, scope, arguments, choices),
    )


def _calls(node: ast.AST) -> list[ast.Call]:
    return [child for child in ast.walk(node) if isinstance(child, ast.Call)]


def _asks(body: ast.Module) -> tuple[bool, bool]:
    """Whether the part that is run asks for the user's message, and whether by a text box."""
    names = {last_name(call.func) for call in _calls(body)}
    if "chat_input" in names:
        return True, False
    boxes = [call for call in _calls(body) if last_name(call.func) in {"text_input", "text_area"}]
    labels = [literal_text(call.args[0] if call.args else None) or "" for call in boxes]
    asks = any("system" not in label.lower() for label in labels)
    return asks, asks


def _given(script: Script, function: Any) -> set[str]:
    """Parameters that the app gives: those without a default, and those that hold message or history."""
    given: set[str] = set()
    for name, default in parameters(function):
        if name == "self" or is_tokenizer(ast.Name(id=name)) or name == "model":
            continue
        if default is None or parameter_kind(script, function, name) is not None:
            given.add(name)
    return given


def _kinds(script: Script, function: FunctionNode, names: list[str]) -> dict[str, ParameterKind]:
    kinds = {name: parameter_kind(script, function, name) for name in names}
    unknown = [name for name, _ in parameters(function) if name in kinds and kinds[name] is None]
    if unknown and "message" not in kinds.values():
        kinds[unknown.pop(0)] = "message"
    if unknown:
        raise UsageError(
            f"Cannot tell what the app passes for {unknown[0]!r} of {function.name}.",
            where=script.where(function),
            hint="name another builder with `function`, or write a `python` renderer",
        )
    return {name: kind for name, kind in kinds.items() if kind is not None}


def unreachable(script: Script, builder: Builder, error: Exception) -> ArtefactError:
    """The prompt builder was found but cannot be run."""
    calls = template_calls(script, builder.scope)
    what = f"apply_chat_template in {builder.name}" if calls else builder.name
    return ArtefactError(
        f"The prompt builder {what} cannot be run on its own: {error}",
        where=script.where(builder.line),
        hint="choose another with `function`, help with `session_key`, `roles` or `system`, or write a `python` "
        "renderer that calls the app's own code",
    )
