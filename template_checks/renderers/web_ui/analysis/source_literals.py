"""The string literals a prompt is made of, line by line: also the lines inside one literal."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from template_checks.core.rendering import SourceLiteral
from template_checks.renderers.web_ui.analysis.script import Script, literal_text, root_name
from template_checks.renderers.web_ui.analysis.slicing import ENTRY

_START = re.compile(r"([rbuRBUfF]{0,2})('''|\"\"\"|'|\")")
_COMMENT = re.compile(r"#[^\n]*")


def find_source_literals(script: Script, nodes: Iterable[ast.stmt], scope: str) -> list[SourceLiteral]:
    """Origins of every literal in `nodes` that can be part of the text, each only once.

    `scope` is the function around literals that belong to no variable and no function of their own.
    """
    found: dict[SourceLiteral, None] = {}
    for node in nodes:
        for literal, name in _literals(node, scope):
            for value, line in _parts(script, literal):
                if value:
                    found[SourceLiteral(value, script.where(line), name)] = None
    return list(found)


def _literals(statement: ast.stmt, scope: str) -> Iterator[tuple[ast.expr, str]]:
    """String literals with the variable or function they belong to; keys, comparisons and docstrings left out."""

    def visit(node: ast.AST, name: str) -> Iterator[tuple[ast.expr, str]]:
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and root_name(node.func) == "st"):
            return
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = name if node.name == ENTRY else node.name
            children: list[ast.AST] = list(node.body)
            for child in children[1:] if ast.get_docstring(node, clean=False) is not None else children:
                yield from visit(child, name)
            return
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            name = next((t.id for t in targets if isinstance(t, ast.Name)), name)
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            yield node, name
        for child in ast.iter_child_nodes(node):
            if not _is_key(node, child) and not (isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)):
                yield from visit(child, name)

    yield from visit(statement, scope)


def _is_key(parent: ast.AST, child: ast.AST) -> bool:
    if isinstance(parent, (ast.Compare, ast.MatchValue)):
        return isinstance(child, ast.Constant)
    if isinstance(parent, ast.Subscript):
        return child is parent.slice and isinstance(child, ast.Constant)
    if isinstance(parent, ast.Dict):
        roles = [v for k, v in zip(parent.keys, parent.values, strict=True) if literal_text(k) == "role"]
        return child in parent.keys or child in roles
    if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute):
        return parent.func.attr in {"get", "getattr"} and parent.args[:1] == [child]
    return False


def _parts(script: Script, literal: ast.expr) -> Iterator[tuple[str, int]]:
    if isinstance(literal, ast.Constant) and isinstance(literal.value, str):
        yield literal.value, literal.lineno
        if literal.end_lineno == literal.lineno:
            return
    segment = ast.get_source_segment(script.source, literal)
    if segment is not None:
        yield from split_literal(segment, literal.lineno)


def split_literal(segment: str, line: int) -> Iterator[tuple[str, int]]:
    """(text, line) of each physical line of one or more adjacent literals; fields of f-strings left out."""
    position = 0
    while position < len(segment):
        comment = _COMMENT.match(segment, position)
        start = _START.match(segment, position)
        if comment:
            position = comment.end()
        elif start:
            end = _end(segment, start.end(), start[2])
            body_line = line + segment.count("\n", 0, start.end())
            yield from _lines(segment[start.end() : end], start[1], start[2], body_line)
            position = end + len(start[2])
        else:
            position += 1


def _end(segment: str, position: int, quote: str) -> int:
    while position < len(segment):
        if segment[position] == "\\":
            position += 2
        elif segment.startswith(quote, position):
            return position
        else:
            position += 1
    return len(segment)


def _lines(body: str, prefix: str, quote: str, line: int) -> Iterator[tuple[str, int]]:
    formatted = "f" in prefix.lower()
    plain = prefix.lower().replace("f", "")
    for offset, text in enumerate(body.split("\n")):
        last = offset == body.count("\n")
        continued = not last and (len(text) - len(text.rstrip("\\"))) % 2 == 1
        text = text[:-1] if continued else text
        pieces = list(_outside_fields(text)) if formatted else [text]
        if not last and not continued:
            pieces = [*pieces[:-1], pieces[-1] + "\n"] if pieces else ["\n"]
        for piece in pieces:
            value = _evaluate(piece, plain, quote)
            if value is not None:
                yield value, line + offset


def _outside_fields(text: str) -> list[str]:
    """The literal parts of one line of an f-string; doubled braces become single ones."""
    parts, current, depth, position = [], "", 0, 0
    while position < len(text):
        character = text[position]
        if depth == 0 and text[position : position + 2] in {"{{", "}}"}:
            current += character
            position += 1
        elif character == "{":
            if depth == 0:
                parts.append(current)
                current = ""
            depth += 1
        elif character == "}" and depth:
            depth -= 1
        elif not depth:
            current += character
        position += 1
    return [*parts, current]


def _evaluate(text: str, prefix: str, quote: str) -> str | None:
    wide = '"""' if quote[0] == '"' else "'''"
    for around in (quote, wide, "'''" if wide == '"""' else '"""'):
        if "\n" in text and len(around) == 1:
            continue
        try:
            value = ast.literal_eval(f"{prefix}{around}{text}{around}")
        except (SyntaxError, ValueError):
            continue
        return value if isinstance(value, str) else None
    return None
