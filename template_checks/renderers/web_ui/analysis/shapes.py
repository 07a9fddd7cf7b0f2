"""How a builder reads its history: from where, as pairs or as messages, with which keys and roles."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from template_checks.renderers.web_ui.analysis.script import (
    MISSING,
    FunctionNode,
    Scope,
    Script,
    literal_text,
    parameters,
    root_name,
)
from template_checks.renderers.web_ui.name_lists import split_names

ListKind = Literal["pairs", "messages"]
ParameterKind = Literal["pairs", "messages", "request", "system", "message"]

USER_WORDS = frozenset({"user", "human", "client", "customer", "question"})
SYSTEM_WORDS = frozenset({"system", "developer", "meta"})
OTHER_WORDS = frozenset({"tool", "function", "observation", "environment"})
ROLE_KEYS = ("role", "from", "speaker", "sender", "author", "type", "who", "name")
CONTENT_KEYS = ("content", "message", "text", "value", "msg", "body")
HISTORY_NAMES = frozenset({"history", "chat_history", "messages", "chatbot", "conversation", "dialog", "msgs"})
SYSTEM_NAMES = ("system", "meta_instruction")
MESSAGE_NAMES = frozenset(
    split_names(
        """
    message prompt query user_input question input text msg instruction user_message inp
    """
    )
)

Match = Callable[[ast.AST], bool]


@dataclass(frozen=True)
class Roles:
    """The script's own words for roles, and where they were seen."""

    role_key: str = "role"
    content_key: str = "content"
    compared: dict[str, int] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)
    open: bool = False


def list_kind(script: Script, scope: Scope | ast.stmt, is_list: Match) -> ListKind | None:
    """How the list that `is_list` recognizes is read, as pairs or as messages; None where it is not read."""
    aliases = _aliases(scope, is_list)

    def matches(node: ast.AST) -> bool:
        return is_list(node) or (isinstance(node, ast.Name) and node.id in aliases)

    for target, source in _loops(scope):
        if not any(matches(node) for node in ast.walk(source)):
            continue
        if (
            isinstance(source, ast.Call)
            and getattr(source.func, "id", "") == "enumerate"
            and isinstance(target, ast.Tuple)
        ):
            target = target.elts[-1]
        kind = _item_kind(scope, target)
        if kind:
            return kind
    for node in ast.walk(scope):
        if isinstance(node, ast.Call):
            if _is_template_call(node) and any(matches(n) for argument in node.args for n in ast.walk(argument)):
                return "messages"
            if _is_extend(node) and any(matches(argument) for argument in node.args):
                return "messages"
            passed = _kind_in_callee(script, node, matches)
            if passed == "pairs" or passed == "messages":
                return passed
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            sides = (node.left, node.right)
            if any(map(matches, sides)) and any(_is_list(scope, side) for side in sides):
                return "messages"
        if isinstance(node, ast.AugAssign) and matches(node.value) and _is_list(scope, node.target):
            return "messages"
        if isinstance(node, ast.Starred) and matches(node.value):
            return "messages"
    return None


