"""Literals of Python source, evaluated without executing anything.

Web UI scripts have an evaluator of their own (`Script.constant`), since the two promise different things: there, names
are followed through scopes to what they are assigned, and what cannot be read is passed over; here, names have the
values they had at that line, sizes may be calculated, and what cannot be read is refused with its line.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


class UnreadableError(Exception):
    """An expression that is not a literal; holds its line."""

    def __init__(self, node: ast.AST) -> None:
        super().__init__(ast.unparse(node))
        self.line: int = getattr(node, "lineno", 0)


def literal(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """The value of a literal, of a name in `names`, or of arithmetic over them: `int(2048 - 24 ** 2)`.

    Raises:
        UnreadableError: anything else.
    """
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [literal(item, names) for item in node.elts]
    if isinstance(node, ast.Call) and _function(node) == "int" and len(node.args) == 1 and not node.keywords:
        return _number(node, int, literal(node.args[0], names))
    if isinstance(node, ast.BinOp):
        return _arithmetic(node, literal(node.left, names), literal(node.right, names))
    return dict_items(node, names)[0]


def dict_items(node: ast.expr, names: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """The values and lines of a `dict(...)` or `ConfigDict(...)` call or a `{...}` display with text keys.

    Raises:
        UnreadableError: it is something else.
    """
    pairs: list[tuple[Any, ast.expr]]
    if isinstance(node, ast.Call) and _function(node) in {"dict", "ConfigDict"} and not node.args:
        pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
    elif isinstance(node, ast.Dict):
        keys = [None if key is None else literal(key, names) for key in node.keys]
        pairs = list(zip(keys, node.values, strict=True))
    else:
        raise UnreadableError(node)
    if not all(isinstance(key, str) for key, _ in pairs):  # `**other`, or a key that is no text
        raise UnreadableError(node)
    return {key: literal(value, names) for key, value in pairs}, {key: value.lineno for key, value in pairs}


def _function(node: ast.Call) -> str | None:
    return node.func.id if isinstance(node.func, ast.Name) else None


def _arithmetic(node: ast.BinOp, left: Any, right: Any) -> Any:
    operands_are_texts = isinstance(left, str) and isinstance(right, str) and isinstance(node.op, ast.Add)
    operands_are_numbers = isinstance(left, int | float) and isinstance(right, int | float)
    if operands_are_numbers and isinstance(node.op, ast.Pow):
        if abs(left) > 1_000_000 or not 0 <= right <= 8:  # a literal must not keep the reader busy
            raise UnreadableError(node)
        return left**right
    if not (operands_are_texts or operands_are_numbers) or type(node.op) not in _ARITHMETIC:
        raise UnreadableError(node)
    return _number(node, lambda pair: _ARITHMETIC[type(node.op)](*pair), (left, right))


def _number(node: ast.expr, function: Callable[[Any], Any], value: Any) -> Any:
    try:
        return function(value)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise UnreadableError(node) from error
