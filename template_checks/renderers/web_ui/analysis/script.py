"""A Web UI script as a syntax tree: names, scopes, constants and session keys. Nothing here runs it."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from template_checks.core.errors import ArtefactError, UsageError

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Scope = FunctionNode | ast.Module

MISSING = object()
"""A value that cannot be read from the source."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """A value found in the script, and its line."""

    value: Any
    line: int

    def to_json(self) -> dict[str, Any]:
        """The value and its line, as the record's header holds them."""
        return {"value": self.value, "line": self.line}


@dataclass(frozen=True, slots=True)
class Imported:
    """A name bound by an import: the module, the member (None for the module itself), the line."""

    module: str
    member: str | None
    line: int


@dataclass
class Script:
    """One script.

    Args:
        name: file name, for places such as `web_demo.py:214`.
        source: its text.
        tree: its syntax tree.
        sha256: of the file's bytes.
    """

    name: str
    source: str
    tree: ast.Module
    sha256: str
    _parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Script:
        """Read and parse a file.

        Raises:
            UsageError: no such file.
            ArtefactError: it is not Python.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"Cannot read the Web UI script: {error.strerror or error}.",
                where=str(path),
                hint="`script` is relative to the file that holds the target",
            ) from None
        try:
            source = data.decode("utf-8-sig").replace("\r\n", "\n")
            tree = ast.parse(source)
        except SyntaxError as error:
            raise ArtefactError(
                f"The Web UI script is not valid Python: {error.msg}.", where=f"{path.name}:{error.lineno}"
            ) from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise ArtefactError(f"The Web UI script cannot be parsed: {error}.", where=path.name) from None
        return cls(path.name, source, tree, hashlib.sha256(data).hexdigest())

    def __post_init__(self) -> None:
        for parent in ast.walk(self.tree):
            for child in ast.iter_child_nodes(parent):
                self._parents[child] = parent

    def where(self, node: ast.AST | int) -> str:
        """`web_demo.py:214`."""
        return f"{self.name}:{node if isinstance(node, int) else line_of(node)}"

    def parents(self, node: ast.AST) -> Iterator[ast.AST]:
        """From the inside out."""
        while node in self._parents:
            node = self._parents[node]
            yield node

    def scope_of(self, node: ast.AST) -> Scope:
        """The function around a node, or the module."""
        for parent in self.parents(node):
            if isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)):
                return parent
        return self.tree

    def statement_of(self, node: ast.AST) -> ast.stmt | None:
        """The statement a node belongs to."""
        if isinstance(node, ast.stmt):
            return node
        return next((parent for parent in self.parents(node) if isinstance(parent, ast.stmt)), None)

    @cached_property
    def functions(self) -> list[FunctionNode]:
        """All functions, nested ones too, in order of their lines."""
        found = [n for n in ast.walk(self.tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
        return sorted(found, key=lambda function: function.lineno)

    @cached_property
    def calls(self) -> list[ast.Call]:
        """All calls in order of their lines."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        return sorted(found, key=lambda call: (call.lineno, call.col_offset))

    @cached_property
    def imports(self) -> dict[str, Imported]:
        """Names bound by imports anywhere in the script."""
        found: dict[str, Imported] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.split(".")[0]
                    found[bound] = Imported(alias.name if alias.asname else bound, None, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    module = "." * node.level + (node.module or "")
                    found[alias.asname or alias.name] = Imported(module, alias.name, node.lineno)
        return found

    @cached_property
    def module_bindings(self) -> dict[str, list[ast.stmt]]:
        """Top-level statements by the names they bind."""
        bindings: dict[str, list[ast.stmt]] = {}
        for statement in self.tree.body:
            for name in bound_names(statement):
                bindings.setdefault(name, []).append(statement)
        return bindings

    def constant(self, node: ast.AST | None, scope: Scope | None = None, depth: int = 0) -> Any:
        """The value of an expression of literals and names of literals; MISSING where it cannot be read.

        Nothing is calculated but sums of texts and of lists. At most 8 names and operators deep, as a name may be
        assigned from itself.
        """
        if node is None or depth > 8:
            return MISSING
        if isinstance(node, ast.Name):
            return self.constant(self.assigned(node.id, scope), scope, depth + 1)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left = self.constant(node.left, scope, depth + 1)
            right = self.constant(node.right, scope, depth + 1)
            same = isinstance(left, (str, list)) and type(left) is type(right)
            return left + right if same else MISSING
        if isinstance(node, (ast.List, ast.Tuple)):
            items = [self.constant(item, scope, depth + 1) for item in node.elts]
            return MISSING if any(item is MISSING for item in items) else items
        if isinstance(node, ast.Dict):
            keys = [self.constant(key, scope, depth + 1) for key in node.keys]
            values = [self.constant(value, scope, depth + 1) for value in node.values]
            return MISSING if MISSING in [*keys, *values] else dict(zip(keys, values, strict=True))
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return MISSING

    def assigned(self, name: str, scope: Scope | None = None) -> ast.expr | None:
        """The expression assigned to a name, where there is exactly one: in `scope`, else in the module."""
        if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside = [value for target, value in assignments(scope) if target == name]
            if inside:
                return inside[0] if len(inside) == 1 else None
        outside = [v for s in self.module_bindings.get(name, []) for t, v in assignments(s) if t == name]
        return outside[0] if len(outside) == 1 else None

    def session_key(self, node: ast.AST) -> str | None:
        """`messages` for st.session_state.messages, ["messages"], .get("messages", …), getattr(…, "messages")."""
        if isinstance(node, ast.Attribute) and self.is_session(node.value):
            return (
                None if node.attr in {"get", "setdefault", "pop", "update", "items", "keys", "to_dict"} else node.attr
            )
        if isinstance(node, ast.Subscript) and self.is_session(node.value):
            return literal_text(node.slice)
        if isinstance(node, ast.Call):
            function, args = node.func, node.args
            if isinstance(function, ast.Attribute) and function.attr in {"get", "setdefault"} and args:
                return literal_text(args[0]) if self.is_session(function.value) else None
            if isinstance(function, ast.Name) and function.id == "getattr" and len(args) >= 2:
                return literal_text(args[1]) if self.is_session(args[0]) else None
        return None

    def is_session(self, node: ast.AST) -> bool:
        """Whether this is `st.session_state`, or a name for it."""
        if isinstance(node, ast.Attribute):
            return node.attr == "session_state"
        if isinstance(node, ast.Name):
            imported = self.imports.get(node.id)
            if imported is not None:
                return imported.member == "session_state"
            value = self.assigned(node.id)
            return isinstance(value, ast.Attribute) and value.attr == "session_state"
        return False

    def resolve_function(self, name: str) -> FunctionNode | None:
        """The function of that name, if there is just one."""
        found = [function for function in self.functions if function.name == name]
        return found[0] if len(found) == 1 else None


def line_of(node: ast.AST) -> int:
    """A node's first line."""
    return int(getattr(node, "lineno", 1))


def literal_text(node: ast.AST | None) -> str | None:
    """The text of a string literal."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def last_name(node: ast.AST) -> str:
    """`tokenizer` for `tokenizer` and `self.tokenizer`; empty where there is none."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def is_tokenizer(node: ast.AST) -> bool:
    """Whether the name says that this is a tokenizer."""
    name = last_name(node).lower()
    return "tokenizer" in name or name in {"tok", "processor"}


def root_name(node: ast.AST) -> str | None:
    """`messages` for `messages[0]["content"]`."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call, ast.Starred)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def bound_names(node: ast.AST) -> set[str]:
    """Names a statement binds in its own scope; nested functions count by their name only."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return {n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}
    names = {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else set()
    if isinstance(node, ast.ExceptHandler) and node.name:
        names.add(node.name)
    if isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
        names.add(node.name)
    for child in ast.iter_child_nodes(node):
        names |= bound_names(child)
    return names


def assignments(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """(name, value) of each assignment to a plain name within a node."""
    for child in ast.walk(node):
        targets: list[ast.expr] = child.targets if isinstance(child, ast.Assign) else []
        if isinstance(child, (ast.AnnAssign, ast.NamedExpr)):
            targets = [child.target]
        if isinstance(child, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and child.value is not None:
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, child.value


def parameters(function: FunctionNode) -> list[tuple[str, ast.expr | None]]:
    """(name, default) of each parameter that can be given by name."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    found = list(zip([a.arg for a in positional], [*defaults, *arguments.defaults], strict=True))
    return found + [(a.arg, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]


def free_names(node: ast.AST) -> set[str]:
    """Names a node reads from outside itself; annotations and decorators do not count."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        body = node.body if isinstance(node.body, list) else [node.body]
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        bound = {a.arg for a in [*arguments, node.args.vararg, node.args.kwarg] if a is not None}
        declared = {name for s in ast.walk(node) if isinstance(s, ast.Global) for name in s.names}
        bound |= {name for statement in body for name in bound_names(statement)} - declared
        inner = {name for statement in body for name in free_names(statement)}
        defaults = [d for d in [*node.args.defaults, *node.args.kw_defaults] if d is not None]
        return (inner - bound) | {name for default in defaults for name in free_names(default)}
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        inner = {name for child in ast.iter_child_nodes(node) for name in free_names(child)}
        stored = (n for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name))
        return inner - {name.id for name in stored}
    if isinstance(node, ast.AnnAssign):
        return free_names(node.target) | (free_names(node.value) if node.value else set())
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Load) else set()
    return {name for child in ast.iter_child_nodes(node) for name in free_names(child)}
