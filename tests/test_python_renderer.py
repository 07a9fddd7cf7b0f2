"""The python renderer: the user's own function, every shape it may return, and every way it may fail."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from template_checks.core.conversation import Conversation
from template_checks.core.errors import ArtefactError, RenderError, Unsupported, UsageError
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.base import Context
from template_checks.renderers.python import PythonOptions, PythonRenderer

CHATML = "<|im_start|>user\nhi<|im_end|>\n"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    tokens = ["<s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Backend(models.BPE({token: i for i, token in enumerate(tokens)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return Tokenizer(PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>"), source="tiny")


class Make:
    """Writes a file and makes a renderer of one of its functions."""

    def __init__(self, tokenizer: Tokenizer, folder: Path) -> None:
        self.context = Context(tokenizer, folder)

    def __call__(self, source: str, function: str = "render.py:f", **options: Any) -> PythonRenderer:
        (self.context.folder / "render.py").write_text(textwrap.dedent(source), encoding="utf-8")
        return PythonRenderer("own", PythonOptions(type="python", function=function, **options), self.context)

    def body(self, body: str, **options: Any) -> PythonRenderer:
        return self(f"def f(messages, tokenizer):\n    {body}\n", **options)


@pytest.fixture
def make(tokenizer: Tokenizer, tmp_path: Path) -> Make:
    return Make(tokenizer, tmp_path)


ASKED = Conversation.of(("user", "hi"))
ANSWERED = Conversation.of(("user", "hi"), ("assistant", "yo"))
JOIN = "return ''.join('<' + m['role'] + '>' + m['content'] for m in messages)"


# --- what it returns ------------------------------------------------------------------------------


def test_text_is_tokenized_without_special_tokens_and_located(make: Make, tokenizer: Tokenizer) -> None:
    rendering = make.body(JOIN).render(ANSWERED, "train")
    assert rendering.text == "<user>hi<assistant>yo"
    assert rendering.ids == tokenizer.encode(rendering.text).ids
    assert rendering.labels is None
    assert rendering.contents is not None
    assert [rendering.text[span.start : span.end] for span in rendering.contents] == ["hi", "yo"]


def test_pieces_are_tokenized_each_on_its_own(make: Make, tokenizer: Tokenizer) -> None:
    body = "return {'pieces': [([1], False), ('<|im_start|>\\n', False), (messages[-1]['content'] + '\\n', True)]}"
    rendering = make.body(body, labels=True).render(Conversation.of(("user", "hi"), ("assistant", "\n")), "train")
    assert rendering.text == "<|im_start|>\n\n\n"
    parts = [tokenizer.encode("<|im_start|>\n").ids, tokenizer.encode("\n\n").ids]
    assert rendering.ids == (1, *parts[0], *parts[1])
    assert rendering.labels == (-100, *[-100] * len(parts[0]), *parts[1])
    assert rendering.seams == {len("<|im_start|>\n")}
    assert [(span.message, span.start, span.end) for span in rendering.contents or ()] == [(1, 13, 14)]


def test_pieces_without_labels(make: Make) -> None:
    rendering = make.body("return {'pieces': ['a', 'b']}").render(ASKED, "generate")
    assert (rendering.text, rendering.labels) == ("ab", None)


def test_special_tokens_on_demand(make: Make, tokenizer: Tokenizer) -> None:
    rendering = make.body(JOIN, add_special_tokens=True).render(ASKED, "generate")
    assert rendering.ids == (0, *tokenizer.encode("<user>hi").ids)
    assert rendering.added == [True] + [False] * 8


@pytest.mark.parametrize(
    "body",
    [
        "return [5, 6]",
        "return (5, 6)",
        "return {'ids': [5, 6]}",
        "return {'input_ids': [5, 6], 'attention_mask': [1, 1]}",
        "import numpy; return numpy.array([5, 6])",
        "import numpy; return [numpy.int64(5), 6]",
        "from transformers import BatchEncoding; return BatchEncoding({'input_ids': [5, 6]})",
    ],
)
def test_ids_without_text(make: Make, body: str) -> None:
    rendering = make.body(body).render(ASKED, "generate")
    assert rendering.ids == (5, 6)
    assert all(type(index) is int for index in rendering.ids)
    assert not rendering.has_text and rendering.contents is None and len(rendering.pieces) == 1


@pytest.mark.parametrize(
    "body",
    ["return [5, 6, 7, 8], [-100, 6, 7, -100]", "return {'ids': [5, 6, 7, 8], 'labels': [-100, 6, 7, -100]}"],
)
def test_labels_cut_ids_into_runs(make: Make, body: str) -> None:
    rendering = make.body(body, labels=True).render(ANSWERED, "train")
    assert rendering.labels == (-100, 6, 7, -100)
    assert [(piece.encoded.ids, piece.supervised) for piece in rendering.pieces] == [
        ((5,), False),
        ((6, 7), True),
        ((8,), False),
    ]


def test_text_with_labels_stays_one_piece(make: Make) -> None:
    renderer = make.body("return {'text': 'ab', 'labels': [-100, tokenizer('b')['input_ids'][-1]]}")
    rendering = renderer.render(ANSWERED, "train")
    assert rendering.labels == (-100, rendering.ids[1])
    assert rendering.seams == frozenset() and rendering.token_spans == [(0, 1), (1, 2)]


def test_text_with_ids_of_its_own(make: Make, tokenizer: Tokenizer) -> None:
    own = make.body("return {'text': 'ab', 'ids': [0, 1, 2]}").render(ASKED, "generate")
    assert (own.text, own.ids, own.token_spans) == ("ab", (0, 1, 2), None)
    same = make.body("return {'text': 'ab', 'ids': tokenizer('ab', add_special_tokens=False)['input_ids']}")
    assert same.render(ASKED, "generate").token_spans == [(0, 1), (1, 2)]


def test_empty_results(make: Make) -> None:
    assert make.body("return ''").render(ASKED, "generate").ids == ()
    assert make.body("return []").render(ASKED, "generate").ids == ()


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("return None", "NoneType is not text"),
        ("return 5", "int is not text"),
        ("return b'x'", "bytes is not text"),
        ("return [5, 'x']", "item 2 is 'x'"),
        ("return [5, 6.0]", "item 2 is 6.0"),
        ("return [True]", "item 1 is True"),
        ("return [[5, 6]]", "a batch came back"),
        ("return {}", "neither `text` nor `ids`"),
        ("return {'text': 5}", "`text` must be a str"),
        ("return {'prompt': 'x'}", "the key 'prompt'"),
        ("return {'ids': [1], 'input_ids': [1]}", "both"),
        ("return {'ids': 'x'}", "ids: a str is not"),
        ("return [5, 6], [5]", "1 labels for 2 ids"),
        ("return [5, 6, 7], [-100, 7, -100]", "label 2 is 7, neither -100 nor the id 6"),
        ("return [5, 6, 7], [6, 7, -100]", "shifted by one"),
        ("return {'text': 'ab', 'labels': [-100]}", "1 labels for 2 ids"),
    ],
)
def test_what_is_no_rendering_is_said(make: Make, body: str, what: str) -> None:
    with pytest.raises(RenderError, match=what):
        make.body(body).render(ANSWERED, "train")


def test_promised_labels_must_come(make: Make) -> None:
    renderer = make.body(JOIN, labels=True)
    with pytest.raises(RenderError, match="no labels"):
        renderer.render(ANSWERED, "train")
    assert renderer.render(ASKED, "generate").labels is None


# --- how it is called -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("messages", "messages"),
        ("conversation", ""),
        ("conversation, /", ""),
        ("*args", ""),
        ("conversation, purpose", "purpose"),
        ("messages, *, add_generation_prompt=False", "messages,add_generation_prompt"),
        ("tokenizer, messages", "messages,tokenizer"),
        (
            "messages, purpose, add_generation_prompt, tokenizer, more=1",
            "messages,purpose,add_generation_prompt,tokenizer",
        ),
        ("**all", "messages,purpose,add_generation_prompt,tokenizer,tools,continue_final_message"),
        ("conversation, **all", "purpose,add_generation_prompt,tokenizer,tools,continue_final_message"),
    ],
)
def test_the_arguments_it_takes(make: Make, signature: str, expected: str) -> None:
    renderer = make(f"def f({signature}):\n    return str(locals())")
    assert ",".join(renderer.describe()["arguments"]) == expected
    assert "'content': 'hi'" in renderer.render(ASKED, "generate").text


@pytest.mark.parametrize(
    "signature",
    ["", "messages, model", "tokenizer, conversation", "conversation, /, messages=1", "*, purpose"],
)
def test_arguments_that_cannot_be_given(make: Make, signature: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        make(f"def f({signature}):\n    return ''")


def test_what_the_arguments_say(make: Make) -> None:
    renderer = make(
        """
        def f(messages, purpose, add_generation_prompt, tokenizer):
            return f"{purpose} {add_generation_prompt} {tokenizer.bos_token}"
        """
    )
    assert renderer.render(ASKED, "generate").text == "generate True <s>"
    assert renderer.render(ANSWERED, "train").text == "train False <s>"


def test_messages_are_fresh_each_time(make: Make) -> None:
    renderer = make.body("return str(messages.pop(0).pop('content')) + str(len(messages))")
    assert [renderer.render(ANSWERED, "train").text for _ in range(2)] == ["hi1", "hi1"]


# --- how it fails ---------------------------------------------------------------------------------


def test_its_exceptions(make: Make) -> None:
    with pytest.raises(RenderError, match=r"render.py:f raised KeyError: 'x'"):
        make.body("return messages[0]['x']").render(ASKED, "generate")
    with pytest.raises(RenderError, match="SystemExit"):
        make.body("raise SystemExit(1)").render(ASKED, "generate")
    with pytest.raises(Unsupported, match=r"^no tools$"):
        make.body("from template_checks import Unsupported; raise Unsupported('no tools')").render(ASKED, "generate")
    with pytest.raises(KeyboardInterrupt):
        make.body("raise KeyboardInterrupt").render(ASKED, "generate")


def test_purposes_are_configured(make: Make) -> None:
    renderer = make.body(JOIN, purposes=["generate"])
    assert renderer.purposes == {"generate"}
    assert PythonRenderer.purposes == {"train", "generate"}
    with pytest.raises(Unsupported, match="train"):
        renderer.render(ANSWERED, "train")


@pytest.mark.parametrize("function", ["f", "render.py", "render.py:", ":f", "render.py:f g", "render.py:1"])
def test_a_function_has_two_halves(function: str) -> None:
    with pytest.raises(ValidationError, match="module:function"):
        PythonOptions(type="python", function=function)


def test_what_is_not_there(make: Make) -> None:
    with pytest.raises(UsageError, match="file does not exist"):
        make("", "other.py:f")
    with pytest.raises(UsageError, match="no function 'rendr'") as caught:
        make("def render(m): return ''", "render.py:rendr")
    assert "did you mean 'render'" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="no module 'nowhere_at_all'"):
        make("", "nowhere_at_all.inside:f")
    with pytest.raises(UsageError, match="'x' is a int"):
        make("x = 1", "render.py:x")


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("def", "SyntaxError"),
        ("import nowhere_at_all", "nowhere_at_all"),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_code_that_fails_on_import(make: Make, source: str, what: str) -> None:
    before, path = set(sys.modules), list(sys.path)
    with pytest.raises(ArtefactError, match=f"render.py raised .*{what}"):
        make(source)
    assert not any(name.startswith("template_checks_user_") for name in set(sys.modules) - before)
    assert sys.path == path


# --- where it comes from --------------------------------------------------------------------------


def test_a_file_may_import_its_neighbours(make: Make, tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_render.py").write_text("TEXT = 'next door'")
    before = list(sys.path)
    renderer = make("from neighbour_of_render import TEXT\ndef f(messages): return TEXT")
    assert renderer.render(ASKED, "generate").text == "next door"
    assert sys.path == before


def test_a_module_and_a_method(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_module_of_a_test.py").write_text(
        "class Own:\n    @staticmethod\n    def f(messages): return messages[0]['content']\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    renderer = make("", "own_module_of_a_test:Own.f")
    assert renderer.render(ASKED, "generate").text == "hi"
    assert [artefact.name for artefact in renderer.artefacts] == ["own_module_of_a_test"]


def test_the_file_is_an_artefact(make: Make) -> None:
    first, second = (make.body(body).artefacts for body in ("return 'a'", "return 'b'"))
    assert first[0].name == second[0].name == "render.py"
    assert first[0].sha256 != second[0].sha256
