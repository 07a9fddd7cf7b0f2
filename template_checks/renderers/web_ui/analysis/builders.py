"""Which part of a script builds its prompt, and how its tokenizer is called on it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from template_checks.core.errors import ArtefactError, UsageError
from template_checks.core.suggest import did_you_mean
from template_checks.renderers.web_ui.analysis.script import (
    FunctionNode,
    Scope,
    Script,
    free_names,
    is_tokenizer,
    last_name,
    literal_text,
    parameters,
)
from template_checks.renderers.web_ui.analysis.shapes import HISTORY_NAMES, list_kind
from template_checks.renderers.web_ui.analysis.slicing import reads

LOOKED_FOR = (
    "a function that builds a text over the history, a call of tokenizer.apply_chat_template, "
    "or a tokenizer call on a text built over the history"
)


@dataclass(frozen=True)
class Builder:
    """Something in the script that builds the prompt.

    `text`: a function that concatenates strings and returns them. `template`: a scope that calls
    `apply_chat_template`. `inline`: a scope that concatenates strings and calls the tokenizer on them.
    `target` is the call at which the prompt is complete; None where it is what the function returns.
    """

    kind: Literal["text", "template", "inline"]
    scope: Scope
    target: ast.Call | None
    line: int

    @property
    def name(self) -> str:
        """The function's name, `<module>` for code outside functions."""
        return "<module>" if isinstance(self.scope, ast.Module) else self.scope.name


def find_builder(script: Script, function: str | None) -> Builder:
    """The one prompt builder of a script, or the one that `function` names.

    Raises:
        UsageError: several builders and no choice, or no such function.
        ArtefactError: no builder.
    """
    found = _candidates(script)
    if function is not None:
        return _named(script, found, function)
    if len(found) > 1:
        raise UsageError(
            "Several functions build a prompt: " + ", ".join(_place(script, builder) for builder in found) + ".",
            where=script.name,
            hint=f'choose one, for example function = "{found[0].name}"',
        )
    if not found:
        raise _nothing(script)
    return found[0]


def _candidates(script: Script) -> list[Builder]:
    texts = [function for function in script.functions if _is_text_builder(script, function)]
    callees = {name for function in texts for name in _called(function) if name != function.name}
    found = [Builder("text", f, None, f.lineno) for f in texts if f.name not in callees]
    found += _template_builders(script)
    named = {builder.name for builder in found} | callees
    for call in prompt_calls(script):
        scope = script.scope_of(call)
        if any(builder.scope is scope for builder in found):
            continue
        if _leads_to_text(script, call, scope, named):
            found.append(Builder("inline", scope, call, call.lineno))
    return sorted(found, key=lambda builder: builder.line)


def _place(script: Script, builder: Builder) -> str:
    return f"{builder.name} ({script.where(builder.line)})"


def _named(script: Script, found: list[Builder], name: str) -> Builder:
    matching = [builder for builder in found if builder.name == name]
    if matching:
        return matching[0]
    named = [function for function in script.functions if function.name == name]
    if len(named) == 1 and _returns(named[0]):
        return Builder("text", named[0], None, named[0].lineno)
    if named:
        raise UsageError(
            f"The function {name!r} does not give back a prompt"
            + (" and is defined more than once." if len(named) > 1 else "."),
            where=script.where(named[0]),
            hint=f"looked for {LOOKED_FOR}",
        )
    names = sorted({f.name for f in script.functions} | {b.name for b in found})
    builders = ", ".join(_place(script, builder) for builder in found) or "none"
    raise UsageError(
        f"The script has no function {name!r}.",
        where=script.name,
        hint=f"{did_you_mean(name, names)} functions that build a prompt: {builders}".lstrip(),
    )


