"""Cut a prompt builder out of its script: the function, what it needs of the module, stand-ins for the rest."""

from __future__ import annotations

import ast
import base64
import copy
import marshal
from collections.abc import Iterable
from typing import Any

from template_checks.core.errors import ArtefactError
from template_checks.renderers.web_ui.analysis.script import (
    Imported,
    Script,
    bound_names,
    free_names,
    is_tokenizer,
    line_of,
)
from template_checks.renderers.web_ui.name_lists import split_names
from template_checks.renderers.web_ui.sandbox.process import Program

MODULES = frozenset(
    split_names(
        """
    re json datetime copy typing string textwrap html math collections functools itertools
    dataclasses enum unicodedata
    """
    )
)
"""Standard modules a prompt builder may import: they reach neither files nor processes."""

QUIET_MODULES = frozenset({"logging", "loguru", "warnings"})

METHODS = frozenset(
    {"__init__", "__post_init__", "__str__", "__repr__", "__call__", "__len__", "__iter__", "__getitem__"}
)

FRAMES = ("gi_", "cr_", "ag_", "tb_", "f_", "co_", "func_")
"""Prefixes of attributes that lead to frames and code objects."""


def isolate(
    script: Script,
    entry: ast.FunctionDef,
    original: ast.AST,
    tokenizer: dict[str, Any],
) -> tuple[Program, list[ast.stmt]]:
    """The program for the sandbox, and the module's statements that are part of it.

    Args:
        script: what names are resolved in.
        entry: the function to run, possibly made from a part of the script.
        original: the node of the script that `entry` stands for.
        tokenizer: attributes of the stand-in tokenizer.

    Raises:
        ArtefactError: it does what is refused in the sandbox.
    """
    kept, unknown = _needed(script, entry)
    standins, imports = _standins(script, unknown)
    modules = {name for statement in [*kept, entry] for name in _inner_imports(statement)}
    modules |= {alias.name for i in imports if isinstance(i, ast.Import) for alias in i.names}
    modules |= {i.module for i in imports if isinstance(i, ast.ImportFrom) and i.module}
    body = [*imports, *(_plain(statement) for statement in [*kept, entry])]
    for statement in body:
        refuse_escapes(script, statement)
    module = ast.Module(body=body, type_ignores=[])
    ast.fix_missing_locations(module)
    try:
        code = compile(module, script.name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ArtefactError(
            f"The prompt builder cannot be run on its own: {error}.", where=script.where(original)
        ) from None
    packed = base64.b64encode(marshal.dumps(code)).decode("ascii")
    program = Program(script.name, packed, entry.name, standins, tuple(sorted(modules)), tokenizer)
    return program, kept


def refuse_escapes(script: Script, node: ast.AST) -> None:
    """Refuse what could lead out of the sandbox.

    Raises:
        ArtefactError: names what and where.
    """
    for child in ast.walk(node):
        refused = _refused(child)
        if refused:
            raise ArtefactError(
                f"The prompt builder uses {refused}, which is refused in the sandbox.",
                where=script.where(child),
                hint="write a `python` renderer that calls the app's own code",
            )


def _refused(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute) and _is_inner(node.attr):
        return f"`.{node.attr}`"
    if isinstance(node, ast.MatchClass):
        return next((f"`{name}` in a pattern" for name in node.kwd_attrs if _is_inner(name)), None)
    if isinstance(node, ast.Name) and node.id.startswith("__") and node.id != "__name__":
        return f"`{node.id}`"
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return f"`{node.name}`" if node.name.startswith("__") and node.name not in METHODS else None
    if isinstance(node, ast.Name) and node.id in {
        "exec",
        "eval",
        "compile",
        "open",
        "globals",
        "locals",
        "vars",
        "input",
    }:
        return f"`{node.id}`"
    return None


def _is_inner(name: str) -> bool:
    return name.startswith(("__", *FRAMES)) or name == "mro"


def _needed(script: Script, entry: ast.FunctionDef) -> tuple[list[ast.stmt], set[str]]:
    """Module statements that `entry` needs, transitively, in order; and names that are not bound by them."""
    kept: dict[ast.stmt, None] = {}
    unknown: set[str] = set()
    seen: set[str] = set()
    todo = sorted(_names(entry))
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        statements = [] if is_tokenizer(ast.Name(id=name)) else script.module_bindings.get(name, [])
        usable = [statement for statement in statements if _is_definition(statement)]
        if not usable:
            unknown.add(name)
        for statement in usable:
            kept[statement] = None
            todo.extend(sorted(_names(statement)))
    return sorted(kept, key=line_of), unknown


def _is_definition(statement: ast.stmt) -> bool:
    if isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
        return not _is_streamlit_session(statement)
    return isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


def _is_streamlit_session(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    return isinstance(value, ast.Attribute) and value.attr == "session_state"


def _inner_imports(node: ast.stmt) -> set[str]:
    found = {alias.name for n in ast.walk(node) if isinstance(n, ast.Import) for alias in n.names}
    found |= {n.module for n in ast.walk(node) if isinstance(n, ast.ImportFrom) and n.module}
    return found & MODULES


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef):
        inside = {name for statement in node.body for name in free_names(statement)}
        around = [*node.bases, *(d for d in node.decorator_list if _keeps(d))]
        inside -= {name for statement in node.body for name in bound_names(statement)}
        return inside | {name for expression in around for name in free_names(expression)}
    names = free_names(node)
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        names.add(node.target.id)
    return names


def _standins(script: Script, unknown: Iterable[str]) -> tuple[dict[str, str], list[ast.stmt]]:
    """What each unbound name stands for, and the imports that are really made."""
    standins: dict[str, str] = {}
    imports: list[ast.stmt] = []
    for name in sorted(unknown):
        imported = script.imports.get(name)
        if is_tokenizer(ast.Name(id=name)):
            standins[name] = "tokenizer"
        elif script.is_session(ast.Name(id=name)):
            standins[name] = "session"
        elif name == "self":
            standins[name] = "owner"
        elif imported is not None:
            top = imported.module.split(".")[0]
            if imported.module in MODULES:
                imports.append(_import(name, imported))
            elif top == "streamlit":
                standins[name] = "streamlit"
            elif top in QUIET_MODULES:
                standins[name] = "quiet"
            else:
                whole = imported.module if imported.member is None else f"`{name}` from `{imported.module}`"
                standins[name] = f"{whole} (imported on line {imported.line})"
        elif name in {"logger", "log"}:
            standins[name] = "quiet"
    return standins, imports


def _import(name: str, imported: Imported) -> ast.stmt:
    place = {"lineno": imported.line, "end_lineno": imported.line, "col_offset": 0, "end_col_offset": 0}
    if imported.member is None:
        return ast.Import(names=[ast.alias(name=imported.module, asname=name)], **place)
    return ast.ImportFrom(
        module=imported.module, names=[ast.alias(name=imported.member, asname=name)], level=0, **place
    )


def _plain(statement: ast.stmt) -> ast.stmt:
    """A copy without annotations, and without decorators but those that shape a class."""
    return _Strip().visit(copy.deepcopy(statement))  # type: ignore[no-any-return]


class _Strip(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = [d for d in node.decorator_list if _keeps(d)]
        node.returns = None
        arguments = [
            *node.args.posonlyargs,
            *node.args.args,
            *node.args.kwonlyargs,
            node.args.vararg,
            node.args.kwarg,
        ]
        for argument in arguments:
            if argument is not None:
                argument.annotation = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        plain = ast.FunctionDef(**{name: getattr(node, name) for name in node._fields})
        return self.visit_FunctionDef(ast.copy_location(plain, node))

    def visit_Await(self, node: ast.Await) -> ast.AST:
        self.generic_visit(node)
        return node.value

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.decorator_list = [d for d in node.decorator_list if _keeps(d)]
        return self._with_annotations(node)

    def _with_annotations(self, node: ast.ClassDef) -> ast.AST:
        # A dataclass needs its fields annotated, with anything: the annotation's own names are not run.
        for item in node.body:
            if isinstance(item, ast.AnnAssign):
                item.annotation = ast.copy_location(ast.Constant("object"), item)
            else:
                self.visit(item)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign(targets=[node.target], value=self.visit(node.value)), node)


def _keeps(decorator: ast.expr) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
    return name in {"dataclass", "staticmethod", "classmethod", "property", "lru_cache", "cache"}
