"""Drawn conversations are ones a deployment could see, and hold what templates and tokenizers trip over."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from template_checks.core.conversation import Conversation, Message
from template_checks.engine.draw import draw_from
from template_checks.engine.profiles import PROFILES
from template_checks.strategies.contents import COMBINING, FRAGMENTS, WHITE_SPACE, contents, fragments
from template_checks.strategies.conversations import conversations, starters

OWN = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")
FEATURES = ("tools", "tool-calls", "reasoning", "parts")
DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "own strings": {"target_strings": OWN},
    "no system": {"roles": ("user", "assistant")},
    "fixed system": {"system": "Be kind.", "target_strings": OWN},
    "an empty fixed system": {"system": ""},
    "fixed system, no system role": {"system": "Be kind.", "roles": ("user", "assistant")},
    "tools": {"features": FEATURES, "target_strings": OWN},
    "reasoning only": {"features": ("reasoning",)},
    "calls without definitions": {"features": ("tool-calls",), "roles": ("user", "assistant")},
}

Kind = Callable[[str], bool]


def holds(*parts: str) -> Kind:
    return lambda text: any(part in text for part in parts)


KINDS: dict[str, Kind] = {
    "empty": lambda text: text == "",
    "white space only": str.isspace,
    "newline first": lambda text: text.startswith("\n"),
    "newline last": lambda text: text.endswith("\n"),
    "space first": lambda text: text.startswith(" "),
    "space last": lambda text: text.endswith(" "),
    "CRLF": holds("\r\n"),
    "CJK": lambda text: re.search("[\u3400-\u9fff\U00020000-\U0003ffff]", text) is not None,
    "emoji": lambda text: re.search("[\U0001f1e6-\U0001faff]", text) is not None,
    "combining": lambda text: any(map(unicodedata.combining, text)),
    "control character": lambda text: re.search(r"[\x00-\x08\x0e-\x1f\x7f]", text) is not None,
    "Jinja braces": holds("{{", "{%", "{#"),
    "format braces": holds("{}", "{0}", "{input}", "{user}"),
    "HTML": holds("<b>", "&amp;", "&", '"'),
    "own strings": holds(*OWN),
}


def assert_possible(conversation: Conversation, options: dict[str, Any]) -> None:
    """What a deployment with these options could send; written without what the strategies use."""
    features, system = options.get("features", ()), options.get("system")
    messages = conversation.to_list()
    letters = "".join(message["role"][0] for message in messages)
    assert re.fullmatch("s?(u(at+)?a){1,3}", letters), letters
    assert letters.count("t") == 0 or "tool-calls" in features
    if system is not None:
        assert messages[0] == {"role": "system", "content": system}
    elif "system" not in options.get("roles", ("system",)):
        assert letters[0] == "u"
    expected: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] == expected.pop(0)
        else:
            assert not expected
            expected = [call["id"] for call in message.get("tool_calls", ())]
            assert len(set(expected)) == len(expected)
    assert not expected
    assert conversation.features <= set(features)
    again = Conversation.from_list(json.loads(json.dumps(conversation.to_data())))
    assert again == conversation
    json.dumps(conversation.to_data(), ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize("name", DEPLOYMENTS)
@given(data=st.data())
def test_whatever_is_drawn_is_possible(name: str, data: st.DataObject) -> None:
    assert_possible(data.draw(conversations(**DEPLOYMENTS[name])), DEPLOYMENTS[name])


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_what_comes_first_is_possible(name: str) -> None:
    fixed = list(starters(**DEPLOYMENTS[name]))
    assert len(set(fixed)) == len(fixed)
    for conversation in fixed:
        assert_possible(conversation, DEPLOYMENTS[name])


def test_every_edge_comes_first_in_every_place() -> None:
    fixed = list(starters(target_strings=OWN))
    edges = {"", "0", *WHITE_SPACE, "a\n", "a ", "a    ", *COMBINING, *OWN, "{user}"}
    for role in ("system", "user", "assistant"):
        assert edges <= {m.content for c in fixed for m in c.messages if m.role == role}, role
    assert {c.roles.count("user") for c in fixed} == {1, 2}


def test_every_feature_comes_first() -> None:
    fixed = list(starters(features=FEATURES))
    assert Counter(feature for c in fixed for feature in c.features).keys() == set(FEATURES)
    assert any(len(m.tool_calls) == 2 for c in fixed for m in c.messages)
    for feature in FEATURES:
        assert {f for c in starters(features=(feature,)) for f in c.features} == {feature}


def drawn(number: int, **options: Any) -> list[Conversation]:
    """As a run with the profile `ci` and this seed draws them."""
    found: list[Conversation] = []

    draw_from(conversations(**options), range(PROFILES["ci"].draws), number, found.append)
    return found


def test_every_kind_of_content_is_drawn() -> None:
    seeds = 5
    runs = [[m.content for c in drawn(number, target_strings=OWN) for m in c.messages] for number in range(seeds)]
    seen = {name: sum(any(map(kind, texts)) for texts in runs) for name, kind in KINDS.items()}
    assert min(seen.values()) >= seeds, seen
    texts = [text for run in runs for text in run]
    "".join(texts).encode("utf-8")
    assert [part for part in (*FRAGMENTS, *OWN) if not any(part in text for text in texts)] == []


def test_every_shape_is_drawn() -> None:
    found = drawn(0, target_strings=OWN, features=FEATURES)
    assert len(found) == 300
    assert {feature for c in found for feature in c.features} == set(FEATURES)
    assert {c.roles.count("user") for c in found} == {1, 2, 3}
    assert {c.roles[0] for c in found} == {"system", "user"}
    assert {len(m.tool_calls) for c in found for m in c.messages} == {0, 1, 2}
    assert {len(m.parts) for c in found for m in c.messages} == {0, 1, 2}
    assert len(set(found)) > 225  # each run of ten begins with the simplest


@pytest.mark.parametrize("name", ["plain", "own strings", "fixed system", "tools"])
def test_the_simplest_is_one_empty_turn(name: str) -> None:
    options = DEPLOYMENTS[name]
    system = [("system", options["system"])] if "system" in options else []
    found = find(conversations(**options), lambda c: True, settings=settings(database=None, max_examples=20))
    assert found == Conversation.of(*system, ("user", ""), ("assistant", ""))


@given(st.data())
def test_a_content_has_few_fragments(data: st.DataObject) -> None:
    most = data.draw(st.integers(0, 4))
    text = data.draw(contents(target_strings=OWN, max_fragments=most))
    longest = max(map(len, fragments(OWN)))
    assert len(text) <= max(4, most * longest)


def test_fragments_are_simplest_first_and_each_once() -> None:
    found = fragments([*OWN, "a", "<s>"])
    assert found[0] == "a"
    assert found[-len(OWN) :] == list(OWN)
    assert len(set(found)) == len(found)


def test_no_turn_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="max_turns"):
        conversations(max_turns=0)
    assert {c.roles.count("user") for c in drawn(0, max_turns=1)} == {1}


# --- a conversation's repr can be pasted into code


@pytest.mark.parametrize("name", DEPLOYMENTS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_drawn_conversation_is_what_its_repr_says(name: str, data: st.DataObject) -> None:
    conversation = data.draw(conversations(**DEPLOYMENTS[name]))
    assert eval(repr(conversation), {"Conversation": Conversation}) == conversation


MESSAGES = st.builds(
    Message,
    st.text(max_size=3),
    st.text(st.characters(exclude_categories=()), max_size=3),
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["1", "1.0", "NaN", '{"a":1}', "null"]))).map(tuple),
    st.lists(st.sampled_from(["a", "\ud800"])).map(tuple),
)


@given(st.lists(MESSAGES, max_size=3).map(tuple), st.lists(st.sampled_from(["{}", '{"a": 1}', "NaN"])).map(tuple))
@settings(deadline=None)
def test_any_conversation_is_what_its_repr_says(messages: tuple[Message, ...], tools: tuple[str, ...]) -> None:
    conversation = Conversation(messages, tools)
    assert eval(repr(conversation), {"Conversation": Conversation, "Message": Message}) == conversation


def test_the_repr_is_as_short_as_it_can_be() -> None:
    plain = Conversation.of(("user", "hi"), ("assistant", ""))
    assert repr(plain) == "Conversation.of(('user', 'hi'), ('assistant', ''))"
    tools = Conversation.from_list({"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function"}]})
    assert repr(tools) == (
        "Conversation.from_list({'messages': [{'role': 'user', 'content': 'hi'}], 'tools': [{'type': 'function'}]})"
    )