def _nothing(script: Script) -> ArtefactError:
    """The error for a script without a builder, which says what it has instead."""
    for call in script.calls:
        name = last_name(call.func)
        first = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg == "tokenizer"), None)
        if (
            name in {"chat", "stream_chat"}
            and isinstance(call.func, ast.Attribute)
            and first is not None
            and is_tokenizer(first)
        ):
            return ArtefactError(
                f"The prompt is built by `{name}` in the model's remote code, not in the script.",
                where=script.where(call),
                hint=f"looked for {LOOKED_FOR}; write a `python` renderer that calls the model's own prompt code",
            )
    for name, imported in script.imports.items():
        if any(word in name.lower() for word in ("prompt", "combine_history", "template")) and imported.member:
            return ArtefactError(
                f"The prompt seems to be built elsewhere: {name!r} is imported from {imported.module!r}.",
                where=script.where(imported.line),
                hint="set `script` to the file that builds the prompt (and `function`), or write a `python` renderer",
            )
    return ArtefactError(
        "The script has no prompt builder that could be found.",
        where=script.name,
        hint=f"looked for {LOOKED_FOR}; name the builder with `function` (and `session_key`, `roles`, `tokenize`), "
        "or write a `python` renderer",
    )


def prompt_calls(script: Script) -> list[ast.Call]:
    """Calls of the tokenizer on something that is not a literal: `tokenizer([prompt])`, `tokenizer.encode(prompt)`."""
    return [call for call in script.calls if _is_prompt_call(call)]


def _is_prompt_call(call: ast.Call) -> bool:
    function = call.func
    named = is_tokenizer(function)
    encodes = (
        isinstance(function, ast.Attribute)
        and function.attr in {"encode", "encode_plus", "batch_encode_plus"}
        and is_tokenizer(function.value)
    )
    first = prompt_argument(call) if named or encodes else None
    return first is not None and not isinstance(first, (ast.Constant, ast.List, ast.Tuple))


def prompt_argument(call: ast.Call) -> ast.expr | None:
    """What a tokenizer call is given: the text, or the one text of a list."""
    first = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg == "text"), None)
    if isinstance(first, (ast.List, ast.Tuple)) and len(first.elts) == 1:
        return first.elts[0]
    return first


def template_calls(script: Script, scope: Scope | None = None) -> list[ast.Call]:
    """Calls of `apply_chat_template`, in one scope or all."""
    found = [c for c in script.calls if isinstance(c.func, ast.Attribute) and c.func.attr == "apply_chat_template"]
    return [call for call in found if scope is None or script.scope_of(call) is scope]


def _template_builders(script: Script) -> Iterator[Builder]:
    scopes = list(dict.fromkeys(script.scope_of(call) for call in template_calls(script)))
    for scope in scopes:
        calls = template_calls(script, scope)
        later = [c for c in prompt_calls(script) if script.scope_of(c) is scope and c.lineno >= calls[-1].lineno]
        ids = [call for call in calls if tokenizes(call)]
        if not ids and later:
            yield Builder("template", scope, later[0], calls[0].lineno)
        elif not isinstance(scope, ast.Module) and not ids and gives_text(script, scope):
            yield Builder("template", scope, None, calls[0].lineno)
        elif len(calls) == 1:
            yield Builder("template", scope, calls[0], calls[0].lineno)
        else:
            for call in calls:
                yield Builder("template", scope, call, call.lineno)


def tokenizes(call: ast.Call) -> bool:
    """Whether this `apply_chat_template` gives ids; `tokenize` is true where it is left out."""
    given = next((k.value for k in call.keywords if k.arg == "tokenize"), None)
    return not (isinstance(given, ast.Constant) and given.value is False)


def _leads_to_text(script: Script, call: ast.Call, scope: Scope, named: set[str]) -> bool:
    """Whether the text of this tokenizer call is concatenated in its own scope, over a history."""
    argument = prompt_argument(call)
    if _called(scope) & named or not is_text(script, argument, scope):
        return False
    return _reads_history(script, scope)


