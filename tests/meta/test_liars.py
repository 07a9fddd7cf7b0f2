"""Every check is tested by liars, renderers with exactly one defect, and by honest twins on which it is silent."""

from __future__ import annotations

import html
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from template_checks.checks.registry import own_checks
from template_checks.config.target import Target
from template_checks.core.causes import Cause
from template_checks.core.rendering import Stop
from template_checks.renderers.base import Context, Renderer, Served
from template_checks.sources.loading import load_tokenizer
from tests.meta import agent_liars
from tests.meta.liar import Liar
from tests.systems import (
    EXAMPLES,
    LabelRenderer,
    TextRenderer,
    chatml,
    chatml_parts,
    embedded_tokenizer,
    findings_of,
    make_target,
)

Messages = list[dict[str, Any]]


def texts(build: Callable[[Messages, str], str], **options: Any) -> Callable[[], Target]:
    return lambda: make_target(lambda context: [TextRenderer("other", context, build, **options)])


def labels(parts: Callable[[Messages], list[tuple[str, str]]] = chatml_parts) -> Callable[[], Target]:
    return lambda: make_target(lambda context: [LabelRenderer("training", context, parts)])


def served(*stops: Stop) -> Callable[[], Target]:
    return lambda: make_target(lambda context: [TextRenderer("other", context, chatml, served=Served(stops))])


def eoa(*stops: Stop) -> Callable[[], Target]:
    """Training as for the first InternLM: answers end with `<eoa>`, which InternLM2 has no token for."""

    def parts(messages: Messages) -> list[tuple[str, str]]:
        return [(kind, "<eoa>" if kind == "STOP" else text) for kind, text in chatml_parts(messages)]

    def build(context: Context) -> list[Renderer]:
        training = LabelRenderer("training", context, parts)
        training.taught = (Stop("template", text="<eoa>", by_text=True),)
        return [training, TextRenderer("other", context, eoa_text, served=Served(stops))]

    return lambda: make_target(build, reference=eoa_text)


def eoa_text(messages: Messages, purpose: str) -> str:
    ends = {"assistant": "<eoa>"}
    text = "".join(f"<|im_start|>{m['role']}\n{m['content']}{ends.get(m['role'], '<|im_end|>')}\n" for m in messages)
    return "<s>" + text + ("<|im_start|>assistant\n" if purpose == "generate" else "")


def without_bos(messages: Messages, purpose: str) -> str:
    return chatml(messages, purpose).removeprefix("<s>")


def changed(*pairs: tuple[str, str], only: str | None = None) -> Callable[[Messages, str], str]:
    """The honest template with literals of its scaffold changed."""

    def build(messages: Messages, purpose: str) -> str:
        if only not in (None, purpose):
            return chatml(messages, purpose)
        marked = [{**m, "content": f"\ue000{n}\ue001"} for n, m in enumerate(messages)]
        text = chatml(marked, purpose)
        for old, new in pairs:
            text = text.replace(old, new)
        for n, message in enumerate(messages):
            text = text.replace(f"\ue000{n}\ue001", message["content"])
        return text

    return build


def contents(change: Callable[[str], str], role: str | None = None) -> Callable[[Messages, str], str]:
    """The honest template over changed contents."""

    def build(messages: Messages, purpose: str) -> str:
        return chatml(
            [{**m, "content": change(m["content"])} if role in (None, m["role"]) else m for m in messages], purpose
        )

    return build


def stray_spaces_in_the_current_turn(messages: Messages, purpose: str) -> str:
    text = chatml(messages, purpose)
    header = "<|im_start|>assistant\n"
    return text.removesuffix(header) + "    " + header if purpose == "generate" else text


def injected(messages: Messages, purpose: str) -> str:
    if messages[0]["role"] == "system":
        return chatml(messages, purpose)
    return chatml([{"role": "system", "content": "Be kind."}, *messages], purpose)


def dropped_system(messages: Messages, purpose: str) -> str:
    return chatml([m for m in messages if m["role"] != "system"], purpose)


def history_stripped(messages: Messages, purpose: str) -> str:
    """A UI that trims what was said before, but not what is said now."""
    return chatml([*({**m, "content": m["content"].strip()} for m in messages[:-1]), messages[-1]], purpose)


def relabelled(**kinds: str) -> Callable[[Messages], list[tuple[str, str]]]:
    return lambda messages: [(kinds.get(kind, kind), text) for kind, text in chatml_parts(messages)]


