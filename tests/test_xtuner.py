"""The xtuner renderer and what it reads, on templates of our own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from template_checks.core.conversation import Conversation
from template_checks.core.errors import ArtefactError, RenderError, Unsupported, UsageError
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.base import Context
from template_checks.renderers.xtuner import library as xtuner_library
from template_checks.renderers.xtuner.encode import class_name_in_training
from template_checks.renderers.xtuner.renderer import XTunerOptions, XTunerRenderer

CHATML = {
    "SYSTEM": "<|im_start|>system\n{system}<|im_end|>\n",
    "INSTRUCTION": "<|im_start|>user\n{input}<|im_end|>\n<|im_start|>assistant\n",
    "SUFFIX": "<|im_end|>",
    "SUFFIX_AS_EOS": True,
    "SEP": "\n",
    "STOP_WORDS": ["<|im_end|>"],
}
EOS_EACH_TURN = {"INSTRUCTION": "U{input}A", "SYSTEM": "S{system}", "SUFFIX": ".", "SEP": "\n"}
TEMPLATES = """
from mmengine.config import ConfigDict

raise RuntimeError("never executed")

PROMPT_TEMPLATE = ConfigDict(
    plain=dict(INSTRUCTION="Q: {input}\\nA: ", SEP="\\n"),
    joined=dict(
        SYSTEM=("one " "{system} " + "two"),
        INSTRUCTION="{input}",
        SUFFIX_AS_EOS=True,
    ),
    shown={"INSTRUCTION": "{input}", "STOP_WORDS": ["x"], "NOVELTY": 1},
    wild=dict(INSTRUCTION=something()),
)
"""


def tiny(cls: type[Any] = PreTrainedTokenizerFast, folder: Path | None = None, **special: str) -> Tokenizer:
    """Bytes, and one merge: two newlines."""
    tokens = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "ĊĊ"]
    backend = Backend(models.BPE({token: i for i, token in enumerate(tokens)}, [("Ċ", "Ċ")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    special = special or {"bos_token": "<s>", "eos_token": "</s>"}
    hf = cls(tokenizer_object=backend, additional_special_tokens=["<|im_start|>", "<|im_end|>"], **special)
    return Tokenizer(hf, source="tiny", folder=folder)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return tiny()


@pytest.fixture
def own_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """TEMPLATES instead of the real package's file."""
    found = xtuner_library.Library("0.2.0", TEMPLATES)
    monkeypatch.setattr("template_checks.renderers.xtuner.renderer.library", lambda version, offline: found)


def make(tokenizer: Tokenizer, template: Any = None, folder: Path = Path(), **options: Any) -> XTunerRenderer:
    given = XTunerOptions(type="xtuner", template=template, **options)
    return XTunerRenderer("training", given, Context(tokenizer, folder))


def located(rendering: Any) -> dict[int, str] | None:
    if rendering.contents is None:
        return None
    return {span.message: rendering.text[span.start : span.end] for span in rendering.contents}


ASKED = Conversation.of(("system", "be nice"), ("user", "hi"))
ANSWERED = Conversation.of(("system", "be nice"), ("user", "hi"), ("assistant", "yo"))


# --- rendering ------------------------------------------------------------------------------------


def test_each_string_is_tokenized_on_its_own(tokenizer: Tokenizer) -> None:
    rendering = make(tokenizer, CHATML).render(Conversation.of(("user", ""), ("assistant", "\n")), "train")
    assert [(piece.text, piece.supervised) for piece in rendering.pieces] == [
        ("", False),
        ("<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n", False),
        ("\n<|im_end|>", True),
        ("\n", False),
    ]
    whole = tokenizer.encode(rendering.text).ids
    assert rendering.ids[1:] != whole, "a seam: across the pieces the two newlines would be one token"
    assert len(rendering.ids[1:]) == len(whole) + 1


def test_labels_are_answer_suffix_and_eos(tokenizer: Tokenizer) -> None:
    rendering = make(tokenizer, EOS_EACH_TURN).render(ANSWERED, "train")
    supervised = [i for i in rendering.labels or () if i != -100]
    assert supervised == [*tokenizer.encode("yo.").ids, tokenizer.eos_id]
    assert rendering.ids[0] == tokenizer.bos_id


