"""The `web-ui` renderer: what it finds in scripts of every shape, and what it says where it finds nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from transformers import AutoTokenizer

from template_checks.core.conversation import Conversation, Message
from template_checks.core.errors import ArtefactError, RenderError, TemplateChecksError, Unsupported, UsageError
from template_checks.core.rendering import Stop
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.base import Context
from template_checks.renderers.web_ui.renderer import WebUIRenderer

EXAMPLES = Path(__file__).parents[1] / "fixtures" / "examples"
TALK = Conversation.of(("user", "Hi"), ("assistant", "Yo"), ("user", "Bye"))
CHATML = (
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo<|im_end|>\n"
    "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
)

Make = Callable[..., WebUIRenderer]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    folder = EXAMPLES / "internlm2" / "tokenizer"
    return Tokenizer(AutoTokenizer.from_pretrained(str(folder)), source=str(folder))


@pytest.fixture
def make(tokenizer: Tokenizer, tmp_path: Path) -> Iterator[Make]:
    made: list[WebUIRenderer] = []

    def build(source: str, *, system: str | None = None, stop_ids: Any = None, **options: Any) -> WebUIRenderer:
        (tmp_path / "app.py").write_text(dedent(source).lstrip("\n"), encoding="utf-8")
        table = WebUIRenderer.Options(type="web-ui", script="app.py", **options)
        context = Context(tokenizer, tmp_path, system=system, stop_ids=stop_ids)
        made.append(WebUIRenderer("web_ui", table, context))
        return made[-1]

    yield build
    for renderer in made:
        renderer.close()


def line_of(source: str, part: str) -> int:
    return dedent(source).lstrip("\n").split(part)[0].count("\n") + 1


STREAMLIT = """
    import streamlit as st

    USER = "<|im_start|>user\\n{user}<|im_end|>\\n"
    BOT = "<|im_start|>assistant\\n{robot}<|im_end|>\\n"

    def combine_history(prompt):
        total = ""
        for message in st.session_state.messages:
            if message["role"] == "user":
                total += USER.format(user=message["content"])
            elif message["role"] == "robot":
                total += BOT.replace("{robot}", message["content"])
            else:
                raise RuntimeError(f"bad role {message['role']}")
        return total + USER.format(user=prompt) + "<|im_start|>assistant\\n"

    def run(model, tokenizer, prompt):
        inputs = tokenizer([prompt], padding=True, return_tensors="pt")
        return model.generate(**inputs)
