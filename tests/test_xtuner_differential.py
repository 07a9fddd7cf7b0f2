"""The xtuner renderer against XTuner 0.2.0 itself: its own functions, from its own wheel, run unmodified.

Stand-in modules satisfy imports that these functions never use, and `ConfigDict`, of which only attribute
access is used. The files that are loaded do not import torch themselves.
"""

from __future__ import annotations

import copy
import importlib.util
import sys
import types
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from template_checks.core.conversation import Conversation, Message
from template_checks.core.errors import ArtefactError, Unsupported
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.base import Context
from template_checks.renderers.xtuner import library as xtuner_library
from template_checks.renderers.xtuner.config import read_config
from template_checks.renderers.xtuner.renderer import XTunerOptions, XTunerRenderer

pytestmark = pytest.mark.network

EMBEDDED = Path(__file__).parents[1] / "fixtures" / "examples" / "internlm2" / "tokenizer"
MANY = 1 << 30
NAMES = [
    "default",
    "zephyr",
    "internlm_chat",
    "internlm2_chat",
    "moss_sft",
    "llama2_chat",
    "code_llama_chat",
    "chatglm2",
    "chatglm3",
    "qwen_chat",
    "baichuan_chat",
    "baichuan2_chat",
    "wizardlm",
    "wizardcoder",
    "vicuna",
    "deepseek_coder",
    "deepseekcoder",
    "deepseek_moe",
    "deepseek_v2",
    "mistral",
    "mixtral",
    "minicpm",
    "minicpm3",
    "gemma",
    "cohere_chat",
    "llama3_chat",
    "phi3_chat",
]


class ConfigDict(dict):  # type: ignore[type-arg]
    """As much of mmengine's as templates need: attributes are keys, a missing one is an AttributeError."""

    def __getattr__(self, name: str) -> Any:
        try:
            value = self[name]
        except KeyError as error:
            raise AttributeError(name) from error
        return ConfigDict(value) if isinstance(value, dict) else value


