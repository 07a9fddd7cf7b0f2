"""The xtuner renderer: pieces, labels, contents, BOS and EOS, on templates of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from template_checks.core.conversation import Conversation
from template_checks.core.errors import ArtefactError, RenderError, Unsupported
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.xtuner.encode import class_name_in_training
from tests.xtuner import ANSWERED, ASKED, CHATML, EOS_EACH_TURN, located, make, tiny


def test_each_string_is_tokenized_on_its_own(byte_level: Tokenizer) -> None:
    rendering = make(byte_level, CHATML).render(Conversation.of(("user", ""), ("assistant", "\n")), "train")
    assert [(piece.text, piece.supervised) for piece in rendering.pieces] == [
        ("", False),
        ("<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n", False),
        ("\n<|im_end|>", True),
        ("\n", False),
    ]
    whole = byte_level.encode(rendering.text).ids
    assert rendering.ids[1:] != whole, "a seam: across the pieces the two newlines would be one token"
    assert len(rendering.ids[1:]) == len(whole) + 1


def test_labels_are_answer_suffix_and_eos(byte_level: Tokenizer) -> None:
    rendering = make(byte_level, EOS_EACH_TURN).render(ANSWERED, "train")
    supervised = [i for i in rendering.labels or () if i != -100]
    assert supervised == [*byte_level.encode("yo.").ids, byte_level.eos_id]
    assert rendering.ids[0] == byte_level.bos_id


def test_bos_stands_again_where_eos_ended_a_turn(byte_level: Tokenizer) -> None:
    twice = Conversation.of(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    assert make(byte_level, EOS_EACH_TURN).render(twice, "train").ids.count(byte_level.bos_id) == 2
    assert make(byte_level, CHATML).render(twice, "train").ids.count(byte_level.bos_id) == 1


@pytest.mark.parametrize("template", [CHATML, EOS_EACH_TURN], ids=["chatml", "eos"])
def test_a_prompt_is_what_stood_before_the_answer(byte_level: Tokenizer, template: Any) -> None:
    renderer = make(byte_level, template)
    for before in (ASKED, Conversation((*ANSWERED.messages, *Conversation.of(("user", "more")).messages))):
        prompt = renderer.render(before, "generate")
        for answer in ("", "\n", "fine"):
            whole = Conversation((*before.messages, *Conversation.of(("assistant", answer)).messages))
            rendering = renderer.render(whole, "train")
            assert rendering.ids[: len(prompt.ids)] == prompt.ids
            assert rendering.text.startswith(prompt.text)


def test_masked_answers_are_not_supervised(byte_level: Tokenizer) -> None:
    renderer = make(byte_level, CHATML)
    for key, value in (("output_with_loss", False), ("loss", False), ("loss", "no"), ("output_with_loss", 0)):
        data = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", key: value}]
        assert set(renderer.render(Conversation.from_list(data), "train").labels or ()) == {-100}


def test_contents_are_located(byte_level: Tokenizer) -> None:
    renderer = make(byte_level, {**CHATML, "INSTRUCTION": "{{{round}}} {input} }}<|im_start|>assistant\n"})
    conversation = Conversation.of(
        ("system", "s{"), ("user", "{input}"), ("assistant", ""), ("user", ""), ("assistant", "b")
    )
    rendering = renderer.render(conversation, "train")
    assert located(rendering) == {0: "s{", 1: "{input}", 2: "", 3: "", 4: "b"}
    assert "{1} {input} }<" in rendering.text and "{2}  }<" in rendering.text
    assert rendering.token_spans is not None


@pytest.mark.parametrize(
    "instruction", ["{input} again {input}", "{input!r}", "{input:>5}"], ids=["twice", "repr", "padded"]
)
def test_contents_that_cannot_be_located_are_not_guessed(byte_level: Tokenizer, instruction: str) -> None:
    renderer = make(byte_level, {"INSTRUCTION": instruction})
    rendering = renderer.render(Conversation.of(("user", "hi")), "generate")
    assert rendering.text == instruction.format(input="hi")
    assert rendering.contents is None


def test_a_template_without_a_place_for_the_input_leaves_it_out(byte_level: Tokenizer) -> None:
    rendering = make(byte_level, {"INSTRUCTION": "go"}).render(
        Conversation.of(("user", "hi"), ("assistant", "yo")), "train"
    )
    assert located(rendering) == {1: "yo"}


def test_empty_strings_give_no_pieces(byte_level: Tokenizer) -> None:
    renderer = make(byte_level, {"INSTRUCTION": "{input}", "SUFFIX_AS_EOS": True})
    rendering = renderer.render(Conversation.of(("user", ""), ("assistant", "")), "train")
    assert rendering.ids == (byte_level.bos_id,)
    assert located(rendering) == {0: "", 1: ""}


def test_an_empty_system_message_is_dropped(byte_level: Tokenizer) -> None:
    rendering = make(byte_level, CHATML).render(Conversation.of(("system", ""), ("user", "a")), "generate")
    assert located(rendering) == {1: "a"}
    assert "system" not in rendering.text


def test_a_system_message_may_stand_before_any_user_message(byte_level: Tokenizer) -> None:
    conversation = Conversation.of(("user", "a"), ("assistant", "b"), ("system", "s"), ("user", "c"))
    rendering = make(byte_level, CHATML).render(conversation, "generate")
    assert located(rendering) == {0: "a", 1: "b", 2: "s", 3: "c"}


def test_messages_are_turned_as_openai_map_fn_turns_them(byte_level: Tokenizer) -> None:
    renderer = make(byte_level, CHATML)
    joined = renderer.render(Conversation.of(("user", "a"), ("user", "b")), "generate")
    assert "user\nab<" in joined.text
    assert located(joined) == {0: "a", 1: "b"}
    skipped = renderer.render(Conversation.of(("assistant", "x"), ("user", "a")), "generate")
    assert located(skipped) == {1: "a"}
    replaced = renderer.render(Conversation.of(("system", "x"), ("system", "y"), ("user", "a")), "generate")
    assert located(replaced) == {1: "y", 2: "a"}
    moved = renderer.render(Conversation.of(("user", "a"), ("system", "y")), "generate")
    assert moved.text.startswith("<|im_start|>system\ny") and moved.contents is None


@pytest.mark.parametrize(
    ("messages", "purpose", "reason"),
    [
        ([("user", "a")], "train", "last assistant"),
        ([("user", "a"), ("assistant", "b")], "generate", "continues"),
        ([("assistant", "b")], "train", "come first"),
        ([("tool", "b"), ("user", "a")], "generate", "'tool'"),
        ([("user", "a"), ("developer", "b")], "generate", "'developer'"),
    ],
)
def test_what_xtuner_cannot_express(
    byte_level: Tokenizer, messages: list[tuple[str, str]], purpose: Any, reason: str
) -> None:
    with pytest.raises(Unsupported, match=reason):
        make(byte_level, CHATML).render(Conversation.of(*messages), purpose)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]},
        {"role": "assistant", "content": "", "reasoning_content": "hm"},
        {"role": "user", "content": "a", "name": "Ada"},
        {"role": "user", "content": "a", "output_with_loss": False},
        {"role": "assistant", "content": "", "loss": True, "output_with_loss": True},
    ],
)
def test_fields_xtuner_has_no_place_for(byte_level: Tokenizer, message: dict[str, Any]) -> None:
    data = [{"role": "user", "content": "q"}, message, {"role": "assistant", "content": "b"}]
    with pytest.raises(Unsupported, match=r"no place for|single switch"):
        make(byte_level, CHATML).render(Conversation.from_list(data), "train")


def test_a_template_without_system(byte_level: Tokenizer) -> None:
    renderer = make(byte_level, {"INSTRUCTION": "{input}"})
    with pytest.raises(Unsupported, match="no SYSTEM; XTuner raises AttributeError"):
        renderer.render(ASKED, "generate")
    assert renderer.render(Conversation.of(("system", ""), ("user", "a")), "generate").text == "a"


def test_a_content_that_the_template_cannot_take(byte_level: Tokenizer) -> None:
    renderer = make(byte_level, {"INSTRUCTION": "{input[0]}"})
    assert renderer.render(Conversation.of(("user", "hi")), "generate").text == "h"
    with pytest.raises(RenderError, match="IndexError"):
        renderer.render(Conversation.of(("user", "")), "generate")


def test_truncation_cuts_ids_text_and_contents(byte_level: Tokenizer) -> None:
    whole = make(byte_level, EOS_EACH_TURN).render(ANSWERED, "train")
    for length in range(1, len(whole.ids) + 2):
        rendering = make(byte_level, EOS_EACH_TURN, max_length=length).render(ANSWERED, "train")
        assert rendering.ids == whole.ids[:length]
        assert rendering.labels == (whole.labels or ())[:length]
        assert whole.text.startswith(rendering.text)
        assert rendering.contents is not None
        assert all(span.end <= len(rendering.text) for span in rendering.contents)
        assert rendering.token_spans == (whole.token_spans or [])[:length]
    with pytest.raises(Unsupported, match="max_length 3"):
        make(byte_level, EOS_EACH_TURN, max_length=3).render(ASKED, "generate")


def named(name: str) -> type[Any]:
    return type(name, (PreTrainedTokenizerFast,), {})


@pytest.mark.parametrize("name", ["QWenTokenizer", "QWen2Tokenizer", "Qwen2TokenizerFast"])
def test_qwen_gets_no_bos(name: str) -> None:
    rendering = make(tiny(named(name)), CHATML).render(ASKED, "generate")
    assert [piece.text != "" for piece in rendering.pieces] == [True]


def test_chatglm_gets_two_ids() -> None:
    assert make(tiny(named("ChatGLMTokenizer")), CHATML).render(ASKED, "generate").ids[:2] == (64790, 64792)


def test_qwen2_counts_as_the_class_it_has_under_transformers_4_48() -> None:
    """XTuner's list has `Qwen2TokenizerFast`; transformers 5 names that class `Qwen2Tokenizer`.

    XTuner 0.2.0 runs on 4.48, where AutoTokenizer gives the fast class. The slow one keeps its name, is not
    on the list, and has no BOS: there XTuner fails.
    """
    fast = tiny(named("Qwen2Tokenizer"), eos_token="</s>")
    assert class_name_in_training(fast) == "Qwen2TokenizerFast"
    assert make(fast, CHATML).bos == ()
    slow = tiny(type("Qwen2Tokenizer", (PreTrainedTokenizerFast,), {"is_fast": False}), eos_token="</s>")
    assert class_name_in_training(slow) == "Qwen2Tokenizer"
    with pytest.raises(ArtefactError, match=r"no BOS \(class Qwen2Tokenizer\)"):
        make(slow, CHATML)


def test_a_plainly_loaded_tokenizer_counts_as_what_its_config_declares(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "QWenTokenizer"}')
    assert make(tiny(folder=tmp_path, eos_token="</s>"), CHATML).bos == ()
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(ArtefactError, match="no BOS"):
        make(tiny(folder=tmp_path, eos_token="</s>"), CHATML)


def test_the_class_in_training_can_be_given() -> None:
    assert make(tiny(eos_token="</s>"), CHATML, tokenizer_class="Qwen2TokenizerFast").bos == ()


def test_eos_is_needed_where_it_ends_turns() -> None:
    assert make(tiny(bos_token="<s>"), CHATML).eos == ()
    with pytest.raises(ArtefactError, match="no EOS"):
        make(tiny(bos_token="<s>"), EOS_EACH_TURN)
    with pytest.raises(ArtefactError, match="no EOS"):
        make(tiny(named("QWenTokenizer"), bos_token="<s>"), CHATML)