"""


class TestConcatenation:
    def test_streamlit_function(self, make: Make, tokenizer: Tokenizer) -> None:
        renderer = make(STREAMLIT)
        rendering = renderer.render(TALK, "generate")
        assert rendering.text == CHATML
        assert rendering.ids == tuple(tokenizer.hf(CHATML)["input_ids"])
        assert [rendering.text[s.start : s.end] for s in rendering.contents or ()] == ["Hi", "Yo", "Bye"]
        facts = renderer.describe()
        assert facts["function"] == {"name": "combine_history", "kind": "text", "line": 6}
        assert facts["session_key"] == "messages"
        assert facts["roles"] == {
            "user": {"value": "user", "line": 9},
            "assistant": {"value": "robot", "line": 11},
        }
        assert facts["tokenizer_call"] == {"adds_special_tokens": True, "line": 18}
        assert renderer.artefacts[0].name == "app.py"
        json.dumps(facts)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("combine_history", "combine_history_p2"),
            ("combine_history", "build_prompt"),
            ("st.session_state.messages", 'st.session_state["messages"]'),
            ("st.session_state.messages", 'st.session_state.get("messages", [])'),
            ("st.session_state.messages", 'getattr(st.session_state, "messages")'),
            ("st.session_state.messages", "st.session_state.chat_history"),
            ("import streamlit as st", "import streamlit as st\n    from streamlit import session_state as ss"),
            ('"robot"', '"bot"'),
            ('message["role"]', 'message["from"]'),
            ('message["content"]', 'message["message"]'),
            ('message["content"]', 'message.get("content", "")'),
            ('message["role"] == "robot"', 'message["role"] in ("robot", "assistant")'),
            ("def combine_history(prompt):", "@st.cache_data\n    def combine_history(prompt: str) -> str:"),
            ("for message in st.session_state.messages", "for _, message in enumerate(st.session_state.messages)"),
            ("for message in", "messages = list(st.session_state.messages)\n        for message in"),
        ],
    )
    def test_names_vary(self, make: Make, old: str, new: str) -> None:
        source = STREAMLIT.replace(old, new)
        assert source != STREAMLIT
        assert make(source).render(TALK, "generate").text == CHATML

    def test_match_and_dict_lookup_and_helpers(self, make: Make) -> None:
        renderer = make('''
            import re, dataclasses
            from dataclasses import dataclass
            import streamlit as st

            @dataclass
            class Marks:
                start: str = "<|im_start|>"
                end: str = "<|im_end|>\\n"

            MARKS = Marks()
            NAMES = {"human": "user", "ai": "assistant"}

            def turn(role, text):
                return f"{MARKS.start}{NAMES[role]}\\n{text}{MARKS.end}"

            def prompt_for():
                """Not part of the prompt."""
                text = "".join(turn(m["role"], m["text"]) for m in st.session_state.log)
                return re.sub("x{9}", "", text) + MARKS.start + "assistant\\n"

            def main():
                if question := st.chat_input("Ask"):
                    st.session_state.log.append({"role": "human", "text": question})
                    ids = tokenizer.encode(prompt_for(), add_special_tokens=False)
                    st.session_state.log.append({"role": "ai", "text": model.generate(ids)})
            ''')
        assert renderer.render(TALK, "generate").text == CHATML
        assert renderer.describe()["tokenizer_call"]["adds_special_tokens"] is False
        assert {role: entry["value"] for role, entry in renderer.describe()["roles"].items()} == {
            "user": "human",
            "assistant": "ai",
        }
        assert not any("Not part" in origin.value for origin in renderer.source_literals)

    def test_gradio_pairs(self, make: Make) -> None:
        renderer = make("""
            import gradio as gr

            def predict(message, history):
                prompt = "<s>"
                for user, bot in history:
                    prompt += f"<|im_start|>user\\n{user}<|im_end|>\\n<|im_start|>assistant\\n{bot}<|im_end|>\\n"
                prompt += f"<|im_start|>user\\n{message}<|im_end|>\\n<|im_start|>assistant\\n"
                inputs = tokenizer(prompt, return_tensors="pt").to(model.device)
                streamer = TextIteratorStreamer(tokenizer)
                yield model.generate(**inputs, max_new_tokens=256)

            gr.ChatInterface(predict).launch()
            """)
        rendering = renderer.render(TALK, "generate")
        assert rendering.text == "<s>" + CHATML
        assert rendering.ids[:2] == (1, 1)
        assert renderer.describe()["function"]["kind"] == "inline"
        with pytest.raises(Unsupported, match="pairs of user and assistant"):
            renderer.render(Conversation.of(("user", "a"), ("user", "b")), "generate")

    def test_gradio_dicts(self, make: Make) -> None:
        renderer = make("""
            def build(message, history):
                parts = [f"<|im_start|>{t['role']}\\n{t['content']}<|im_end|>\\n" for t in history]
                parts.append(f"<|im_start|>user\\n{message}<|im_end|>\\n<|im_start|>assistant\\n")
                return "".join(parts)

            def predict(message, history):
                return model.generate(tokenizer(build(message, history))["input_ids"])
            """)
        assert renderer.render(TALK, "generate").text == CHATML
        with_system = Conversation((Message("system", "S"), *TALK.messages))
        assert renderer.render(with_system, "generate").text == "<|im_start|>system\nS<|im_end|>\n" + CHATML

    @pytest.mark.parametrize("read", ['m["role"]', "m.role", 'm.get("role")'])
    def test_fastapi_list(self, make: Make, read: str) -> None:
        content = read.replace("role", "content")
        renderer = make(f"""
            @app.post("/v1/chat/completions")
            async def chat(request: ChatRequest) -> Answer:
                prompt = to_prompt(request.messages)
                ids = tokenizer(prompt, add_special_tokens=False).input_ids
                return await run(ids)

            def to_prompt(messages):
                text = ""
                for m in messages:
                    if {read} == "user":
                        text += "<|im_start|>user\\n" + {content} + "<|im_end|>\\n"
                    else:
                        text += "<|im_start|>assistant\\n" + {content} + "<|im_end|>\\n"
                return text + "<|im_start|>assistant\\n"
            """)
        assert renderer.render(TALK, "generate").text == CHATML
        assert renderer.notes == []
        with pytest.raises(Unsupported, match="no role for 'system'"):
            renderer.render(Conversation.of(("system", "S"), ("user", "a")), "generate")

    def test_call_site_changes_the_message(self, make: Make) -> None:
        """What the app does to the text before it reaches the builder counts."""
        source = (
            STREAMLIT
            + """
    def main():
        if prompt := st.chat_input("Ask"):
            full = combine_history(prompt.strip())
            st.session_state.messages.append({"role": "user", "content": prompt})
    """
        )
        renderer = make(source)
        assert renderer.render(Conversation.of(("user", " a ")), "generate").text.startswith("<|im_start|>user\na<")
        with pytest.raises(Unsupported, match="sends nothing for this message"):
            renderer.render(Conversation.of(("user", "")), "generate")

    def test_message_appended_before_the_call(self, make: Make) -> None:
        """A user message that is appended first and then given again stands twice."""
        source = (
            STREAMLIT
            + """
    def main():
        if prompt := st.chat_input("Ask"):
            st.session_state.messages.append({"role": "user", "content": prompt})
            full = combine_history(prompt)
    """
        )
        text = make(source).render(Conversation.of(("user", "a")), "generate").text
        assert text.count("<|im_start|>user\na<|im_end|>\n") == 2

    def test_call_site_that_cannot_run(self, make: Make) -> None:
        source = (
            STREAMLIT
            + """
    def main():
        prompt = fetch_from_somewhere()
        full = combine_history(prompt)
    """
        )
        renderer = make(source)
        assert renderer.render(TALK, "generate").text == CHATML
        assert "run on its own" in renderer.notes[0]

    def test_roles_option(self, make: Make) -> None:
        source = STREAMLIT.replace('== "user"', '== "q"').replace('== "robot"', '== "a"')
        with pytest.raises(UsageError, match=r"which of the script's roles is the user: q, a") as caught:
            make(source)
        assert "roles = {" in (caught.value.hint or "")
        renderer = make(source, roles={"user": "q", "assistant": "a"})
        assert renderer.render(TALK, "generate").text == CHATML

    def test_unsupported(self, make: Make) -> None:
        renderer = make(STREAMLIT)
        for conversation, why in [
            (Conversation.of(("user", "a"), ("assistant", "b")), "prompts only"),
            (Conversation.of(("user", "a"), ("tool", "b")), "user message last"),
            (Conversation.of(("tool", "b"), ("user", "a")), "no role for 'tool'"),
            (Conversation((Message("user", "a", (("name", '"x"'),)),)), "does not hold name"),
        ]:
            with pytest.raises(Unsupported, match=why):
                renderer.render(conversation, "generate")

    def test_origins_name_the_line_inside_a_literal(self, make: Make) -> None:
        source = (EXAMPLES / "internlm2" / "web_demo.py").read_text(encoding="utf-8")
        renderer = make(source)
        line = source.split("    <|im_start|>assistant")[0].count("\n") + 1
        [stray] = [o for o in renderer.source_literals if o.value == "    <|im_start|>assistant\n"]
        assert (stray.where, stray.name) == (f"app.py:{line}", "cur_query_prompt")
        whole = [o for o in renderer.source_literals if "{user}<|im_end|>\n    <" in o.value]
        assert [o.where for o in whole] == [f"app.py:{line - 1}"]
        assert any(o.name == "meta_instruction" for o in renderer.source_literals)
        assert any(o.value == "<s><|im_start|>system\n" for o in renderer.source_literals)
        assert not any("like to know" in o.value or o.value in {"role", "user"} for o in renderer.source_literals)


SYSTEM = """
    import streamlit as st

    def build(prompt):
        text = f"<|im_start|>system\\n{st.session_state.system_prompt}<|im_end|>\\n"
        for m in st.session_state.messages:
            text += f"<|im_start|>{m['role']}\\n{m['content']}<|im_end|>\\n" if m["role"] != "x" else ""
        return text + f"<|im_start|>user\\n{prompt}<|im_end|>\\n<|im_start|>assistant\\n"

    ids = tokenizer(build(st.chat_input()))
