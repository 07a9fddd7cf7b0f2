"""Small systems for tests: a target over the embedded tokenizer with renderers written in a line or two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from template_checks.checks.findings import Finding, Outcome
from template_checks.checks.registry import get_checks
from template_checks.config.schema import TargetConfig
from template_checks.config.target import Target
from template_checks.core.content_spans import ContentLocator
from template_checks.core.conversation import Conversation, Purpose
from template_checks.core.rendering import ContentSpan, Encoded, Piece, Rendering, Stop
from template_checks.core.tokenizer import Tokenizer
from template_checks.engine.plan import plan
from template_checks.engine.profiles import Profile
from template_checks.engine.search import Search, SearchOptions
from template_checks.renderers.base import Context, Renderer, RendererOptions, Served
from template_checks.sources.loading import load_tokenizer

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "fixtures" / "examples"

Build = Callable[[list[dict[str, Any]], Purpose], str]
"""(messages, purpose) → text."""

Part = tuple[str, str]
"""(kind, text) with kind in bos, scaffold, user, system, answer, stop; upper case means supervised."""


def few_of(few: int, count: int) -> list[Any]:
    """Seeds 0 to `count`, as parameters; those from `few` on are slow."""
    return [seed if seed < few else pytest.param(seed, marks=pytest.mark.slow) for seed in range(count)]


def embedded_tokenizer(**options: Any) -> Tokenizer:
    return load_tokenizer("tokenizer", folder=EXAMPLES / "internlm2", **options)


def chatml(messages: list[dict[str, Any]], purpose: Purpose) -> str:
    """The honest template: what the embedded tokenizer's own chat template gives."""
    text = "<s>" + "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return text + ("<|im_start|>assistant\n" if purpose == "generate" else "")


class TextRenderer(Renderer):
    """Any function from messages to text; the tokenizer adds special tokens if `special`."""

    type = "text"
    summary = "for tests"

    def __init__(
        self, name: str, context: Context, build: Build, *, special: bool = False, served: Served | None = None
    ) -> None:
        super().__init__(name, RendererOptions(type="text"), context)
        self.build = build
        self.special = special
        self.served = served
        self.layouts: dict[Purpose, ContentLocator] = {
            purpose: ContentLocator(lambda probe, p=purpose: self.build(probe.to_list(), p))
            for purpose in self.purposes
        }

    def render(self, conversation: Conversation, purpose: Purpose) -> Rendering:
        text = self.build(conversation.to_list(), purpose)
        encode = self.tokenizer.encode_with_special if self.special else self.tokenizer.encode
        return Rendering((Piece(text, encode(text)),), self.layouts[purpose].locate(conversation, text))


def chatml_parts(messages: list[dict[str, Any]]) -> list[Part]:
    """The honest training text in parts, answers and their stop tokens supervised."""
    parts = [("bos", "<s>")]
    for message in messages:
        role = message["role"]
        parts.append(("scaffold", f"<|im_start|>{role}\n"))
        parts.append(("ANSWER" if role == "assistant" else role, message["content"]))
        parts.append(("STOP" if role == "assistant" else "scaffold", "<|im_end|>"))
        parts.append(("scaffold", "\n"))
    return parts


class LabelRenderer(Renderer):
    """A training encoder: parts encoded each on its own, with labels."""

    type = "labels"
    summary = "for tests"
    purposes = frozenset({"train"})
    gives_labels = True

    def __init__(
        self, name: str, context: Context, parts: Callable[[list[dict[str, Any]]], list[Part]] = chatml_parts
    ) -> None:
        super().__init__(name, RendererOptions(type="labels"), context)
        self.parts = parts

    def render(self, conversation: Conversation, purpose: Purpose) -> Rendering:
        pieces, contents, position, message = [], [], 0, 0
        for kind, text in self.parts(conversation.to_list()):
            if kind == "bos":
                encoded = Encoded([self.tokenizer.bos_id or 0])
                pieces.append(Piece("", encoded, supervised=False))
                continue
            if kind.lower() in {"user", "system", "answer"}:
                contents.append(ContentSpan(message, position, position + len(text)))
                message += 1
            if text:
                pieces.append(Piece(text, self.tokenizer.encode(text), supervised=kind.isupper()))
            position += len(text)
        return Rendering(tuple(pieces), tuple(contents))


def make_target(
    build_others: Callable[[Context], Sequence[Renderer]],
    *,
    tokenizer: Tokenizer | None = None,
    reference: Build = chatml,
    referee: Callable[[str, Context], Renderer] | None = None,
    **config: Any,
) -> Target:
    """A target with the honest reference (or the renderer that `referee` makes) and other renderers."""
    tokenizer = tokenizer or embedded_tokenizer()
    stops = (Stop("generation_config.json", id=tokenizer.encode("<|im_end|>").ids[0]),)
    context = Context(tokenizer, ROOT, config.get("system"), stop_ids=stops)
    first = referee("chat_template", context) if referee else TextRenderer("chat_template", context, reference)
    renderers: dict[str, Renderer] = {"chat_template": first}
    renderers |= {renderer.name: renderer for renderer in build_others(context)}
    table = TargetConfig(tokenizer="tokenizer", renderers={name: {"type": "text"} for name in renderers}, **config)
    return Target("test", table, tokenizer, renderers, generation_stops=stops)


def findings_of(
    target: Target, *checks: str, draws: int = 30, seed: int = 0
) -> tuple[list[Finding], dict[str, Outcome]]:
    """Run checks over a target: findings, and outcomes by item id."""
    findings: list[Finding] = []
    outcomes: dict[str, Outcome] = {}

    def emit(event: object) -> None:
        if isinstance(event, Finding):
            findings.append(event)
        elif isinstance(event, Outcome):
            outcomes[event.item.id] = event

    items = plan(target, get_checks(checks))
    Search(target, items, SearchOptions(Profile("test", draws, seed, ""), seed), emit).run()
    return findings, outcomes