def bos_each_turn(messages: Messages) -> list[tuple[str, str]]:
    parts = []
    for n, (kind, text) in enumerate(chatml_parts(messages)):
        if kind == "scaffold" and text.startswith("<|im_start|>user") and n > 1:
            parts.append(("bos", "<s>"))
        parts.append((kind, text))
    return parts


def pieces(context: Context) -> list[Renderer]:
    return [LabelRenderer("training", context)]


def tokenizer_target(*, repair: bool) -> Callable[[], Target]:
    """A tokenizer whose vocabulary holds `<|im_end|>` under another name than its config declares."""

    def build() -> Target:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "tokenizer"
            shutil.copytree(EXAMPLES / "internlm2" / "tokenizer", folder)
            file = folder / "tokenizer.json"
            data = json.loads(file.read_text(encoding="utf-8"))
            vocabulary = data["model"]["vocab"]
            vocabulary["[UNUSED_TOKEN_145]"] = vocabulary.pop("<|im_end|>")
            data["added_tokens"] = [token for token in data["added_tokens"] if token["content"] != "<|im_end|>"]
            file.write_text(json.dumps(data), encoding="utf-8")
            tokenizer = load_tokenizer(str(folder), folder=folder, repair=repair)
        return make_target(lambda _context: [], tokenizer=tokenizer)

    return build


im_end = embedded_tokenizer().encode("<|im_end|>").ids[0]

LIARS = [
    Liar(
        "stray spaces",
        "same-text",
        Cause.SCAFFOLD_WHITE_SPACE,
        texts(stray_spaces_in_the_current_turn),
        texts(chatml),
        1,
    ),
    Liar(
        "no newline after the header",
        "same-text",
        Cause.MISSING_NEWLINE,
        texts(changed(("assistant\n", "assistant"))),
        texts(chatml),
        1,
    ),
    Liar("another marker", "same-text", Cause.OTHER_MARKER, texts(changed(("<|im_end|>", "<eoa>"))), texts(chatml), 1),
    Liar(
        "no end of turn for the user",
        "same-text",
        Cause.MISSING_SCAFFOLD,
        texts(changed(("user\n\ue0000\ue001<|im_end|>", "user\n\ue0000\ue001"))),
        texts(chatml),
        1,
    ),
    Liar(
        "newline behind the last answer",
        "same-text",
        Cause.TAIL,
        texts(lambda m, p: chatml(m, p).rstrip("\n") if p == "train" else chatml(m, p)),
        texts(chatml),
        2,
        "advisory",
    ),
    Liar("tokenized in pieces", "same-tokens", Cause.SEAM, lambda: make_target(pieces), texts(chatml)),
    Liar(
        "BOS as text and added",
        "same-tokens",
        Cause.DUPLICATED_BOS,
        texts(chatml, special=True),
        texts(without_bos, special=True),
        1,
    ),
    Liar("no BOS", "same-tokens", Cause.MISSING_BOS, texts(without_bos), texts(without_bos, special=True), 1),
    Liar("BOS twice at the start", "single-bos", Cause.DUPLICATED_BOS, texts(chatml, special=True), texts(chatml), 1),
    Liar("BOS missing", "single-bos", Cause.MISSING_BOS, texts(without_bos), texts(chatml), 1),
    Liar("BOS in front of every turn", "single-bos", Cause.DUPLICATED_BOS, labels(bos_each_turn), labels(), 4),
    Liar("contents trimmed", "content-verbatim", Cause.STRIPPED_CONTENT, texts(contents(str.strip)), texts(chatml), 1),
    Liar("contents escaped", "content-verbatim", Cause.ALTERED_CONTENT, texts(contents(html.escape)), texts(chatml), 1),
    Liar("system dropped", "content-verbatim", Cause.DROPPED_CONTENT, texts(dropped_system), texts(chatml), 2),
    Liar(
        "line ends normalised",
        "content-verbatim",
        Cause.STRIPPED_CONTENT,
        texts(contents(lambda c: c.replace("\r\n", "\n"))),
        texts(chatml),
        1,
    ),
    Liar("system text injected", "system-injected", Cause.INJECTED_SYSTEM, texts(injected), texts(chatml), 1),
    Liar(
        "special token under another name",
        "special-ids",
        Cause.SPECIAL_TOKEN_MOVED,
        tokenizer_target(repair=False),
        tokenizer_target(repair=True),
        0,
    ),
    Liar(
        "answer without end",
        "stop-after-answer",
        Cause.MISSING_STOP,
        texts(changed(("\ue0001\ue001<|im_end|>", "\ue0001\ue001"))),
        texts(chatml),
    ),
    Liar(
        "newline before the end",
        "stop-after-answer",
        Cause.MISSING_STOP,
        texts(changed(("\ue0001\ue001<|im_end|>", "\ue0001\ue001\n<|im_end|>"))),
        texts(chatml),
    ),
    Liar(
        "end of another model",
        "stop-after-answer",
        Cause.MISSING_STOP,
        texts(changed(("<|im_end|>", "<eoa>"))),
        texts(chatml),
    ),
    Liar("stop masked", "stop-trained", Cause.STOP_NOT_TRAINED, labels(relabelled(STOP="stop")), labels()),
    Liar(
        "server halts elsewhere",
        "stop-served",
        Cause.STOP_NOT_SERVED,
        served(Stop("server.py:1", id=2)),
        served(Stop("server.py:1", id=im_end)),
    ),
    Liar(
        "server halts nowhere",
        "stop-served",
        Cause.STOP_NOT_SERVED,
        served(),
        served(Stop("server.py:1", text="<|im_end|>", by_text=True)),
    ),
    Liar(
        "training teaches a string, the server halts on ids",
        "stop-served",
        Cause.STOP_NOT_SERVED,
        eoa(Stop("server.py:1", id=im_end)),
        eoa(Stop("server.py:1", text="<eoa>", by_text=True)),
    ),
    Liar(
        "stop is four tokens",
        "stop-known",
        Cause.STOP_NOT_A_TOKEN,
        lambda: make_target(lambda _c: [], stops=("<eoa>",)),
        lambda: make_target(lambda _c: [], stops=("<|im_end|>",)),
        0,
    ),
    Liar(
        "stop string is four tokens",
        "stop-known",
        Cause.STOP_NOT_A_TOKEN,
        lambda: make_target(lambda _c: [], stop_strings=("<eoa>",)),
        lambda: make_target(lambda _c: [], stop_strings=("<|im_end|>",)),
        0,
        "advisory",
    ),
    Liar(
        "stop of a larger vocabulary",
        "stop-known",
        Cause.STOP_OUTSIDE_VOCABULARY,
        lambda: make_target(lambda _c: [], stops=(103028,)),
        lambda: make_target(lambda _c: [], stops=(im_end,)),
        0,
    ),
    Liar("prompt supervised", "loss-on-answers-only", Cause.TRAINED_PROMPT, labels(relabelled(user="USER")), labels()),
    Liar(
        "scaffold supervised",
        "loss-on-answers-only",
        Cause.TRAINED_PROMPT,
        labels(relabelled(scaffold="SCAFFOLD")),
        labels(),
    ),
    Liar("answer masked", "loss-on-answers-only", Cause.MASKED_ANSWER, labels(relabelled(ANSWER="answer")), labels()),
    Liar(
        "spaces in the current turn only",
        "prefix-stable",
        Cause.SCAFFOLD_WHITE_SPACE,
        texts(stray_spaces_in_the_current_turn),
        texts(chatml),
    ),
    Liar("history trimmed", "prefix-stable", Cause.STRIPPED_CONTENT, texts(history_stripped), texts(chatml)),
    *agent_liars.LIARS,
]