def parameter_kind(script: Script, function: FunctionNode, name: str, depth: int = 0) -> ParameterKind | None:
    """What the app passes for a parameter; None where the source does not say."""

    def is_name(node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == name

    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and is_name(node.value) and node.attr in {"messages", "history"}:
            return "request"
    kind = list_kind(script, function, is_name)
    if kind:
        return kind
    lowered = name.lower()
    if any(word in lowered for word in SYSTEM_NAMES):
        return "system"
    if lowered in HISTORY_NAMES:
        return "messages" if _says_messages(script) else "pairs"
    return "message" if lowered in MESSAGE_NAMES else None


def _kind_in_callee(script: Script, call: ast.Call, matches: Match) -> ParameterKind | None:
    callee = script.resolve_function(call.func.id) if isinstance(call.func, ast.Name) else None
    if callee is None or any(parent is callee for parent in script.parents(call)):
        return None
    names = [name for name, _ in parameters(callee)]
    given = [*zip(names, call.args, strict=False), *((k.arg, k.value) for k in call.keywords if k.arg)]
    for name, argument in given:
        if name is not None and matches(argument):
            return parameter_kind(script, callee, name)
    return None


def _says_messages(script: Script) -> bool:
    return any(k.arg == "type" and literal_text(k.value) == "messages" for call in script.calls for k in call.keywords)


def _aliases(scope: ast.AST, is_list: Match) -> set[str]:
    aliases: set[str] = set()
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = node.value
            while isinstance(value, (ast.Subscript, ast.BoolOp, ast.Call)):
                if is_list(value):
                    break
                if isinstance(value, ast.Subscript):
                    if not isinstance(value.slice, ast.Slice):
                        break
                    value = value.value
                elif isinstance(value, ast.BoolOp):
                    value = value.values[0]
                elif value.args and len(value.args) == 1:
                    value = value.args[0]
                else:
                    break
            if is_list(value):
                aliases.add(node.targets[0].id)
    return aliases


def _loops(scope: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    for node in ast.walk(scope):
        if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            yield node.target, node.iter


def _item_kind(scope: ast.AST, target: ast.expr) -> ListKind | None:
    if isinstance(target, (ast.Tuple, ast.List)):
        return "pairs" if len(target.elts) == 2 else None
    if not isinstance(target, ast.Name):
        return None
    for node in ast.walk(scope):
        read = getattr(getattr(node, "value", None), "id", None) == target.id
        if not read:
            continue
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            return "pairs" if isinstance(node.slice.value, int) else "messages"
        if isinstance(node, ast.Attribute):
            return "messages"
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            return "pairs"
    return "messages"


def _is_list(scope: ast.AST, node: ast.AST) -> bool:
    """A list display, or a name for one."""
    if isinstance(node, ast.Name):
        values = (n.value for n in ast.walk(scope) if isinstance(n, ast.Assign) and root_name(n.targets[0]) == node.id)
        return any(isinstance(value, (ast.List, ast.ListComp)) for value in values)
    return isinstance(node, (ast.List, ast.ListComp))


def _is_template_call(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "apply_chat_template"


def _is_extend(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "extend"


def find_roles(script: Script, nodes: Iterable[ast.AST], *, template: bool) -> Roles:
    """Role and content keys and the words for roles, from what the nodes compare, look up and store."""
    nodes = list(nodes)
    fields = _Fields(script, nodes)
    role_key = fields.role_key()
    compared = dict(fields.words(role_key))
    stored = dict(_stored(script, role_key))
    return Roles(role_key, fields.content_key(role_key), compared, stored, template or fields.printed(role_key))


class _Fields:
    """Reads of message fields in some nodes: `m["role"]`, `m.get("role")`, `m.role`, or a name for one of these."""

    def __init__(self, script: Script, nodes: list[ast.AST]) -> None:
        self._script = script
        self._all = [child for node in nodes for child in ast.walk(node)]
        self._parents = {child: parent for parent in self._all for child in ast.iter_child_nodes(parent)}
        self._names: dict[str, str] = {}
        for node in self._all:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                key = self._direct(node.value)
                if key:
                    self._names[node.targets[0].id] = key

    def _direct(self, node: ast.AST) -> str | None:
        if self._script.session_key(node) or self._script.is_session(node):
            return None
        if isinstance(node, ast.Subscript):
            return literal_text(node.slice)
        if isinstance(node, ast.Attribute) and node.attr in {*ROLE_KEYS, *CONTENT_KEYS}:
            return node.attr
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "get" and node.args:
                return literal_text(node.args[0])
            if node.func.attr in {"lower", "strip", "upper"}:
                return self._direct(node.func.value)
        return None

    def key(self, node: ast.AST) -> str | None:
        """The field an expression reads."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id, "role" if node.id == "role" else None)
        return self._direct(node)

    def role_key(self) -> str:
        """The field whose values are compared with a word for the user; else a usual one that is read."""
        for key, value, _ in self._uses():
            if value.lower() in USER_WORDS | SYSTEM_WORDS and key not in CONTENT_KEYS:
                return key
        read = [self.key(node) for node in self._all]
        return next((key for key in ROLE_KEYS if key in read), "role")

    def content_key(self, role_key: str) -> str:
        """A usual content field that is read; else any other field that is read."""
        read = [key for node in self._all if (key := self._direct(node)) and key != role_key]
        usual = [key for key in CONTENT_KEYS if key in read]
        return usual[0] if usual else (read[0] if read else "content")

    def words(self, role_key: str) -> Iterator[tuple[str, int]]:
        """Each word the role is compared with, and its first line."""
        seen: set[str] = set()
        for key, value, line in self._uses():
            same = key == role_key or (key == "role" and role_key in ROLE_KEYS)
            if same and value not in seen:
                seen.add(value)
                yield value, line

    def _uses(self) -> Iterator[tuple[str, str, int]]:
        for node in self._all:
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                for field_name in filter(None, map(self.key, sides)):
                    for side in sides:
                        yield from ((field_name, word, node.lineno) for word in self._constants(side))
            elif isinstance(node, ast.Match) and (key := self.key(node.subject)):
                for case in node.cases:
                    for word in (literal_text(n) for n in ast.walk(case.pattern)):
                        if word is not None:
                            yield key, word, case.pattern.lineno
            elif (looked := self._lookup(node)) is not None:
                yield from looked

    def _constants(self, node: ast.AST) -> list[str]:
        value = (
            self._script.constant(node, None)
            if isinstance(node, (ast.Constant, ast.Name, ast.List, ast.Tuple, ast.Set))
            else MISSING
        )
        values = list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
        return [item for item in values if isinstance(item, str)]

    def _lookup(self, node: ast.AST) -> list[tuple[str, str, int]] | None:
        """`NAMES[m["role"]]` or `NAMES.get(m["role"])`."""
        table, index = None, None
        if isinstance(node, ast.Subscript):
            table, index = node.value, node.slice
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and node.args
        ):
            table, index = node.func.value, node.args[0]
        if table is None or index is None or not (key := self.key(index)):
            return None
        if isinstance(table, ast.Name):
            inside = [
                n.value for n in self._all if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == table.id
            ]
            table = inside[0] if inside else self._script.assigned(table.id)
        if not isinstance(table, ast.Dict):
            return None
        return [(key, word, item.lineno) for item in table.keys if item and (word := literal_text(item)) is not None]

    def _in_raise(self, node: ast.AST) -> bool:
        """Error messages are no part of the prompt."""
        while node in self._parents:
            node = self._parents[node]
            if isinstance(node, ast.Raise):
                return True
        return False

    def printed(self, role_key: str) -> bool:
        """Whether the role itself goes into the text."""
        for node in self._all:
            if self.key(node) != role_key or not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
                continue
            parent = self._parents.get(node)
            if self._in_raise(node):
                continue
            if isinstance(parent, ast.Attribute):
                parent = self._parents.get(self._parents.get(parent, parent))
            if isinstance(parent, (ast.FormattedValue, ast.BinOp, ast.keyword)):
                return True
        return False


def _stored(script: Script, role_key: str) -> Iterator[tuple[str, int]]:
    """Roles of messages that the script appends to its history."""
    seen: set[str] = set()
    for call in script.calls:
        if not (isinstance(call.func, ast.Attribute) and call.func.attr in {"append", "extend"} and call.args):
            continue
        for node in ast.walk(call.args[0]):
            if not isinstance(node, ast.Dict):
                continue
            for key, value in zip(node.keys, node.values, strict=True):
                word = literal_text(value)
                if key is not None and literal_text(key) == role_key and word and word not in seen:
                    seen.add(word)
                    yield word, node.lineno