def test_bos_stands_again_where_eos_ended_a_turn(tokenizer: Tokenizer) -> None:
    twice = Conversation.of(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    assert make(tokenizer, EOS_EACH_TURN).render(twice, "train").ids.count(tokenizer.bos_id) == 2
    assert make(tokenizer, CHATML).render(twice, "train").ids.count(tokenizer.bos_id) == 1


@pytest.mark.parametrize("template", [CHATML, EOS_EACH_TURN], ids=["chatml", "eos"])
def test_a_prompt_is_what_stood_before_the_answer(tokenizer: Tokenizer, template: Any) -> None:
    renderer = make(tokenizer, template)
    for before in (ASKED, Conversation((*ANSWERED.messages, *Conversation.of(("user", "more")).messages))):
        prompt = renderer.render(before, "generate")
        for answer in ("", "\n", "fine"):
            whole = Conversation((*before.messages, *Conversation.of(("assistant", answer)).messages))
            rendering = renderer.render(whole, "train")
            assert rendering.ids[: len(prompt.ids)] == prompt.ids
            assert rendering.text.startswith(prompt.text)


def test_masked_answers_are_not_supervised(tokenizer: Tokenizer) -> None:
    renderer = make(tokenizer, CHATML)
    for key, value in (("output_with_loss", False), ("loss", False), ("loss", "no"), ("output_with_loss", 0)):
        data = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", key: value}]
        assert set(renderer.render(Conversation.from_list(data), "train").labels or ()) == {-100}


def test_contents_are_located(tokenizer: Tokenizer) -> None:
    renderer = make(tokenizer, {**CHATML, "INSTRUCTION": "{{{round}}} {input} }}<|im_start|>assistant\n"})
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
def test_contents_that_cannot_be_located_are_not_guessed(tokenizer: Tokenizer, instruction: str) -> None:
    renderer = make(tokenizer, {"INSTRUCTION": instruction})
    rendering = renderer.render(Conversation.of(("user", "hi")), "generate")
    assert rendering.text == instruction.format(input="hi")
    assert rendering.contents is None


def test_a_template_without_a_place_for_the_input_leaves_it_out(tokenizer: Tokenizer) -> None:
    rendering = make(tokenizer, {"INSTRUCTION": "go"}).render(
        Conversation.of(("user", "hi"), ("assistant", "yo")), "train"
    )
    assert located(rendering) == {1: "yo"}


def test_empty_strings_give_no_pieces(tokenizer: Tokenizer) -> None:
    renderer = make(tokenizer, {"INSTRUCTION": "{input}", "SUFFIX_AS_EOS": True})
    rendering = renderer.render(Conversation.of(("user", ""), ("assistant", "")), "train")
    assert rendering.ids == (tokenizer.bos_id,)
    assert located(rendering) == {0: "", 1: ""}


def test_an_empty_system_message_is_dropped(tokenizer: Tokenizer) -> None:
    rendering = make(tokenizer, CHATML).render(Conversation.of(("system", ""), ("user", "a")), "generate")
    assert located(rendering) == {1: "a"}
    assert "system" not in rendering.text


def test_a_system_message_may_stand_before_any_user_message(tokenizer: Tokenizer) -> None:
    conversation = Conversation.of(("user", "a"), ("assistant", "b"), ("system", "s"), ("user", "c"))
    rendering = make(tokenizer, CHATML).render(conversation, "generate")
    assert located(rendering) == {0: "a", 1: "b", 2: "s", 3: "c"}


def test_messages_are_turned_as_openai_map_fn_turns_them(tokenizer: Tokenizer) -> None:
    renderer = make(tokenizer, CHATML)
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
    tokenizer: Tokenizer, messages: list[tuple[str, str]], purpose: Any, reason: str
) -> None:
    with pytest.raises(Unsupported, match=reason):
        make(tokenizer, CHATML).render(Conversation.of(*messages), purpose)


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
def test_fields_xtuner_has_no_place_for(tokenizer: Tokenizer, message: dict[str, Any]) -> None:
    data = [{"role": "user", "content": "q"}, message, {"role": "assistant", "content": "b"}]
    with pytest.raises(Unsupported, match=r"no place for|single switch"):
        make(tokenizer, CHATML).render(Conversation.from_list(data), "train")