@pytest.mark.parametrize("liar", LIARS, ids=lambda liar: f"{liar.check}: {liar.name}")
def test_a_liar_is_caught(liar: Liar) -> None:
    findings, _ = findings_of(liar.lie(), liar.check)
    caught = [f for f in findings if f.mismatch.cause is liar.cause and f.mismatch.severity == liar.severity]
    assert caught, f"{liar.check} is silent; found {[f.mismatch.summary for f in findings]}"
    conversations = [finding.mismatch.conversation for finding in caught]
    lengths = [len(conversation.messages) if conversation else 0 for conversation in conversations]
    assert min(lengths) == liar.messages, f"shrunk to {conversations}"
    for conversation in conversations:
        contents = [message.content for message in conversation.messages] if conversation else []
        assert all(len(content) <= 3 for content in contents), contents


@pytest.mark.parametrize("liar", LIARS, ids=lambda liar: f"{liar.check}: {liar.name}")
def test_its_honest_twin_is_not(liar: Liar) -> None:
    findings, outcomes = findings_of(liar.honest(), liar.check)
    wrong = [
        finding.mismatch.summary
        for finding in findings
        if finding.mismatch.cause is liar.cause and finding.mismatch.severity == liar.severity
    ]
    assert not wrong
    exercised = [outcome for outcome in outcomes.values() if outcome.examples]
    assert exercised, "silent because nothing reached the check"


def test_every_check_of_ours_has_a_liar() -> None:
    assert {liar.check for liar in LIARS} == set(own_checks())