def _is_text_builder(script: Script, function: FunctionNode) -> bool:
    if not gives_text(script, function) or template_calls(script, function):
        return False
    if any(is_generating(node) for node in _own(function)):
        return False
    if _reads_history(script, function):
        return True
    passed = [n for n in _own(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    called = [script.resolve_function(call.func.id) for call in passed if isinstance(call.func, ast.Name)]
    return any(c is not None and c is not function and _is_direct_builder(script, c) for c in called)


def _is_direct_builder(script: Script, function: FunctionNode) -> bool:
    return gives_text(script, function) and _reads_history(script, function)


def is_generating(node: ast.AST) -> bool:
    """Whether this is a call that generates: what holds it is more than a prompt builder."""
    return isinstance(node, ast.Call) and last_name(node.func) in {
        "generate",
        "stream_chat",
        "TextIteratorStreamer",
    }


def _reads_history(script: Script, scope: Scope) -> bool:
    if list_kind(script, scope, lambda node: script.session_key(node) is not None):
        return True
    if isinstance(scope, ast.Module):
        return False
    names = {name for name, _ in parameters(scope)}
    for name in names & reads(script, ast.Module(body=list(scope.body), type_ignores=[])):
        iterated = list_kind(script, scope, lambda node, name=name: getattr(node, "id", None) == name)  # type: ignore[misc]
        if iterated and (name.lower() in HISTORY_NAMES or _loops_over(script, scope, name)):
            return True
    return False


def _loops_over(script: Script, scope: FunctionNode, name: str) -> bool:
    loops = [n.iter for n in ast.walk(scope) if isinstance(n, (ast.For, ast.comprehension))]
    return any(name in free_names(source) for source in loops)


def gives_text(script: Script, function: FunctionNode) -> bool:
    """Whether the function returns a text, and only texts."""
    returns = _returns(function)
    return bool(returns) and any(is_text(script, value, function) for value in returns)


def is_text(script: Script, node: ast.AST | None, scope: Scope, depth: int = 0) -> bool:
    """Whether this expression is built as a text."""
    if node is None or depth > 6:
        return False
    if isinstance(node, ast.JoinedStr) or literal_text(node) is not None:
        return True
    if isinstance(node, ast.BinOp):
        return any(is_text(script, side, scope, depth + 1) for side in (node.left, node.right))
    if isinstance(node, ast.IfExp):
        return is_text(script, node.body, scope, depth + 1)
    if isinstance(node, ast.Call):
        return _is_text_call(script, node, scope, depth)
    if isinstance(node, ast.Name):
        values: list[ast.expr | None] = [v for t, v in _local_values(scope) if t == node.id]
        values = values or [script.assigned(node.id)]
        return any(is_text(script, value, scope, depth + 1) for value in values)
    return False


def _is_text_call(script: Script, call: ast.Call, scope: Scope, depth: int) -> bool:
    if isinstance(call.func, ast.Name):
        callee = script.resolve_function(call.func.id)
        return callee is not None and callee is not scope and gives_text(script, callee)
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr == "apply_chat_template":
        return not tokenizes(call)
    texts = {
        "format",
        "join",
        "strip",
        "lstrip",
        "rstrip",
        "replace",
        "removeprefix",
        "removesuffix",
        "dedent",
    }
    return call.func.attr in texts and (call.func.attr != "strip" or is_text(script, call.func.value, scope, depth + 1))


def _local_values(scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    for node in _own(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value


def _own(scope: Scope) -> Iterator[ast.AST]:
    """Nodes of a scope without those of nested functions and classes."""
    todo: list[ast.AST] = list(scope.body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            todo.extend(ast.iter_child_nodes(node))


def _returns(function: FunctionNode) -> list[ast.expr]:
    own = list(_own(function))
    if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own):
        return []
    return [node.value for node in own if isinstance(node, ast.Return) and node.value is not None]


def _called(scope: Scope) -> set[str]:
    return {n.func.id for n in _own(scope) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