def test_a_template_without_system(tokenizer: Tokenizer) -> None:
    renderer = make(tokenizer, {"INSTRUCTION": "{input}"})
    with pytest.raises(Unsupported, match="no SYSTEM; XTuner raises AttributeError"):
        renderer.render(ASKED, "generate")
    assert renderer.render(Conversation.of(("system", ""), ("user", "a")), "generate").text == "a"


def test_a_content_that_the_template_cannot_take(tokenizer: Tokenizer) -> None:
    renderer = make(tokenizer, {"INSTRUCTION": "{input[0]}"})
    assert renderer.render(Conversation.of(("user", "hi")), "generate").text == "h"
    with pytest.raises(RenderError, match="IndexError"):
        renderer.render(Conversation.of(("user", "")), "generate")


def test_truncation_cuts_ids_text_and_contents(tokenizer: Tokenizer) -> None:
    whole = make(tokenizer, EOS_EACH_TURN).render(ANSWERED, "train")
    for length in range(1, len(whole.ids) + 2):
        rendering = make(tokenizer, EOS_EACH_TURN, max_length=length).render(ANSWERED, "train")
        assert rendering.ids == whole.ids[:length]
        assert rendering.labels == (whole.labels or ())[:length]
        assert whole.text.startswith(rendering.text)
        assert rendering.contents is not None
        assert all(span.end <= len(rendering.text) for span in rendering.contents)
        assert rendering.token_spans == (whole.token_spans or [])[:length]
    with pytest.raises(Unsupported, match="max_length 3"):
        make(tokenizer, EOS_EACH_TURN, max_length=3).render(ASKED, "generate")


# --- BOS and EOS ----------------------------------------------------------------------------------


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


# --- what it tells --------------------------------------------------------------------------------


def test_taught_stops(tokenizer: Tokenizer) -> None:
    words, suffix = make(tokenizer, CHATML).taught
    assert (words.text, words.by_text) == ("<|im_end|>", True)
    assert (suffix.text, suffix.by_text) == ("<|im_end|>", False)
    assert "STOP_WORDS" in words.source and "SUFFIX" in suffix.source
    (eos,) = make(tokenizer, EOS_EACH_TURN).taught
    assert eos.id == tokenizer.eos_id


def test_origins_name_the_keys(tokenizer: Tokenizer) -> None:
    source_literals = {origin.name: (origin.value, origin.where) for origin in make(tokenizer, CHATML).source_literals}
    assert source_literals["template.SEP"] == ("\n", "training.template.SEP")
    assert set(source_literals) == {f"template.{key}" for key in ("SYSTEM", "INSTRUCTION", "SUFFIX", "SEP")}


@pytest.mark.usefixtures("own_library")
def test_a_named_template_tells_lines_and_version(tokenizer: Tokenizer) -> None:
    renderer = make(tokenizer, "joined")
    assert renderer.template.values["SYSTEM"] == "one {system} two"
    assert {origin.where for origin in renderer.source_literals} == {
        "xtuner/utils/templates.py:9",
        "xtuner/utils/templates.py:10",
    }
    assert renderer.artefacts[0].name == "xtuner 0.2.0: joined"
    assert renderer.describe()["xtuner"] == "0.2.0"
    assert renderer.describe()["keys"]["INSTRUCTION"] == "xtuner/utils/templates.py:10"


@pytest.mark.usefixtures("own_library")
def test_the_artefact_changes_with_the_template(tokenizer: Tokenizer) -> None:
    sums = [make(tokenizer, template).artefacts[0].sha256 for template in ("plain", "joined", CHATML, CHATML)]
    assert len(set(sums)) == 3 and sums[2] == sums[3]


