"""Which tokens can merge across a seam: single cases, each with a reason of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tokenizers import AddedToken, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from template_checks.core.conversation import Conversation, Purpose
from template_checks.core.errors import ArtefactError
from template_checks.core.rendering import ContentSpan, Piece, Rendering
from template_checks.core.tokenizer import Tokenizer
from template_checks.seams.find import find_seams, seams_in
from template_checks.seams.vocabulary import Vocabulary
from tests.pieces import (
    GPT2,
    QWEN,
    STOP,
    Pieces,
    ids,
    is_confirmed,
    listings,
    merging,
)
from tests.systems import embedded_tokenizer


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