"""


class TestSystem:
    def test_injected_text_and_deployment(self, make: Make) -> None:
        source = STREAMLIT.replace('total = ""', 'total = "<|im_start|>system\\nOwn<|im_end|>\\n"')
        renderer = make(source, system="Own")
        rendering = renderer.render(Conversation.of(("system", "Own"), ("user", "a")), "generate")
        assert rendering.text.startswith("<|im_start|>system\nOwn<|im_end|>\n<|im_start|>user\na")
        assert [span.message for span in rendering.contents or ()] == [1]
        with pytest.raises(Unsupported, match="no role for 'system'"):
            renderer.render(Conversation.of(("system", "Other"), ("user", "a")), "generate")

    def test_from_session_state(self, make: Make) -> None:
        with pytest.raises(UsageError, match="gives no first value") as caught:
            make(SYSTEM)
        assert caught.value.where == "app.py:4"
        assert "`system`" in (caught.value.hint or "")
        text = make(SYSTEM, system="Be kind").render(Conversation.of(("user", "a")), "generate").text
        assert text.startswith("<|im_start|>system\nBe kind<|im_end|>\n")
        first = SYSTEM.replace(
            "    def build", '    st.session_state.setdefault("system_prompt", "First")\n    def build'
        )
        assert "\nFirst<" in make(first).render(Conversation.of(("user", "a")), "generate").text

    def test_parameter(self, make: Make) -> None:
        source = """
            def respond(message, history, system_message="Default"):
                text = "<|im_start|>system\\n" + system_message + "<|im_end|>\\n"
                for user, bot in history:
                    text += user + bot
                inputs = tokenizer(text + message)
            """
        one = Conversation.of(("user", "a"))
        assert make(source).render(one, "generate").text == "<|im_start|>system\nDefault<|im_end|>\na"
        assert make(source, system="S").render(one, "generate").text == "<|im_start|>system\nS<|im_end|>\na"

    def test_text_box(self, make: Make) -> None:
        """A box for the system prompt is not the box for the message."""
        source = """
            import streamlit as st

            with st.sidebar:
                limit = st.slider("max_length", 0, 1024, 512, step=1)
                system_prompt = st.text_input("System prompt", "First")

            if prompt := st.chat_input():
                st.session_state.messages.append({"role": "user", "content": prompt})
                prompt = system_prompt + "<sep>".join(m["content"] for m in st.session_state.messages) + "<sep>"
                inputs = tokenizer(text=prompt, return_tensors="pt")["input_ids"].cuda()
            """
        renderer = make(source)
        assert renderer.render(TALK, "generate").text == "FirstHi<sep>Yo<sep>Bye<sep>"
        assert renderer.describe()["generation"] == {"max_length": {"value": 512, "line": 4}}
        assert make(source, system="S").render(TALK, "generate").text == "SHi<sep>Yo<sep>Bye<sep>"
        asked = make(source.replace("st.chat_input()", 'st.text_input("You:")'))
        assert asked.render(TALK, "generate").text == "FirstHi<sep>Yo<sep>Bye<sep>"


MODULE = """
    import streamlit as st

    if "messages" not in st.session_state:
        st.session_state["messages"] = []
    for m in st.session_state.messages:
        st.chat_message(m["role"]).write(m["content"])

    if prompt := st.chat_input():
        st.session_state.messages.append({"role": "user", "content": prompt})
        with st.chat_message("assistant"):
            text = tokenizer.apply_chat_template(
                st.session_state.messages, tokenize=False, add_generation_prompt=True
            )
            inputs = tokenizer([text], return_tensors="pt").to(model.device)
            out = model.generate(**inputs, max_new_tokens=512)
        st.session_state.messages.append({"role": "assistant", "content": out})