# --- templates that are wrong ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "what", "hint"),
    [
        ({"SYSTEM": "{system}"}, "no INSTRUCTION", "{input}"),
        ({"INSTRUCTION": "{input}", "SUFIX": ""}, "'SUFIX'", "did you mean 'SUFFIX'"),
        ({"INSTRUCTION": "{input}", "instruction": ""}, "'instruction'", "did you mean 'INSTRUCTION'"),
        ({"INSTRUCTION": "{inputs}"}, r"\{inputs\}", "did you mean '{input}'"),
        ({"INSTRUCTION": "{}"}, r"\{\}", "{input} and {round}"),
        ({"INSTRUCTION": "{input} }"}, "not a format string", "twice"),
        ({"INSTRUCTION": "{input:d}"}, "cannot be filled", "{input}"),
        ({"INSTRUCTION": "{input.name}"}, "cannot be filled", "{input}"),
        ({"INSTRUCTION": "{input}", "SYSTEM": "{bot_name}"}, r"\{bot_name\}", "{system}"),
        ({"INSTRUCTION": "{input}", "SYSTEM": "{input}"}, r"\{input\}", "{system}"),
        ({"INSTRUCTION": 1}, "must be text", None),
        ({"INSTRUCTION": "", "SUFFIX_AS_EOS": "yes"}, "true or false", None),
        ({"INSTRUCTION": "", "STOP_WORDS": "x"}, "list of texts", None),
    ],
)
def test_a_wrong_template_is_wrong_usage(
    tokenizer: Tokenizer, template: dict[str, Any], what: str, hint: str | None
) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        make(tokenizer, template)
    assert caught.value.where is not None and caught.value.where.startswith("training.template")
    assert hint is None or hint in (caught.value.hint or "")


def test_exactly_one_of_template_and_config(tokenizer: Tokenizer) -> None:
    for options in ({}, {"template": "plain", "config": "c.py"}):
        with pytest.raises(UsageError, match="exactly one"):
            make(tokenizer, **options)


@pytest.mark.usefixtures("own_library")
def test_an_unknown_name_lists_the_names(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="no prompt template 'plan'") as caught:
        make(tokenizer, "plan")
    assert caught.value.hint == "did you mean 'plain'? XTuner has: plain, joined, shown, wild"


@pytest.mark.usefixtures("own_library")
def test_a_file_that_is_not_literal_is_an_artefact_error(tokenizer: Tokenizer) -> None:
    with pytest.raises(ArtefactError, match="cannot be read") as caught:
        make(tokenizer, "wild")
    assert caught.value.where == "xtuner/utils/templates.py:14"
    assert make(tokenizer, "shown").template.ignored == ("NOVELTY",)
    for text in ("x = 1", "PROMPT_TEMPLATE = {}", "def"):
        with pytest.raises(ArtefactError, match="cannot be read"):
            xtuner_library.Library("9", text).names()


