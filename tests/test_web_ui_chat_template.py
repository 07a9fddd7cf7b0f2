"""The `web-ui` renderer: scripts that use the chat template."""

from __future__ import annotations

import pytest

from template_checks.core.conversation import Conversation
from template_checks.core.errors import Unsupported
from template_checks.core.tokenizer import Tokenizer
from tests.web_ui import CHATML, TALK, Make

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


def test_second_bos(web_ui: Make, embedded: Tokenizer) -> None:
    renderer = web_ui(MODULE)
    rendering = renderer.render(TALK, "generate")
    assert rendering.text == "<s>" + CHATML
    assert rendering.ids == tuple(embedded.hf("<s>" + CHATML)["input_ids"])
    assert rendering.ids[:2] == (1, 1)
    assert renderer.describe()["function"] == {"name": "<module>", "kind": "template", "line": 11}
    assert renderer.describe()["tokenizer_call"] == {"adds_special_tokens": True, "line": 14}
    assert [rendering.text[s.start : s.end] for s in rendering.contents or ()] == ["Hi", "Yo", "Bye"]


def test_plain_tokenizer_call(web_ui: Make) -> None:
    renderer = web_ui(MODULE.replace('return_tensors="pt")', "add_special_tokens=False)"))
    assert renderer.render(TALK, "generate").ids[:2] != (1, 1)


def test_override(web_ui: Make) -> None:
    renderer = web_ui(MODULE, tokenize="without-special-tokens")
    assert renderer.render(TALK, "generate").ids[:2] != (1, 1)


def test_ids_straight(web_ui: Make, embedded: Tokenizer) -> None:
    source = """
        import streamlit as st
        prompt = st.chat_input()
        if prompt:
            st.session_state.messages.append({"role": "user", "content": prompt})
            ids = tokenizer.apply_chat_template(st.session_state.messages, GENERATION return_tensors="pt")
        """
    rendering = web_ui(source.replace("GENERATION", "add_generation_prompt=True,")).render(TALK, "generate")
    assert rendering.text == "<s>" + CHATML
    assert rendering.ids == tuple(embedded.hf("<s>" + CHATML, add_special_tokens=False)["input_ids"])
    without = web_ui(source.replace("GENERATION", "")).render(TALK, "generate")
    assert without.text == "<s>" + CHATML.removesuffix("<|im_start|>assistant\n")


def test_greeting(web_ui: Make) -> None:
    source = MODULE.replace('["messages"] = []', '["messages"] = [{"role": "assistant", "content": "Hello?"}]')
    renderer = web_ui(source)
    text = renderer.render(Conversation.of(("user", "a")), "generate").text
    assert text.startswith("<s><|im_start|>assistant\nHello?<|im_end|>\n<|im_start|>user\na<")
    assert renderer.describe()["greeting"]["line"] == 4
    assert any(note.startswith("app.py:4: the history starts with 1 message") for note in renderer.notes)


def test_literal_system_and_more_arguments(web_ui: Make) -> None:
    source = MODULE.replace(
        "st.session_state.messages, tokenize",
        '[{"role": "system", "content": "S"}] + st.session_state.messages, enable_thinking=False, '
        'chat_template="{% for m in messages %}[{{ m.role }}{{ enable_thinking }}]{{ m.content }}{% endfor %}",'
        " tokenize",
    )
    renderer = web_ui(source, system="S")
    rendering = renderer.render(Conversation.of(("system", "S"), ("user", "a")), "generate")
    assert rendering.text == "[systemFalse]S[userFalse]a"
    assert [span.message for span in rendering.contents or ()] == [1]
    with pytest.raises(Unsupported, match="supplies the system message itself"):
        renderer.render(Conversation.of(("system", "T"), ("user", "a")), "generate")


def test_gradio_builds_a_list(web_ui: Make) -> None:
    renderer = web_ui("""
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


def test_called_with_a_system_message(web_ui: Make) -> None:
    """The list is made where the helper is called."""
    renderer = web_ui("""
        import streamlit as st

        def generate(messages):
            inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
            return model.generate(inputs)

        if prompt := st.chat_input():
            st.session_state.messages.append({"role": "user", "content": prompt})
            answer = generate([{"role": "system", "content": "S"}] + st.session_state.messages)
        """)
    assert renderer.render(TALK, "generate").text == "<s><|im_start|>system\nS<|im_end|>\n" + CHATML


def test_template_that_refuses(web_ui: Make) -> None:
    renderer = web_ui("""
        def chat(messages):
            template = "{% if messages[0].content == 'no' %}{{ raise_exception('not this') }}{% endif %}" \\
                "{% for m in messages %}{{ m.content }}{% endfor %}"
            return tokenizer.apply_chat_template(messages, chat_template=template)
        """)
    assert renderer.render(Conversation.of(("user", "yes")), "generate").text == "yes"
    with pytest.raises(Unsupported, match="not this"):
        renderer.render(Conversation.of(("user", "no")), "generate")
    assert renderer.render(Conversation.of(("user", "yes")), "generate").text == "yes"
