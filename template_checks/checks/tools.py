"""Family tools: definitions, calls and arguments are in the prompt as they were given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from template_checks.checks.base import CheckResult, Mismatch, NotExercised, Severity, mismatch_at
from template_checks.checks.case import Case
from template_checks.checks.registry import case_check
from template_checks.checks.variants import VariantResult
from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation
from template_checks.core.display import shortened, visible
from template_checks.core.errors import RenderError, Unsupported
from template_checks.core.rendering import Rendering
from template_checks.divergence.alignment import TokenRange


@case_check(
    "tools",
    "The names and descriptions of tools, and the names of called ones, are in the text.",
    needs=("tools", "tool-calls"),
)
def tools_verbatim(case: Case) -> CheckResult:
    """Looks for the name and every text of each tool on offer, and for the name of each tool that is called.

    A text may be there as it is or as JSON writes it. A template that never reads `tools`, or escapes them for HTML,
    shows the model other tools than the server has. What the reference leaves out too is advisory.
    """
    rendering, conversation = case.rendering, case.conversation
    if not rendering.has_text or not ({"tools", "tool-calls"} & conversation.features):
        return NotExercised("no tools in the conversation")
    missing = _missing(conversation, rendering)
    if not missing:
        return []
    known = {} if case.reference is None or case.is_reference else _missing(conversation, case.reference)
    return [
        _mismatch(case, Cause.DROPPED_TOOL, (what,), f"{what} “{shortened(visible(text), 30)}” is not in the text", own)
        for what, text in missing.items()
        for own in [case.is_reference or what in known]
    ]


@case_check(
    "tools",
    "The arguments of a call are rendered alike as an object and as JSON text, and stay JSON.",
    variants=("text arguments",),
    needs=("tool-calls",),
)
def tool_arguments(case: Case) -> CheckResult:
    """Renders each call twice: with its arguments as an object and as JSON text, the form of OpenAI's interface.

    Both must render, and in both the arguments must be found: as JSON that says the same, or each value on its own.
    Python's `{'a': True}` is no JSON; JSON text inside a JSON string is another thing than the object it describes.
    JSON text that the reference refuses or rewrites as well is advisory.
    """
    if not any(message.tool_calls for message in case.conversation.messages):
        return NotExercised("no tool is called")
    conversation = case.conversation
    verdicts = _judged(conversation, case.rendering, case.variant("text arguments"))
    own = (
        verdicts
        if case.is_reference
        else _judged(conversation, case.reference, case.reference_variant("text arguments"))
    )
    found = []
    for form, verdict in verdicts.items():
        if verdict is None:
            continue
        cause, how = verdict
        severity_own = own[form] is not None and not (form == "an object" and cause is Cause.ARGUMENTS_REWRITTEN)
        found.append(_mismatch(case, cause, (form,), f"arguments given as {form} {how}", severity_own))
    return found


def _judged(
    conversation: Conversation, as_object: VariantResult, as_text: VariantResult
) -> dict[str, tuple[Cause, str] | None]:
    """What is wrong with the arguments, by the form in which they were given."""
    return {"an object": _judge(conversation, as_object), "JSON text": _judge(conversation, as_text)}


def _judge(conversation: Conversation, result: VariantResult) -> tuple[Cause, str] | None:
    """What is wrong with the arguments in a rendering; None where nothing is, or nothing is to be seen."""
    if isinstance(result, (Unsupported, RenderError)):
        return Cause.ARGUMENTS_REFUSED, f"are refused: {shortened(visible(str(result)), 60)}"
    if not isinstance(result, Rendering) or not result.has_text:
        return None
    objects = list(_objects(result.text))
    texts = [text for value in objects for text in value.values() if isinstance(text, str)]
    for message in conversation.messages:
        for call in message.tool_calls:
            arguments = call.get("function", {}).get("arguments")
            if not isinstance(arguments, dict) or arguments in objects:
                continue
            wanted = shortened(visible(json.dumps(arguments, ensure_ascii=False)), 40)
            if any(_says(text, arguments) for text in texts):
                return Cause.ARGUMENTS_REWRITTEN, f"are text within JSON: {wanted}"
            if not all(_written(leaf, result.text) for leaf in _leaves(arguments)):
                return Cause.ARGUMENTS_REWRITTEN, f"are not JSON: {wanted}"
    return None


def _says(text: str, arguments: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(text) == arguments)
    except json.JSONDecodeError:
        return False


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every JSON object in a text, and those inside it."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            end = at + 1
        else:
            yield from _within(value)
        at = text.find("{", end)


def _within(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _within(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _within(inner)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _written(value: Any, text: str) -> bool:
    """Does the text hold a value as it is, or as JSON writes it?"""
    if not isinstance(value, str):
        return json.dumps(value) in text
    forms = (value, json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(value)[1:-1])
    return any(form in text for form in forms)


def _missing(conversation: Conversation, rendering: Rendering) -> dict[str, str]:
    """What is not there (in words) → its text; the first of each kind."""
    missing: dict[str, str] = {}
    for tool in conversation.tool_list():
        function = tool.get("function", tool)
        for key, text in _texts(function):
            if not _written(text, rendering.text):
                missing.setdefault("a tool's name" if key == "name" else "a tool's text", text)
    for message in conversation.messages:
        for call in message.tool_calls:
            name = call.get("function", {}).get("name", "")
            if not _written(name, rendering.text):
                missing.setdefault("a called tool's name", name)
    return missing


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for inner_key, inner in value.items():
            if inner_key != "type":
                yield from _texts(inner, inner_key)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)
    elif isinstance(value, str):
        yield key, value


def _mismatch(case: Case, cause: Cause, detail: tuple[str, ...], summary: str, own: bool) -> Mismatch:
    severity: Severity = "advisory" if own else "blocking"
    return mismatch_at(case, cause, detail, summary, "the tools", TokenRange(0, 0), severity=severity)
