"""The part of a scope that leads up to one call: what the app runs before its prompt reaches the tokenizer.

A backward slice over statements. Tests of `if` on the way stay as they are, so that the sandbox takes the branch the
app takes; `with` and `try` around the call are dropped.
"""

from __future__ import annotations

import ast
import copy

from template_checks.core.errors import ArtefactError
from template_checks.renderers.web_ui.analysis.script import (
    FunctionNode,
    Script,
    bound_names,
    free_names,
    is_tokenizer,
    parameters,
    root_name,
)

ENTRY = "prompt_of_the_script"

MUTATORS = frozenset(
    ["append", "extend", "insert", "update", "add", "setdefault", "pop", "remove", "clear", "reverse", "appendleft"]
)

# Keywords of a tokenizer call that have no influence on the ids of one prompt; their values need not be run.
IRRELEVANT = frozenset(
    ["return_tensors", "return_dict", "padding", "truncation", "max_length", "return_attention_mask", "device"]
)


def slice_to(script: Script, target: ast.Call) -> ast.FunctionDef:
    """A function that runs what leads to `target` and gives back its value.

    Its parameters are those of the scope that the slice reads.

    Raises:
        ArtefactError: the call is where it cannot be cut out.
    """
    scope = script.scope_of(target)
    current = script.statement_of(target)
    if current is None:
        raise ArtefactError("The call that builds the prompt cannot be cut out.", where=script.where(target))
    final = _without_irrelevant(target)
    needed = reads(script, final)
    body: list[ast.stmt] = [ast.copy_location(ast.Return(value=final), current)]
    while True:
        parent = next(script.parents(current))
        kept, needed = _before(script, parent, current, needed)
        body = [*kept, *body]
        if parent is scope:
            break
        body, needed = _around(script, parent, current, body, needed)
        if not isinstance(parent, ast.stmt):
            parent = next(script.parents(parent))
        current = parent  # type: ignore[assignment]
    return _function(body, target, [] if isinstance(scope, ast.Module) else _read_parameters(scope, needed))


def whole(function: FunctionNode, given: set[str]) -> ast.FunctionDef:
    """The function itself, with just the parameters `given`; the others keep their defaults."""
    defaults = [(name, default) for name, default in parameters(function) if name not in given and default]
    entry = _function(list(function.body), function, [])
    entry.name = function.name
    names = [*sorted(given), *(name for name, _ in defaults)]
    entry.args.kwonlyargs = [ast.arg(arg=name) for name in names]
    entry.args.kw_defaults = [None] * len(given) + [default for _, default in defaults]
    return ast.copy_location(entry, function)


def reads(script: Script, node: ast.AST) -> set[str]:
    """Names and session keys a node reads; tokenizers are stand-ins, not names."""
    names = {name for name in free_names(node) if not is_tokenizer(ast.Name(id=name))}
    return names | _session(script, node)


def _session(script: Script, node: ast.AST) -> set[str]:
    """Session keys a node reads, also in the script's functions that it calls."""
    todo, seen, found = [node], {node}, set()
    while todo:
        for child in ast.walk(todo.pop()):
            if key := script.session_key(child):
                found.add(f"session:{key}")
            if isinstance(child, ast.Call) and isinstance(child.func, ast.Name):
                callee = script.resolve_function(child.func.id)
                if callee is not None and callee not in seen:
                    seen.add(callee)
                    todo.append(callee)
    return found


def defines(script: Script, node: ast.stmt) -> set[str]:
    """Names and session keys a statement binds or changes in place, session keys also by a function it calls."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return set(bound_names(node))
    found = bound_names(node) | _changes(script, node)
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            callee = script.resolve_function(call.func.id)
            if callee is not None:
                found |= {place for place in _changes(script, callee) if place.startswith("session:")}
    return found


def _changes(script: Script, node: ast.AST) -> set[str]:
    found: set[str] = set()
    for child in ast.walk(node):
        place: ast.AST | None = None
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute) and child.func.attr in MUTATORS:
            place = child.func.value
        elif isinstance(child, (ast.Subscript, ast.Attribute)) and isinstance(child.ctx, (ast.Store, ast.Del)):
            place = child
        elif isinstance(child, ast.AugAssign):
            place = child.target
        if place is None:
            continue
        name = root_name(place)
        found |= {name} if name else set()
        found |= {f"session:{key}" for n in ast.walk(place) if (key := script.session_key(n))}
    return found


def _before(script: Script, parent: ast.AST, current: ast.stmt, needed: set[str]) -> tuple[list[ast.stmt], set[str]]:
    block = _block(parent, current)
    kept: list[ast.stmt] = []
    for statement in reversed(block[: block.index(current)]):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
            if isinstance(parent, ast.Module) or not bound_names(statement) & needed:
                continue
        elif not defines(script, statement) & needed:
            continue
        kept.append(statement)
        needed = needed | reads(script, statement)
    return kept[::-1], needed


def _block(parent: ast.AST, current: ast.stmt) -> list[ast.stmt]:
    for _, value in ast.iter_fields(parent):
        if isinstance(value, list) and any(item is current for item in value):
            return value
    raise AssertionError("a statement is in a block of its parent")


def _around(
    script: Script, parent: ast.AST, current: ast.stmt, body: list[ast.stmt], needed: set[str]
) -> tuple[list[ast.stmt], set[str]]:
    if isinstance(parent, ast.If):
        inside = any(item is current for item in parent.body)
        skip: list[ast.stmt] = [ast.copy_location(ast.Pass(), parent)]
        branch = ast.If(test=parent.test, body=body if inside else skip, orelse=[] if inside else body)
        return [ast.copy_location(branch, parent)], needed | reads(script, parent.test)
    endless = isinstance(parent, ast.While) and isinstance(parent.test, ast.Constant)
    if endless or isinstance(parent, (ast.With, ast.AsyncWith, ast.Try)):
        return body, needed
    raise ArtefactError(
        f"The prompt is built inside a `{type(parent).__name__.lower()}`, which cannot be cut out.",
        where=script.where(current),
        hint="write a `python` renderer that calls the app's own code",
    )


def _without_irrelevant(call: ast.Call) -> ast.Call:
    if not (is_tokenizer(call.func) or (isinstance(call.func, ast.Attribute) and is_tokenizer(call.func.value))):
        return call
    slim = copy.copy(call)
    slim.keywords = [keyword for keyword in call.keywords if keyword.arg not in IRRELEVANT]
    return slim


def _read_parameters(scope: FunctionNode, needed: set[str]) -> list[str]:
    return [
        name
        for name, _ in parameters(scope)
        if name in needed and name != "self" and not is_tokenizer(ast.Name(id=name))
    ]


def _function(body: list[ast.stmt], place: ast.AST, names: list[str]) -> ast.FunctionDef:
    arguments = ast.arguments(
        posonlyargs=[],
        args=[],
        kwonlyargs=[ast.arg(arg=name) for name in names],
        kw_defaults=[None] * len(names),
        defaults=[],
    )
    function = ast.FunctionDef(
        name=ENTRY, args=arguments, body=body, decorator_list=[], returns=None, type_comment=None
    )
    if "type_params" in ast.FunctionDef._fields:  # since Python 3.12
        setattr(function, "type_params", [])  # noqa: B010 - unknown to older type stubs
    return ast.copy_location(function, place)
