"""The example apps really run: what they send to the model is what the `web-ui` renderer renders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import transformers
from transformers import AutoTokenizer

from template_checks.core.conversation import Conversation
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.base import Context
from template_checks.renderers.web_ui.renderer import WebUIRenderer

streamlit = pytest.importorskip("streamlit")
np = pytest.importorskip("numpy")

EXAMPLES = Path(__file__).parents[1] / "fixtures" / "examples"
TOKENIZER = EXAMPLES / "internlm2" / "tokenizer"
APPS = ["internlm2", "internlm2-repaired"]
CONTENTS = ["0", " ", "\n", "  two  spaces ", "a\n\nb\n", "你好,世界", "👩‍🚀🇩🇪", "{user} {} %s \\n", "<|im_end|>"]


class Model:
    """Records the ids it is given and answers with a text. The only stand-in: everything else is real."""

    def __init__(self, answer: list[int]) -> None:
        self.generation_config = SimpleNamespace(eos_token_id=2)
        self.given: list[tuple[int, ...]] = []
        self.settings: list[dict[str, Any]] = []
        self._answer = answer

    def generate(self, input_ids: Any, **settings: Any) -> Any:
        self.given.append(tuple(int(i) for i in input_ids[0]))
        self.settings.append(settings)
        return np.concatenate([input_ids, [self._answer]], axis=1)


@pytest.fixture
def tokenizer() -> Tokenizer:
    return Tokenizer(AutoTokenizer.from_pretrained(str(TOKENIZER)), source=str(TOKENIZER))


@pytest.fixture(params=APPS)
def app(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def renderer(app: str, tokenizer: Tokenizer) -> Iterator[WebUIRenderer]:
    table = WebUIRenderer.Options(type="web-ui", script="web_demo.py")
    made = WebUIRenderer("web_ui", table, Context(tokenizer, EXAMPLES / app))
    yield made
    made.close()


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer) -> Model:
    made = Model([*tokenizer.encode("Fine, and you?").ids, 1063])
    monkeypatch.setenv("MODEL_PATH", str(TOKENIZER))
    monkeypatch.setenv("TENSORS", "np")
    monkeypatch.setattr(transformers, "AutoModelForCausalLM", SimpleNamespace(from_pretrained=lambda *_, **__: made))
    streamlit.cache_resource.clear()
    return made


@pytest.mark.parametrize("content", CONTENTS)
def test_the_app_sends_what_is_rendered(app: str, renderer: WebUIRenderer, model: Model, content: str) -> None:
    from streamlit.testing.v1 import AppTest

    page = AppTest.from_file(str(EXAMPLES / app / "web_demo.py"), default_timeout=60).run()
    assert not page.exception
    page.chat_input[0].set_value(content).run()
    assert not page.exception
    page.chat_input[0].set_value("And then?").run()
    assert not page.exception

    answer = page.session_state["messages"][1]["content"]
    assert page.session_state["messages"][1]["role"] == "robot"
    first = Conversation.of(("user", content))
    second = Conversation.of(("user", content), ("assistant", answer), ("user", "And then?"))
    assert model.given == [renderer.render(turn, "generate").ids for turn in (first, second)]


def test_stops_and_settings_are_what_the_app_uses(app: str, renderer: WebUIRenderer, model: Model) -> None:
    from streamlit.testing.v1 import AppTest

    page = AppTest.from_file(str(EXAMPLES / app / "web_demo.py"), default_timeout=60).run()
    page.chat_input[0].set_value("hi").run()
    [used] = model.settings
    assert used.pop("eos_token_id") == [2, 1063]
    assert renderer.served is not None
    assert [stop.id for stop in renderer.served.stops] == [1063]
    assert used == {name: found["value"] for name, found in renderer.describe()["generation"].items()}


def test_defects_of_the_example(tokenizer: Tokenizer) -> None:
    """Four spaces in the current turn only, BOS twice, a system text nobody asked for; none in the repaired twin."""
    talk = Conversation.of(("user", "Hi"), ("assistant", "Yo"), ("user", "0"))
    expected: str = tokenizer.hf.apply_chat_template(talk.to_list(), tokenize=False, add_generation_prompt=True)
    ids = tokenizer.hf(expected, add_special_tokens=False)["input_ids"]
    for app in APPS:
        table = WebUIRenderer.Options(type="web-ui", script="web_demo.py")
        renderer = WebUIRenderer("web_ui", table, Context(tokenizer, EXAMPLES / app))
        rendering = renderer.render(talk, "generate")
        renderer.close()
        if app == "internlm2-repaired":
            assert rendering.ids == tuple(ids)
        else:
            assert rendering.ids[:2] == (1, 1)
            assert rendering.text.count("    <|im_start|>assistant\n") == 1
            assert rendering.text.startswith("<s><|im_start|>system\n")