"""


class TestChatTemplate:
    def test_second_bos(self, make: Make, tokenizer: Tokenizer) -> None:
        renderer = make(MODULE)
        rendering = renderer.render(TALK, "generate")
        assert rendering.text == "<s>" + CHATML
        assert rendering.ids == tuple(tokenizer.hf("<s>" + CHATML)["input_ids"])
        assert rendering.ids[:2] == (1, 1)
        assert renderer.describe()["function"] == {"name": "<module>", "kind": "template", "line": 11}
        assert renderer.describe()["tokenizer_call"] == {"adds_special_tokens": True, "line": 14}
        assert [rendering.text[s.start : s.end] for s in rendering.contents or ()] == ["Hi", "Yo", "Bye"]

    def test_plain_tokenizer_call(self, make: Make) -> None:
        renderer = make(MODULE.replace('return_tensors="pt")', "add_special_tokens=False)"))
        assert renderer.render(TALK, "generate").ids[:2] != (1, 1)

    def test_override(self, make: Make) -> None:
        renderer = make(MODULE, tokenize="without-special-tokens")
        assert renderer.render(TALK, "generate").ids[:2] != (1, 1)

    def test_ids_straight(self, make: Make, tokenizer: Tokenizer) -> None:
        source = """
            import streamlit as st
            prompt = st.chat_input()
            if prompt:
                st.session_state.messages.append({"role": "user", "content": prompt})
                ids = tokenizer.apply_chat_template(st.session_state.messages, GENERATION return_tensors="pt")
            """
        rendering = make(source.replace("GENERATION", "add_generation_prompt=True,")).render(TALK, "generate")
        assert rendering.text == "<s>" + CHATML
        assert rendering.ids == tuple(tokenizer.hf("<s>" + CHATML, add_special_tokens=False)["input_ids"])
        without = make(source.replace("GENERATION", "")).render(TALK, "generate")
        assert without.text == "<s>" + CHATML.removesuffix("<|im_start|>assistant\n")

    def test_greeting(self, make: Make) -> None:
        source = MODULE.replace('["messages"] = []', '["messages"] = [{"role": "assistant", "content": "Hello?"}]')
        renderer = make(source)
        text = renderer.render(Conversation.of(("user", "a")), "generate").text
        assert text.startswith("<s><|im_start|>assistant\nHello?<|im_end|>\n<|im_start|>user\na<")
        assert renderer.describe()["greeting"]["line"] == 4
        assert any(note.startswith("app.py:4: the history starts with 1 message") for note in renderer.notes)

    def test_literal_system_and_more_arguments(self, make: Make) -> None:
        source = MODULE.replace(
            "st.session_state.messages, tokenize",
            '[{"role": "system", "content": "S"}] + st.session_state.messages, enable_thinking=False, '
            'chat_template="{% for m in messages %}[{{ m.role }}{{ enable_thinking }}]{{ m.content }}{% endfor %}",'
            " tokenize",
        )
        renderer = make(source, system="S")
        rendering = renderer.render(Conversation.of(("system", "S"), ("user", "a")), "generate")
        assert rendering.text == "[systemFalse]S[userFalse]a"
        assert [span.message for span in rendering.contents or ()] == [1]
        with pytest.raises(Unsupported, match="supplies the system message itself"):
            renderer.render(Conversation.of(("system", "T"), ("user", "a")), "generate")

    def test_gradio_builds_a_list(self, make: Make) -> None:
        renderer = make("""
            def predict(message, history):
                messages = []
                for pair in history:
                    messages.append({"role": "user", "content": pair[0]})
                    messages.append({"role": "assistant", "content": pair[1]})
                messages.append({"role": "user", "content": message})
                text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
                text = text.removeprefix(tokenizer.bos_token)
                model_inputs = tokenizer([text], return_tensors="pt").to("cuda")
                return model.generate(**model_inputs)
            """)
        rendering = renderer.render(TALK, "generate")
        assert rendering.text == CHATML
        assert rendering.ids[0] == 1 and rendering.ids[1] != 1

    def test_called_with_a_system_message(self, make: Make) -> None:
        """The list is made where the helper is called."""
        renderer = make("""
            import streamlit as st

            def generate(messages):
                inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
                return model.generate(inputs)

            if prompt := st.chat_input():
                st.session_state.messages.append({"role": "user", "content": prompt})
                answer = generate([{"role": "system", "content": "S"}] + st.session_state.messages)
            """)
        assert renderer.render(TALK, "generate").text == "<s><|im_start|>system\nS<|im_end|>\n" + CHATML

    def test_template_that_refuses(self, make: Make) -> None:
        renderer = make("""
            def chat(messages):
                template = "{% if messages[0].content == 'no' %}{{ raise_exception('not this') }}{% endif %}" \\
                    "{% for m in messages %}{{ m.content }}{% endfor %}"
                return tokenizer.apply_chat_template(messages, chat_template=template)
            """)
        assert renderer.render(Conversation.of(("user", "yes")), "generate").text == "yes"
        with pytest.raises(Unsupported, match="not this"):
            renderer.render(Conversation.of(("user", "no")), "generate")
        assert renderer.render(Conversation.of(("user", "yes")), "generate").text == "yes"


class TestStops:
    @pytest.mark.parametrize(
        ("call", "expected"),
        [
            ("additional_eos_token_id=92542", [(92542, None)]),
            ('eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>")', [(1063, None)]),
            ("eos_token_id=[2, 92542]", [(2, None), (92542, None)]),
            (
                'eos_token_id=[tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(["<|im_end|>"])]',
                [(2, None), (1063, None)],
            ),
            ("eos_token_id=tokenizer.eos_token_id", [(2, None)]),
            ('stop_words=["<|im_end|>"]', [(None, "<|im_end|>")]),
            ('stop_token_ids=tokenizer.encode("<|im_end|>", add_special_tokens=False)', [(1063, None)]),
        ],
    )
    def test_values(self, make: Make, call: str, expected: list[tuple[int | None, str | None]]) -> None:
        renderer = make(STREAMLIT.replace("model.generate(**inputs)", f"model.generate(**inputs, {call})"))
        assert renderer.served is not None
        assert [(stop.id, stop.text) for stop in renderer.served.stops] == expected
        assert renderer.served.stops[0].source == f"app.py:19 {call.split('=')[0]}"
        assert all(stop.by_text == (stop.text is not None) for stop in renderer.served.stops)

    def test_adds_or_replaces(self, make: Make) -> None:
        own = (Stop("generation_config.json", id=7),)
        added = make(STREAMLIT.replace("**inputs)", "**inputs, additional_eos_token_id=5)"), stop_ids=own)
        assert [stop.id for stop in added.served.stops] == [5, 7]  # type: ignore[union-attr]
        replaced = make(STREAMLIT.replace("**inputs)", "**inputs, eos_token_id=5)"), stop_ids=own)
        assert [stop.id for stop in replaced.served.stops] == [5]  # type: ignore[union-attr]
        left = make(STREAMLIT, stop_ids=own)
        assert [stop.id for stop in left.served.stops] == [7]  # type: ignore[union-attr]

    def test_unknown(self, make: Make) -> None:
        served = make(STREAMLIT).served
        assert served is not None and served.stops == ()
        assert served.unknown is not None and "generation_config.json" in served.unknown

    def test_default_values_and_notes(self, make: Make) -> None:
        source = STREAMLIT.replace(
            "def run(model,",
            "def go(*, additional_eos_token_id=103028):\n        eos_token_id = fetch()\n    def run(model,",
        )
        renderer = make(source)
        assert [stop.id for stop in renderer.served.stops] == [103028]  # type: ignore[union-attr]
        assert any("eos_token_id = fetch() cannot be read" in note for note in renderer.notes)


class TestGeneration:
    def test_places(self, make: Make) -> None:
        source = (
            STREAMLIT
            + """
    class Settings:
        max_length: int = 32768
        top_p: float = 0.9
        repetition_penalty: float = 1.005

    top_p = st.slider("Top P", 0.0, 1.0, 0.8, step=0.01)
    heat = st.slider("Temperature", min_value=0.0, max_value=1.0, value=0.7)
    k = gr.Slider(1, 100, 40, label="Top-k")
    model.generate(do_sample=True, max_new_tokens=64)
    """
        )
        found = make(source).describe()["generation"]
        lines = {
            name: line_of(source, part)
            for name, part in [
                ("max_length", "max_length:"),
                ("top_p", "top_p = st"),
                ("temperature", "heat ="),
                ("top_k", "k = gr"),
                ("do_sample", "model.generate(do"),
                ("max_new_tokens", "model.generate(do"),
                ("repetition_penalty", "repetition_penalty:"),
            ]
        }
        values = {
            "max_length": 32768,
            "top_p": 0.8,
            "temperature": 0.7,
            "top_k": 40,
            "do_sample": True,
            "max_new_tokens": 64,
            "repetition_penalty": 1.005,
        }
        assert found == {name: {"value": values[name], "line": lines[name]} for name in found}
        assert set(found) == set(values)


def said(error: TemplateChecksError) -> str:
    return str(error)


class TestErrors:
    def test_missing_script(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        table = WebUIRenderer.Options(type="web-ui", script="nowhere.py")
        with pytest.raises(UsageError, match="No such file"):
            WebUIRenderer("web_ui", table, Context(tokenizer, tmp_path))

    @pytest.mark.parametrize(
        ("source", "kind", "parts"),
        [
            ("x = 1\nif x\n    y = 2\n", ArtefactError, ["not valid Python", "app.py:2"]),
            ("print('no UI')\n", ArtefactError, ["no prompt builder", "looked for", "`python` renderer"]),
            (
                "for r, h in model.stream_chat(tokenizer, prompt, history):\n    pass\n",
                ArtefactError,
                ["`stream_chat` in the model's remote code", "app.py:1"],
            ),
            (
                "from prompts import combine_history\ninputs = tokenizer(combine_history(prompt))\n",
                ArtefactError,
                ["'combine_history' is imported from 'prompts'", "app.py:1"],
            ),
            (
                STREAMLIT.replace("USER = ", "from prompts import USER\n    OTHER = "),
                ArtefactError,
                ["combine_history", "`USER` from `prompts` (imported on line 3)", "not run here", "app.py:7"],
            ),
            (
                STREAMLIT.replace("inputs = tokenizer([prompt]", "inputs = client([prompt]"),
                UsageError,
                ["How the prompt is tokenized cannot be found", "tokenize ="],
            ),
            (
                STREAMLIT.replace("padding=True", "add_special_tokens=FLAG"),
                UsageError,
                ["cannot be read from the script", "app.py:18", "tokenize ="],
            ),
            (
                STREAMLIT.replace(
                    'total = ""', "total = ''\n        for a in st.session_state.other: total += a['content']"
                ),
                UsageError,
                ["Several session keys", "other (line 8), messages (line 9)", "session_key"],
            ),
            (
                STREAMLIT.replace("return total", "print(().__class__)\n        return total"),
                ArtefactError,
                ["`.__class__`", "refused in the sandbox", "app.py:15"],
            ),
        ],
    )
    def test_messages(self, make: Make, source: str, kind: type[TemplateChecksError], parts: list[str]) -> None:
        with pytest.raises(kind) as caught:
            make(source)
        assert [part for part in parts if part not in said(caught.value)] == []

    def test_several_builders(self, make: Make) -> None:
        other = STREAMLIT.split("def combine_history")[1].split("    def run")[0]
        source = STREAMLIT.replace("    def run", "    def combine_history_p2" + other + "    def run")
        with pytest.raises(UsageError) as caught:
            make(source)
        assert "combine_history (app.py:6), combine_history_p2 (app.py:17)" in said(caught.value)
        assert 'function = "combine_history"' in said(caught.value)
        assert make(source, function="combine_history_p2").describe()["function"]["line"] == 17

    def test_unknown_function(self, make: Make) -> None:
        with pytest.raises(UsageError) as caught:
            make(STREAMLIT, function="combine_histroy")
        assert "did you mean 'combine_history'?" in said(caught.value)
        with pytest.raises(UsageError, match=r"does not read st\.session_state\.nothing"):
            make(STREAMLIT, session_key="nothing")

    def test_failure_while_rendering(self, make: Make) -> None:
        renderer = make(STREAMLIT.replace('total = ""', 'total = "" if prompt != "!" else 1 / 0'))
        with pytest.raises(RenderError, match=r"app\.py:7: the prompt builder fails: ZeroDivisionError"):
            renderer.render(Conversation.of(("user", "!")), "generate")
        assert renderer.render(TALK, "generate").text == CHATML
