"""Which tokens can merge across a seam: what is listed is what brute force finds."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest
from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from template_checks.core.tokenizer import Tokenizer
from tests.pieces import (
    GPT2,
    QWEN,
    STOP,
    Pieces,
    brute_force,
    ids,
    is_confirmed,
    listings,
    merging,
    reached,
    targets_of,
    texts_of,
    trained,
    training_texts,
    wrapped,
)
from tests.systems import EXAMPLES


@pytest.mark.parametrize("step", [25, pytest.param(1, marks=pytest.mark.slow)])
def test_every_pair_of_tokens_of_the_embedded_tokenizer(step: int) -> None:
    """With a step, every token comes first still, and is followed by those a step apart."""
    (target,) = targets_of(EXAMPLES / "internlm2" / "template-checks.toml")
    header, *others = listings(target.renderers["training"])
    texts = texts_of(target.tokenizer)
    contents = {a + b for a in texts for b in texts[::step]}
    assert len(contents) > 500_000 / step
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
