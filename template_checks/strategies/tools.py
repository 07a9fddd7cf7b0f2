"""Tools: definitions, calls with arguments that JSON writers disagree on, and results."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from template_checks.core.conversation import Message

TOOL_NAME = "f"

DEFINITIONS: tuple[dict[str, Any], ...] = (
    {"name": TOOL_NAME, "description": "d", "parameters": {"type": "object", "properties": {}}},
    {
        "name": "look_up",
        "description": "Größe ≥ 1 & <b>'\"/ 你好",
        "parameters": {
            "type": "object",
            "properties": {
                "unit": {"type": "string", "enum": ["°C", "°F"]},
                "at": {"type": "object", "properties": {"y": {"type": "number"}, "x": {"type": "number"}}},
            },
            "required": ["unit"],
        },
    },
)
"""Keys out of alphabetical order, characters that JSON writers and HTML escape, nesting."""

ARGUMENTS: tuple[dict[str, Any], ...] = (
    {},
    {"a": ""},
    {"b": True, "a": None},
    {"a": "<&'\">/"},
    {"a": "ß你好👍"},
    {"a": "\n\t\\"},
    {"a": 1, "b": 1.5},
    {"b": {"d": [1, {"c": "x"}], "a": False}, "a": []},
)

RESULTS = ("", "0", '{"a": 1}', "a\n", " a", "ß")

CALL_ID = "callA000{}"
"""Nine characters, which some templates insist on."""


def definition(number: int) -> str:
    """One definition as JSON text, in OpenAI form."""
    return json.dumps({"type": "function", "function": DEFINITIONS[number]}, ensure_ascii=False)


def calling(content: str, arguments: list[dict[str, Any]]) -> Message:
    """An assistant's message that calls a tool once for each of `arguments`."""
    calls = [
        {
            "id": CALL_ID.format(number),
            "type": "function",
            "function": {"name": DEFINITIONS[number % len(DEFINITIONS)]["name"], "arguments": given},
        }
        for number, given in enumerate(arguments)
    ]
    return Message("assistant", content).having(tool_calls=calls)


def result(content: str, number: int) -> Message:
    """The result of call `number` (0-based)."""
    name = DEFINITIONS[number % len(DEFINITIONS)]["name"]
    return Message("tool", content).having(tool_call_id=CALL_ID.format(number), name=name)


def with_text_arguments(message: Message, *, text: bool) -> Message:
    """The same calls with arguments as JSON text, or as objects.

    A call whose arguments are neither, or whose text is no JSON, stays as it is.
    """
    calls = message.tool_calls
    for call in calls:
        function = call.get("function")
        if not isinstance(function, dict):
            continue
        arguments = function.get("arguments")
        if text and isinstance(arguments, dict):
            function["arguments"] = json.dumps(arguments, ensure_ascii=False)
        elif not text and isinstance(arguments, str):
            try:
                function["arguments"] = json.loads(arguments)
            except json.JSONDecodeError:
                continue
    return message.having(tool_calls=calls) if calls else message


def definitions() -> st.SearchStrategy[tuple[str, ...]]:
    """Tools on offer: none, one or all."""
    return st.sampled_from([(), (definition(0),), (definition(1),), (definition(0), definition(1))])


def uses(content: st.SearchStrategy[str]) -> st.SearchStrategy[list[Message]]:
    """A call of one or two tools and what came back."""
    given = st.lists(st.sampled_from(ARGUMENTS), min_size=1, max_size=2)
    return st.builds(_use, st.just("") | content, given, st.tuples(content, content))


def _use(content: str, arguments: list[dict[str, Any]], results: tuple[str, str]) -> list[Message]:
    return [calling(content, arguments), *(result(results[n], n) for n in range(len(arguments)))]
