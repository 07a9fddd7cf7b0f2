"""The `web-ui` renderer: where generation stops, and its other settings."""

from __future__ import annotations

import pytest

from template_checks.core.rendering import Stop
from tests.web_ui import STREAMLIT, Make, line_of


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
def test_stops_are_read(web_ui: Make, call: str, expected: list[tuple[int | None, str | None]]) -> None:
    renderer = web_ui(STREAMLIT.replace("model.generate(**inputs)", f"model.generate(**inputs, {call})"))
    assert renderer.served is not None
    assert [(stop.id, stop.text) for stop in renderer.served.stops] == expected
    assert renderer.served.stops[0].source == f"app.py:19 {call.split('=')[0]}"
    assert all(stop.by_text == (stop.text is not None) for stop in renderer.served.stops)


def test_stops_are_added_or_replace_others(web_ui: Make) -> None:
    own = (Stop("generation_config.json", id=7),)
    added = web_ui(STREAMLIT.replace("**inputs)", "**inputs, additional_eos_token_id=5)"), stop_ids=own)
    assert [stop.id for stop in added.served.stops] == [5, 7]  # type: ignore[union-attr]
    replaced = web_ui(STREAMLIT.replace("**inputs)", "**inputs, eos_token_id=5)"), stop_ids=own)
    assert [stop.id for stop in replaced.served.stops] == [5]  # type: ignore[union-attr]
    left = web_ui(STREAMLIT, stop_ids=own)
    assert [stop.id for stop in left.served.stops] == [7]  # type: ignore[union-attr]


def test_stops_may_be_unknown(web_ui: Make) -> None:
    served = web_ui(STREAMLIT).served
    assert served is not None and served.stops == ()
    assert served.unknown is not None and "generation_config.json" in served.unknown


def test_stops_from_default_values(web_ui: Make) -> None:
    source = STREAMLIT.replace(
        "def run(model,",
        "def go(*, additional_eos_token_id=103028):\n        eos_token_id = fetch()\n    def run(model,",
    )
    renderer = web_ui(source)
    assert [stop.id for stop in renderer.served.stops] == [103028]  # type: ignore[union-attr]
    assert any("eos_token_id = fetch() cannot be read" in note for note in renderer.notes)


def test_generation_settings_and_their_places(web_ui: Make) -> None:
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
    found = web_ui(source).describe()["generation"]
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
