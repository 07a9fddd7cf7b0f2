"""The `web-ui` renderer: what it says where it finds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from template_checks.core.conversation import Conversation
from template_checks.core.errors import ArtefactError, RenderError, TemplateChecksError, UsageError
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.base import Context
from template_checks.renderers.web_ui.renderer import WebUIRenderer
from tests.web_ui import CHATML, STREAMLIT, TALK, Make


def said(error: TemplateChecksError) -> str:
    return str(error)


def test_missing_script(embedded: Tokenizer, tmp_path: Path) -> None:
    table = WebUIRenderer.Options(type="web-ui", script="nowhere.py")
    with pytest.raises(UsageError, match="No such file"):
        WebUIRenderer("web_ui", table, Context(embedded, tmp_path))


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
def test_what_is_wrong_is_said(web_ui: Make, source: str, kind: type[TemplateChecksError], parts: list[str]) -> None:
    with pytest.raises(kind) as caught:
        web_ui(source)
    assert [part for part in parts if part not in said(caught.value)] == []


def test_several_builders(web_ui: Make) -> None:
    other = STREAMLIT.split("def combine_history")[1].split("    def run")[0]
    source = STREAMLIT.replace("    def run", "    def combine_history_p2" + other + "    def run")
    with pytest.raises(UsageError) as caught:
        web_ui(source)
    assert "combine_history (app.py:6), combine_history_p2 (app.py:17)" in said(caught.value)
    assert 'function = "combine_history"' in said(caught.value)
    assert web_ui(source, function="combine_history_p2").describe()["function"]["line"] == 17


def test_unknown_function(web_ui: Make) -> None:
    with pytest.raises(UsageError) as caught:
        web_ui(STREAMLIT, function="combine_histroy")
    assert "did you mean 'combine_history'?" in said(caught.value)
    with pytest.raises(UsageError, match=r"does not read st\.session_state\.nothing"):
        web_ui(STREAMLIT, session_key="nothing")


def test_failure_while_rendering(web_ui: Make) -> None:
    renderer = web_ui(STREAMLIT.replace('total = ""', 'total = "" if prompt != "!" else 1 / 0'))
    with pytest.raises(RenderError, match=r"app\.py:7: the prompt builder fails: ZeroDivisionError"):
        renderer.render(Conversation.of(("user", "!")), "generate")
    assert renderer.render(TALK, "generate").text == CHATML
