"""Liars among the systems that know tools, reasoning and parts, and among those that render again."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from template_checks.config.target import Target
from template_checks.core.causes import Cause
from template_checks.core.errors import RenderError
from template_checks.sources.loading import load_tokenizer
from tests.agents import END, HEADER, AgentBuild, AgentRenderer, Given, agent, arguments, calls, content, turn
from tests.meta.liar import Liar
from tests.systems import EXAMPLES, embedded_tokenizer, make_target


def agents(build: AgentBuild, reference: AgentBuild = agent, **options: Any) -> Callable[[], Target]:
    """An honest reference, unless said otherwise, and another system."""
    return lambda: make_target(
        lambda context: [AgentRenderer("other", context, build, **options)],
        referee=lambda name, context: AgentRenderer(name, context, reference),
    )


def alone(build: AgentBuild) -> Callable[[], Target]:
    return lambda: make_target(lambda _context: [], referee=lambda name, context: AgentRenderer(name, context, build))


def each(change: Callable[[dict[str, Any]], str]) -> AgentBuild:
    """The honest system with another way to write a turn."""

    def build(given: Given) -> str:
        text = agent({**given, "messages": []}).removesuffix(HEADER)
        text += "".join(map(change, given["messages"]))
        if given["continued"]:
            return text.removesuffix(END)
        return text + (HEADER if given["purpose"] == "generate" else "")

    return build


def no_generation_prompt(given: Given) -> str:
    return agent({**given, "purpose": "train"})


def header_without_newline(given: Given) -> str:
    text = agent(given)
    return text.removesuffix("\n") if given["purpose"] == "generate" else text


def begun(given: Given) -> str:
    return agent(given) + ("<think>" if given["purpose"] == "generate" else "")


def continued_at_the_first(given: Given) -> str:
    """Looks for the last answer from the front."""
    if not given["continued"]:
        return agent(given)
    text, last = agent({**given, "continued": False}), content(given["messages"][-1])
    return text[: text.index(last) + len(last)]


def continued_stripped(given: Given) -> str:
    return agent(given).rstrip() if given["continued"] else agent(given)


def counting() -> AgentBuild:
    numbers = itertools.count()
    return lambda given: agent(given).replace("<s>", f"<s>{next(numbers)}")


def tools_into_the_first_message(given: Given) -> str:
    if given["tools"]:
        first = given["messages"][0]
        first["content"] = f"{json.dumps(given['tools'])}{content(first)}"
    return agent({**given, "tools": None})


def roles_renamed_in_place(given: Given) -> str:
    text = agent(given)
    for message in given["messages"]:
        message.setdefault("name", message["role"])
    return text


def dated(given: Given) -> str:
    return agent(given).replace("<s>", f"<s>{date.today().isoformat()}")


IMPORTED = date.today().isoformat()


def dated_when_imported(given: Given) -> str:
    return agent(given).replace("<s>", f"<s>{IMPORTED}")


def in_python(message: dict[str, Any]) -> str:
    return turn({**message, "tool_calls": None}).removesuffix(END) + calls(message, str) + END


def text_only(message: dict[str, Any]) -> str:
    for call in message.get("tool_calls") or ():
        if not isinstance(call["function"]["arguments"], dict):
            raise RenderError("'str' has no items")
    return turn(message)


def text_in_text(message: dict[str, Any]) -> str:
    written = calls(message, lambda value: json.dumps(value, ensure_ascii=False))
    return turn({**message, "tool_calls": None}).removesuffix(END) + written + END


def indented(message: dict[str, Any]) -> str:
    """Another way to write JSON, at the very end of a training text that ends with a call."""
    written = calls(message, lambda value: json.dumps(value, ensure_ascii=False, indent=1))
    return turn({**message, "tool_calls": None}).removesuffix(END) + written + END


def call_without_name(message: dict[str, Any]) -> str:
    written = "".join("\n" + arguments(call["function"]["arguments"]) for call in message.get("tool_calls") or ())
    return turn({**message, "tool_calls": None}).removesuffix(END) + written + END


def escaped_tools(given: Given) -> str:
    return agent(given).replace("&", "&amp;") if given["tools"] else agent(given)


def without_tools(given: Given) -> str:
    return agent({**given, "tools": None})


def parts_as_list(message: dict[str, Any]) -> str:
    return turn({**message, "content": str(message["content"])})


def parts_on_lines(message: dict[str, Any]) -> str:
    parts = message["content"]
    return turn({**message, "content": parts if isinstance(parts, str) else "\n".join(p["text"] for p in parts)})


def last_part(message: dict[str, Any]) -> str:
    parts = message["content"]
    return turn({**message, "content": parts if isinstance(parts, str) else parts[-1]["text"]})


def without_reasoning(message: dict[str, Any]) -> str:
    return turn({**message, "reasoning_content": None})


def think_twice(message: dict[str, Any]) -> str:
    """Opens a block in front of an answer that has one."""
    text = turn(message)
    return text.replace(HEADER, HEADER + "<think>\n") if "<think>" in text else text


def guarded(given: Given) -> str:
    """Control tokens in contents, calls and tools are taken apart."""

    def apart(value: Any) -> Any:
        return json.loads(re.sub(r"<(/?s|unk|\|\w+\|)>", r"< \1>", json.dumps(value, ensure_ascii=False)))

    return agent({**given, "messages": apart(given["messages"]), "tools": apart(given["tools"])})


def padding(pad: str) -> Callable[[], Target]:
    """The honest system whose collator masks padding, with this padding token."""

    def build() -> Target:
        tokenizer = embedded_tokenizer()
        tokenizer.hf.pad_token = pad
        return make_target(lambda context: [AgentRenderer("other", context, masks_padding=True)], tokenizer=tokenizer)

    return build


def lossy(*, lossy: bool) -> Callable[[], Target]:
    """A tokenizer whose normalizer composes letters, or not."""

    def build() -> Target:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "tokenizer"
            shutil.copytree(EXAMPLES / "internlm2" / "tokenizer", folder)
            file = folder / "tokenizer.json"
            data = json.loads(file.read_text(encoding="utf-8"))
            if lossy:
                data["decoder"]["decoders"].append({"type": "Strip", "content": "\n", "start": 0, "stop": 1})
            file.write_text(json.dumps(data), encoding="utf-8")
            tokenizer = load_tokenizer(str(folder), folder=folder)
        return make_target(lambda _context: [], tokenizer=tokenizer)

    return build


class Slow:
    """Stands in for a tokenizer in Python; test_slow_fast.py has a real one."""

    is_fast = False

    def __init__(self, change: Callable[[str], str]) -> None:
        self.change = change
        self.tokenizer = embedded_tokenizer()

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": list(self.tokenizer.encode(self.change(text)).ids)}


def slow(change: Callable[[str], str]) -> Callable[[], Target]:
    def build() -> Target:
        tokenizer = embedded_tokenizer()
        tokenizer.slow = lambda: Slow(change)  # type: ignore[method-assign]
        return make_target(lambda _context: [], tokenizer=tokenizer)

    return build


HONEST = agents(agent)
LIARS = [
    Liar(
        "no generation prompt", "generation-prompt", Cause.NO_GENERATION_PROMPT, agents(no_generation_prompt), HONEST, 2
    ),
    Liar(
        "no generation prompt in the reference",
        "generation-prompt",
        Cause.NO_GENERATION_PROMPT,
        alone(no_generation_prompt),
        alone(agent),
        2,
    ),
    Liar("header cut", "generation-prompt", Cause.CUT_GENERATION_PROMPT, agents(header_without_newline), HONEST, 2),
    Liar("answer begun", "generation-prompt", Cause.BEGUN_ANSWER, agents(begun), HONEST, 2),
    Liar(
        "answer begun in the reference",
        "generation-prompt",
        Cause.BEGUN_ANSWER,
        alone(begun),
        alone(agent),
        2,
        "advisory",
    ),
    Liar(
        "continued at the first that says the same",
        "continue-final",
        Cause.CONTINUED_ELSEWHERE,
        agents(continued_at_the_first),
        HONEST,
    ),
    Liar(
        "continued without its last newline",
        "continue-final",
        Cause.CONTINUED_ELSEWHERE,
        agents(continued_stripped),
        HONEST,
    ),
    Liar("counts its calls", "deterministic", Cause.NOT_REPEATABLE, alone(counting()), alone(agent), 1),
    Liar(
        "tools into a message", "input-unchanged", Cause.INPUT_CHANGED, agents(tools_into_the_first_message), HONEST, 1
    ),
    Liar("adds a key", "input-unchanged", Cause.INPUT_CHANGED, agents(roles_renamed_in_place), HONEST, 1),
    Liar("dated", "date-free", Cause.CLOCK, alone(dated), alone(agent), 1, "advisory"),
    Liar("dated, the reference is not", "date-free", Cause.CLOCK, agents(dated), HONEST, 1),
    Liar(
        "date of the import",
        "date-free",
        Cause.FROZEN_DATE,
        agents(dated_when_imported, dated),
        agents(dated, dated),
        1,
    ),
    Liar("Python for JSON", "tool-arguments", Cause.ARGUMENTS_REWRITTEN, agents(each(in_python)), HONEST),
    Liar("Python in the reference", "tool-arguments", Cause.ARGUMENTS_REWRITTEN, alone(each(in_python)), alone(agent)),
    Liar("no JSON text", "tool-arguments", Cause.ARGUMENTS_REFUSED, agents(each(text_only)), HONEST),
    Liar("JSON text in JSON text", "tool-arguments", Cause.ARGUMENTS_REWRITTEN, agents(each(text_in_text)), HONEST),
    Liar("JSON with indentation", "same-text", Cause.JSON_STYLE, agents(each(indented)), HONEST),
    Liar("call without name", "tools-verbatim", Cause.DROPPED_TOOL, agents(each(call_without_name)), HONEST),
    Liar("tools escaped", "tools-verbatim", Cause.DROPPED_TOOL, agents(escaped_tools), HONEST, 1),
    Liar("tools dropped", "tools-verbatim", Cause.DROPPED_TOOL, agents(without_tools), HONEST, 1),
    Liar(
        "tools dropped by all", "tools-verbatim", Cause.DROPPED_TOOL, alone(without_tools), alone(agent), 1, "advisory"
    ),
    Liar("parts as a list", "content-parts", Cause.PARTS_REWRITTEN, agents(each(parts_as_list)), HONEST, 1),
    Liar("parts on lines", "content-parts", Cause.PARTS_REWRITTEN, agents(each(parts_on_lines)), HONEST, 1),
    Liar("the last part only", "content-parts", Cause.PARTS_REWRITTEN, agents(each(last_part)), HONEST, 1),
    Liar("thinks twice", "reasoning-once", Cause.REASONING_DOUBLED, agents(each(think_twice)), HONEST),
    Liar("reasoning dropped", "reasoning-once", Cause.REASONING_DROPPED, agents(each(without_reasoning)), HONEST),
    Liar(
        "control tokens let through",
        "control-injected",
        Cause.INJECTED_CONTROL,
        agents(agent, guarded),
        agents(guarded, guarded),
        1,
    ),
    Liar(
        "control tokens let through by all",
        "control-injected",
        Cause.INJECTED_CONTROL,
        alone(agent),
        alone(guarded),
        1,
        "advisory",
    ),
    Liar("the stop pads", "stop-not-padding", Cause.STOP_IS_PADDING, padding("<|im_end|>"), padding("<unk>")),
    Liar("lossy decoder", "round-trip", Cause.LOSSY_DECODING, lossy(lossy=True), lossy(lossy=False), 1, "advisory"),
    Liar(
        "a space behind control tokens",
        "slow-fast",
        Cause.OTHER_TOKENIZER,
        slow(lambda text: re.sub(r"(<\|\w+\|>)(\w)", r"\1 \2", text)),
        slow(str),
        0,
    ),
]
