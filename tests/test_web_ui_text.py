"""The `web-ui` renderer: scripts of every shape that put the prompt together as text."""

from __future__ import annotations

import json

import pytest

from template_checks.core.conversation import Conversation, Message
from template_checks.core.errors import Unsupported, UsageError
from template_checks.core.tokenizer import Tokenizer
from tests.systems import EXAMPLES
from tests.web_ui import CHATML, STREAMLIT, TALK, Make


def test_streamlit_function(web_ui: Make, embedded: Tokenizer) -> None:
    renderer = web_ui(STREAMLIT)
    rendering = renderer.render(TALK, "generate")
    assert rendering.text == CHATML
    assert rendering.ids == tuple(embedded.hf(CHATML)["input_ids"])
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
def test_names_vary(web_ui: Make, old: str, new: str) -> None:
    source = STREAMLIT.replace(old, new)
    assert source != STREAMLIT
    assert web_ui(source).render(TALK, "generate").text == CHATML


def test_match_and_dict_lookup_and_helpers(web_ui: Make) -> None:
    renderer = web_ui('''
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


def test_gradio_pairs(web_ui: Make) -> None:
    renderer = web_ui("""
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


def test_gradio_dicts(web_ui: Make) -> None:
    renderer = web_ui("""
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
def test_fastapi_list(web_ui: Make, read: str) -> None:
    content = read.replace("role", "content")
    renderer = web_ui(f"""
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


def test_call_site_changes_the_message(web_ui: Make) -> None:
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
    renderer = web_ui(source)
    assert renderer.render(Conversation.of(("user", " a ")), "generate").text.startswith("<|im_start|>user\na<")
    with pytest.raises(Unsupported, match="sends nothing for this message"):
        renderer.render(Conversation.of(("user", "")), "generate")


def test_message_appended_before_the_call(web_ui: Make) -> None:
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
    text = web_ui(source).render(Conversation.of(("user", "a")), "generate").text
    assert text.count("<|im_start|>user\na<|im_end|>\n") == 2


def test_call_site_that_cannot_run(web_ui: Make) -> None:
    source = (
        STREAMLIT
        + """
    def main():
        prompt = fetch_from_somewhere()
        full = combine_history(prompt)
    """
    )
    renderer = web_ui(source)
    assert renderer.render(TALK, "generate").text == CHATML
    assert "run on its own" in renderer.notes[0]


def test_roles_option(web_ui: Make) -> None:
    source = STREAMLIT.replace('== "user"', '== "q"').replace('== "robot"', '== "a"')
    with pytest.raises(UsageError, match=r"which of the script's roles is the user: q, a") as caught:
        web_ui(source)
    assert "roles = {" in (caught.value.hint or "")
    renderer = web_ui(source, roles={"user": "q", "assistant": "a"})
    assert renderer.render(TALK, "generate").text == CHATML


def test_what_the_app_cannot_take(web_ui: Make) -> None:
    renderer = web_ui(STREAMLIT)
    for conversation, why in [
        (Conversation.of(("user", "a"), ("assistant", "b")), "prompts only"),
        (Conversation.of(("user", "a"), ("tool", "b")), "user message last"),
        (Conversation.of(("tool", "b"), ("user", "a")), "no role for 'tool'"),
        (Conversation((Message("user", "a", (("name", '"x"'),)),)), "does not hold name"),
    ]:
        with pytest.raises(Unsupported, match=why):
            renderer.render(conversation, "generate")


def test_origins_name_the_line_inside_a_literal(web_ui: Make) -> None:
    source = (EXAMPLES / "internlm2" / "web_demo.py").read_text(encoding="utf-8")
    renderer = web_ui(source)
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


def test_injected_text_and_deployment(web_ui: Make) -> None:
    source = STREAMLIT.replace('total = ""', 'total = "<|im_start|>system\\nOwn<|im_end|>\\n"')
    renderer = web_ui(source, system="Own")
    rendering = renderer.render(Conversation.of(("system", "Own"), ("user", "a")), "generate")
    assert rendering.text.startswith("<|im_start|>system\nOwn<|im_end|>\n<|im_start|>user\na")
    assert [span.message for span in rendering.contents or ()] == [1]
    with pytest.raises(Unsupported, match="no role for 'system'"):
        renderer.render(Conversation.of(("system", "Other"), ("user", "a")), "generate")


def test_system_text_from_session_state(web_ui: Make) -> None:
    with pytest.raises(UsageError, match="gives no first value") as caught:
        web_ui(SYSTEM)
    assert caught.value.where == "app.py:4"
    assert "`system`" in (caught.value.hint or "")
    text = web_ui(SYSTEM, system="Be kind").render(Conversation.of(("user", "a")), "generate").text
    assert text.startswith("<|im_start|>system\nBe kind<|im_end|>\n")
    first = SYSTEM.replace("    def build", '    st.session_state.setdefault("system_prompt", "First")\n    def build')
    assert "\nFirst<" in web_ui(first).render(Conversation.of(("user", "a")), "generate").text


def test_system_text_from_a_parameter(web_ui: Make) -> None:
    source = """
        def respond(message, history, system_message="Default"):
            text = "<|im_start|>system\\n" + system_message + "<|im_end|>\\n"
            for user, bot in history:
                text += user + bot
            inputs = tokenizer(text + message)
        """
    one = Conversation.of(("user", "a"))
    assert web_ui(source).render(one, "generate").text == "<|im_start|>system\nDefault<|im_end|>\na"
    assert web_ui(source, system="S").render(one, "generate").text == "<|im_start|>system\nS<|im_end|>\na"


def test_a_text_box_for_the_system_prompt(web_ui: Make) -> None:
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
    renderer = web_ui(source)
    assert renderer.render(TALK, "generate").text == "FirstHi<sep>Yo<sep>Bye<sep>"
    assert renderer.describe()["generation"] == {"max_length": {"value": 512, "line": 4}}
    assert web_ui(source, system="S").render(TALK, "generate").text == "SHi<sep>Yo<sep>Bye<sep>"
    asked = web_ui(source.replace("st.chat_input()", 'st.text_input("You:")'))
    assert asked.render(TALK, "generate").text == "FirstHi<sep>Yo<sep>Bye<sep>"