# --- where templates come from --------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed xtuner 0.1.23 whose import would fail."""
    package = tmp_path / "xtuner"
    (package / "utils").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "utils" / "templates.py").write_text(TEMPLATES)
    (tmp_path / "xtuner-0.1.23.dist-info").mkdir()
    (tmp_path / "xtuner-0.1.23.dist-info" / "METADATA").write_text("Name: xtuner\nVersion: 0.1.23\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return package


@pytest.mark.usefixtures("installed")
def test_an_installed_xtuner_is_read_not_imported(tokenizer: Tokenizer) -> None:
    renderer = make(tokenizer, "plain")
    assert renderer.describe()["xtuner"] == "0.1.23"
    assert renderer.notes == ["templates of XTuner 0.1.23, encoded as XTuner 0.2.0 encodes them"]
    assert "xtuner" not in sys.modules


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEMPLATE_CHECKS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fake_pip(monkeypatch: pytest.MonkeyPatch, stderr: str = "", files: dict[str, str] | None = None) -> list[Any]:
    """`subprocess.run` that behaves like `pip download`; returns the list of its calls."""
    calls: list[Any] = []

    def run(command: list[str], **_: Any) -> Any:
        calls.append(command)
        if files is not None:
            wheel = Path(command[command.index("--dest") + 1], "xtuner-0.2.0-py3-none-any.whl")
            with zipfile.ZipFile(wheel, "w") as archive:
                for name, text in files.items():
                    archive.writestr(name, text)
        return subprocess.CompletedProcess(command, 1 if files is None else 0, "", stderr)

    monkeypatch.setattr(xtuner_library.subprocess, "run", run)
    monkeypatch.setattr(xtuner_library, "_installed", lambda: None)
    return calls


@pytest.mark.usefixtures("empty_cache")
def test_the_wheel_is_fetched_once(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_pip(monkeypatch, files={"xtuner/utils/templates.py": TEMPLATES})
    for _ in range(2):
        assert make(tokenizer, "plain").template.sep == "\n"
    (command,) = calls
    assert command[:5] == [sys.executable, "-m", "pip", "download", "xtuner==0.2.0"]
    assert not any("://" in argument for argument in command), "the user's pip configuration says where"


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("/usr/bin/python: No module named pip\n", "No module named pip"),
        (
            "WARNING: retrying\nERROR: Could not find a version\nERROR: No matching distribution\n",
            "No matching",
        ),
        ("WARNING: Retrying after connection broken\nERROR: No matching\n", "index cannot be reached"),
        ("", "no wheel came back"),
    ],
)
def test_no_wheel_is_an_artefact_error(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, empty_cache: Path, stderr: str, reason: str
) -> None:
    fake_pip(monkeypatch, stderr)
    with pytest.raises(ArtefactError, match=reason) as caught:
        make(tokenizer, "plain")
    assert "INSTRUCTION" in (caught.value.hint or "")
    assert not list(empty_cache.glob("xtuner/*")), "a failed download leaves nothing behind"


@pytest.mark.usefixtures("empty_cache")
def test_offline_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_pip(monkeypatch, files={"xtuner/utils/templates.py": TEMPLATES})
    with pytest.raises(ArtefactError, match="nothing may be fetched"):
        xtuner_library.library(offline=True)
    assert not calls
    xtuner_library.library()
    assert xtuner_library.library(offline=True).names()[0] == "plain"


@pytest.mark.usefixtures("empty_cache")
def test_a_wheel_without_templates(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, files={"xtuner/__init__.py": ""})
    with pytest.raises(ArtefactError, match=r"has no xtuner/utils/templates\.py"):
        make(tokenizer, "plain")


# --- configs --------------------------------------------------------------------------------------

USED = "\ndata = dict(template_map_fn=dict(type=template_map_fn_factory, template=prompt_template))\n"


def configured(tokenizer: Tokenizer, folder: Path, text: str, **options: Any) -> XTunerRenderer:
    (folder / "my_config.py").write_text(textwrap.dedent(text), encoding="utf-8")
    return make(tokenizer, folder=folder, config="my_config.py", **options)


@pytest.mark.usefixtures("own_library")
@pytest.mark.parametrize(
    "expression",
    [
        "PROMPT_TEMPLATE.plain",
        'PROMPT_TEMPLATE["plain"]',
        "PROMPT_TEMPLATE[name]",
        "xtuner.utils.PROMPT_TEMPLATE.plain",
        '"xtuner.utils.PROMPT_TEMPLATE.plain"',
    ],
)
def test_a_config_names_its_template(tokenizer: Tokenizer, tmp_path: Path, expression: str) -> None:
    text = f'raise SystemExit\nname = "plain"\nprompt_template = {expression}{USED}'
    renderer = configured(tokenizer, tmp_path, text)
    assert renderer.template.name == "plain"
    assert renderer.notes == []
    assert [artefact.name for artefact in renderer.artefacts] == ["my_config.py", "xtuner 0.2.0: plain"]


@pytest.mark.usefixtures("own_library")
def test_what_a_config_says_besides(tokenizer: Tokenizer, tmp_path: Path) -> None:
    text = """
        prompt_template = PROMPT_TEMPLATE.plain
        max_length = int(64 - (336 / 14) ** 2 / 12)
        pack_to_max_length = False
        SYSTEM = SYSTEM_TEMPLATE.alpaca
        """
    renderer = configured(tokenizer, tmp_path, text)
    facts = renderer.describe()
    assert (facts["max_length"], facts["pack_to_max_length"], facts["SYSTEM"]) == (
        16,
        False,
        "SYSTEM_TEMPLATE.alpaca",
    )
    assert renderer.notes == [
        "my_config.py: no data set of this config uses prompt_template through template_map_fn_factory"
    ]
    long = Conversation.of(("user", "x" * 40), ("assistant", "y"))
    assert len(renderer.render(long, "train").ids) == 16
    assert configured(tokenizer, tmp_path, text, max_length=7).max_length == 7


