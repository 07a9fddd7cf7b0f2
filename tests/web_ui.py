"""Scripts of web UIs for tests, and what they are asked; the fixture `web_ui` makes renderers of them."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

from template_checks.core.conversation import Conversation
from template_checks.renderers.web_ui.renderer import WebUIRenderer

TALK = Conversation.of(("user", "Hi"), ("assistant", "Yo"), ("user", "Bye"))
CHATML = (
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo<|im_end|>\n"
    "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
)

Make = Callable[..., WebUIRenderer]

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


def line_of(source: str, part: str) -> int:
    return dedent(source).lstrip("\n").split(part)[0].count("\n") + 1