@dataclass
class RealXTuner:
    """XTuner's own functions and templates."""

    openai_map_fn: Any
    template_map_fn: Any
    encode_fn: Any
    templates: dict[str, Any]
    folder: Path

    def encode(self, template: Any, turns: list[dict[str, Any]], hf: Any, max_length: int = MANY) -> Any:
        example = self.template_map_fn({"conversation": copy.deepcopy(turns)}, template=template)
        return self.encode_fn(example, hf, max_length)


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Any:
    for name in ("numpy", "PIL", "requests"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("xtuner")
    with zipfile.ZipFile(xtuner_library.wheel()) as archive:
        archive.extractall(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, content in {
            "mmengine": {},
            "mmengine.config": {"ConfigDict": ConfigDict},
            "mmengine.utils": {},
            "mmengine.utils.misc": {"get_object_from_string": None},
            "xtuner": {},
        }.items():
            module = types.ModuleType(name)
            vars(module).update(content)
            patch.setitem(sys.modules, name, module)
        patch.setitem(sys.modules, "xtuner.utils", _load(folder, "xtuner/utils/constants.py"))
        dataset = "xtuner/dataset/"
        openai = _load(folder, f"{dataset}map_fns/dataset_map_fns/openai_map_fn.py")
        mapping = _load(folder, f"{dataset}map_fns/template_map_fn.py")
        encoding = _load(folder, f"{dataset}utils.py")
        templates = _load(folder, "xtuner/utils/templates.py")
        yield RealXTuner(
            openai.openai_map_fn,
            mapping.template_map_fn,
            encoding.encode_fn,
            {name: getattr(templates.PROMPT_TEMPLATE, name) for name in templates.PROMPT_TEMPLATE},
            folder,
        )


def _load(folder: Path, path: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("real_" + path.replace("/", "_")[:-3], folder / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Qwen2TokenizerFast(PreTrainedTokenizerFast):
    """XTuner goes by the name."""


class ChatGLMTokenizer(PreTrainedTokenizerFast):
    """XTuner goes by the name."""


def tiny(cls: type[Any], **special: str) -> Any:
    """Bytes, and merges that cross every boundary: two newlines, two spaces, newline and bracket."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ċ", "Ċ"), ("Ġ", "Ġ"), ("Ċ", "<"), (":", "Ċ")]
    tokens = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", *alphabet, *(a + b for a, b in merges)]
    backend = Backend(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return cls(tokenizer_object=backend, additional_special_tokens=["<|im_start|>", "<|im_end|>"], **special)


@pytest.fixture(scope="session", params=["internlm2", "tiny", "qwen2", "chatglm"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "internlm2":
        if not EMBEDDED.is_dir():
            pytest.skip("the embedded tokenizer is not there")
        from template_checks.sources.loading import load_tokenizer

        return load_tokenizer(str(EMBEDDED), folder=EMBEDDED.parent)
    if request.param == "qwen2":
        return Tokenizer(tiny(Qwen2TokenizerFast, eos_token="</s>"), source="tiny qwen2")
    cls = ChatGLMTokenizer if request.param == "chatglm" else PreTrainedTokenizerFast
    return Tokenizer(tiny(cls, bos_token="<s>", eos_token="</s>"), source="tiny")


def renderer(name: str, tokenizer: Tokenizer, **options: Any) -> XTunerRenderer:
    given = XTunerOptions(type="xtuner", template=name, xtuner_version="0.2.0", **options)
    return XTunerRenderer("training", given, Context(tokenizer, Path()))


WHITE_SPACE = ["", " ", "  ", "\n", "\n\n", "\r\n", "\u3000"]
ORDINARY = ["0", "a", "你好", "🙂", "e\u0301", "%s"]
BRACES = ["{", "}", "{}", "{input}", "{{system}}", "{round}"]
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<image>", "[INST]"]

contents = st.lists(
    st.one_of(
        st.sampled_from([*WHITE_SPACE, *ORDINARY, *BRACES, *SPECIAL]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    ),
    max_size=4,
).map("".join)

turns = st.lists(
    st.fixed_dictionaries(
        {"input": contents, "output": contents},
        optional={"system": contents, "output_with_loss": st.booleans()},
    ),
    min_size=1,
    max_size=4,
)

messages = st.lists(
    st.one_of(
        st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": contents}),
        st.fixed_dictionaries(
            {"role": st.just("assistant"), "content": contents},
            optional={"loss": st.sampled_from([True, False, "True", "TRUE", "false", "no"])},
        ),
    ),
    max_size=6,
)

quick = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def to_messages(turns: list[dict[str, Any]]) -> list[Message]:
    found = []
    for turn in turns:
        if "system" in turn:
            found.append(Message("system", turn["system"]))
        found.append(Message("user", turn["input"]))
        extra = {key: turn[key] for key in ("output_with_loss",) if key in turn}
        found.append(Message.from_dict({"role": "assistant", "content": turn["output"], **extra}))
    return found


def outcome(function: Any) -> Any:
    try:
        return function()
    except (AttributeError, Unsupported) as error:
        assert "SYSTEM" in str(error)
        return "no SYSTEM"


def test_every_template_is_read_as_it_is(real: RealXTuner) -> None:
    library = xtuner_library.library("0.2.0")
    assert library.names() == list(real.templates) == NAMES
    for name, template in real.templates.items():
        assert dict(library.get(name, place="here").values) == dict(template)


def test_origins_point_at_the_lines(real: RealXTuner) -> None:
    lines = (real.folder / xtuner_library.FILE).read_text(encoding="utf-8").splitlines()
    library = xtuner_library.library("0.2.0")
    for name in NAMES:
        for key, where in library.get(name, place="here").where.items():
            number = int(where.removeprefix(f"{xtuner_library.FILE}:"))
            assert key in lines[number - 1] or key in lines[number - 2]


@pytest.mark.parametrize("name", NAMES)
def test_training_ids_and_labels_are_xtuners(name: str, real: RealXTuner, tokenizer: Tokenizer) -> None:
    ours = renderer(name, tokenizer)

    @quick
    @given(turns)
    def holds(turns: list[dict[str, Any]]) -> None:
        conversation = Conversation(tuple(to_messages(turns)))
        expected = outcome(lambda: real.encode(real.templates[name], turns, tokenizer.hf))
        actual = outcome(lambda: ours.render(conversation, "train"))
        if isinstance(expected, str) or isinstance(actual, str):
            assert expected == actual
            return
        assert list(actual.ids) == expected["input_ids"]
        assert list(actual.labels) == expected["labels"]
        check_contents(actual, conversation)

    holds()


@pytest.mark.parametrize("name", NAMES)
def test_prompt_ids_are_those_before_the_answer(name: str, real: RealXTuner, tokenizer: Tokenizer) -> None:
    ours = renderer(name, tokenizer)

    @quick
    @given(turns)
    def holds(turns: list[dict[str, Any]]) -> None:
        # Only the last answer is supervised, so that the first label tells where it starts.
        asked = [{**turn, "output_with_loss": False} for turn in turns]
        asked[-1] = {**turns[-1], "output": "answer", "output_with_loss": True}
        conversation = Conversation(tuple(to_messages(asked)[:-1]))
        expected = outcome(lambda: real.encode(real.templates[name], asked, tokenizer.hf))
        actual = outcome(lambda: ours.render(conversation, "generate"))
        if isinstance(expected, str) or isinstance(actual, str):
            assert expected == actual
            return
        start = next(i for i, label in enumerate(expected["labels"]) if label != -100)
        assert list(actual.ids) == expected["input_ids"][:start]
        check_contents(actual, conversation)

    holds()


@pytest.mark.parametrize("name", ["internlm2_chat", "gemma", "chatglm2"])
def test_openai_messages_become_xtuners_turns(name: str, real: RealXTuner, tokenizer: Tokenizer) -> None:
    ours = renderer(name, tokenizer)

    @settings(quick, max_examples=100)
    @given(messages, contents)
    def holds(before: list[dict[str, Any]], answer: str) -> None:
        whole = [*before, {"role": "assistant", "content": answer}]
        turns = real.openai_map_fn({"messages": copy.deepcopy(whole)})["conversation"]
        conversation = Conversation.from_list(whole)
        if not turns:
            with pytest.raises(Unsupported, match="come first"):
                ours.render(conversation, "train")
            return
        expected = real.encode(real.templates[name], turns, tokenizer.hf)
        actual = ours.render(conversation, "train")
        assert list(actual.ids) == expected["input_ids"]
        assert list(actual.labels or ()) == expected["labels"]

    holds()


@pytest.mark.parametrize("name", ["internlm2_chat", "gemma"])
def test_truncation_is_xtuners(name: str, real: RealXTuner, tokenizer: Tokenizer) -> None:
    @quick
    @given(turns, st.integers(1, 60))
    def holds(turns: list[dict[str, Any]], max_length: int) -> None:
        conversation = Conversation(tuple(to_messages(turns)))
        expected = real.encode(real.templates[name], turns, tokenizer.hf, max_length)
        actual = renderer(name, tokenizer, max_length=max_length).render(conversation, "train")
        assert list(actual.ids) == expected["input_ids"]
        assert list(actual.labels or ()) == expected["labels"]
        spans = actual.token_spans
        assert spans is None or (len(spans) == len(actual.ids) and max(s for _, s in spans) <= len(actual.text))

    holds()


def check_contents(rendering: Any, conversation: Conversation) -> None:
    """Located contents are the contents; only an empty system message is not located."""
    assert rendering.contents is not None
    located = {span.message: rendering.text[span.start : span.end] for span in rendering.contents}
    for index, message in enumerate(conversation.messages):
        if index in located or message.content or message.role != "system":
            assert located[index] == message.content
    assert rendering.segments(len(conversation.messages)) is not None


def test_a_tokenizer_without_bos_fails_there_and_here(real: RealXTuner) -> None:
    hf = tiny(PreTrainedTokenizerFast, eos_token="</s>")
    with pytest.raises(TypeError):
        real.encode(real.templates["internlm2_chat"], [{"input": "a", "output": "b"}], hf)
    with pytest.raises(ArtefactError, match="no BOS"):
        renderer("internlm2_chat", Tokenizer(hf, source="tiny"))


def test_a_tokenizer_without_eos_fails_there_and_here(real: RealXTuner) -> None:
    hf = tiny(PreTrainedTokenizerFast, bos_token="<s>")
    turn = [{"input": "a", "output": "b"}]
    with pytest.raises(TypeError):
        real.encode(real.templates["gemma"], turn, hf)
    with pytest.raises(ArtefactError, match="no EOS"):
        renderer("gemma", Tokenizer(hf, source="tiny"))
    ours = renderer("internlm2_chat", Tokenizer(hf, source="tiny"))
    expected = real.encode(real.templates["internlm2_chat"], turn, hf)
    assert list(ours.render(Conversation.of(("user", "a"), ("assistant", "b")), "train").ids) == expected["input_ids"]


def test_the_configs_in_the_wheel_are_read(real: RealXTuner) -> None:
    """Each that sets a template says what a reader of the file sees; none makes the reader stumble."""
    seen = 0
    for path in sorted((real.folder / "xtuner" / "configs").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "\nprompt_template = PROMPT_TEMPLATE." not in text:
            continue
        config = read_config(path, path.name)
        assert f"\nprompt_template = PROMPT_TEMPLATE.{config.template}\n" in text
        assert config.template in NAMES
        assert config.max_length is not None
        seen += 1
    assert seen > 500