def test_a_template_written_out_in_a_config(tokenizer: Tokenizer, tmp_path: Path) -> None:
    text = 'start = "<|im_start|>"\nprompt_template = dict(\n  INSTRUCTION=start + "{input}",\n  OTHER=1,\n)' + USED
    renderer = configured(tokenizer, tmp_path, text)
    assert renderer.template.values == {"INSTRUCTION": "<|im_start|>{input}"}
    assert renderer.source_literals[0].where == "my_config.py:3"
    assert renderer.notes == ["my_config.py:2: XTuner passes over OTHER"]


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("x = 1", "sets no prompt_template", "my_config.py"),
        ("prompt_template = choose()", r"cannot be read: choose\(\)", "my_config.py:1"),
        ("\nprompt_template = dict(INSTRUCTION=f(1))", r"cannot be read: f\(1\)", "my_config.py:2"),
        ("prompt_template = PROMPT_TEMPLATE[f()]", "name cannot be read", "my_config.py:1"),
        ("prompt_template = PROMPT_TEMPLATE[0]", "name is not text", "my_config.py:1"),
        ("prompt_template = dict(SYSTEM='')", "no INSTRUCTION", "my_config.py:1"),
        ("prompt_template = dict(INSTRUCTION='{x}')", r"\{x\}", "my_config.py:1"),
        (
            "prompt_template = P.a\nif x:\n  prompt_template = P.b",
            "changed after it is set",
            "my_config.py:3",
        ),
        ("prompt_template = P.a\nprompt_template.SEP = 'x'", "changed after it is set", "my_config.py:2"),
        (
            "prompt_template = dict(INSTRUCTION='')\nmax_length = n()",
            r"max_length cannot be read",
            "my_config.py:2",
        ),
        ("prompt_template = dict(INSTRUCTION='')\nmax_length = 'x'", "not a whole number", "my_config.py:2"),
        (
            "prompt_template = dict(INSTRUCTION='')\nmax_length = 9\nmax_length *= 2",
            "max_length is changed",
            ":3",
        ),
        ("a = b\nb = a\nprompt_template = a", "cannot be read", "my_config.py:"),
        ("prompt_template = (", "not Python", "my_config.py:1"),
        ("a\0", "not Python", "my_config.py"),
    ],
)
def test_a_config_that_cannot_be_read_says_where(
    tokenizer: Tokenizer, tmp_path: Path, text: str, what: str, where: str
) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        configured(tokenizer, tmp_path, text)
    assert where in (caught.value.where or "")
    assert caught.value.hint or "not Python" in caught.value.what


def test_the_template_a_data_set_uses_counts(tokenizer: Tokenizer, tmp_path: Path) -> None:
    head = "prompt_template = PROMPT_TEMPLATE.unused\nown = dict(INSTRUCTION='own {input}')\n"
    use = "d{0} = {{'type': 'xtuner.dataset.map_fns.template_map_fn_factory', 'template': {1}}}\n"
    renderer = configured(tokenizer, tmp_path, head + use.format(1, "own") + use.format(2, "own"))
    assert renderer.template.values == {"INSTRUCTION": "own {input}"}
    with pytest.raises(UsageError, match="several prompt templates") as caught:
        configured(tokenizer, tmp_path, head + use.format(1, "own") + use.format(2, "prompt_template"))
    assert caught.value.where == "my_config.py, lines 1, 2"


def test_a_config_that_inherits(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sets no prompt_template") as caught:
        configured(tokenizer, tmp_path, "_base_ = './other.py'")
    assert "inherits" in (caught.value.hint or "")


def test_a_config_that_is_not_there(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read") as caught:
        make(tokenizer, folder=tmp_path, config="nowhere.py")
    assert "nowhere.py" in (caught.value.where or "")
