"""The same JSON written in two ways is recognised, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from template_checks.divergence.json_style import json_style_difference

WAYS = {
    "indented": ('f {"a": [1, {"b": ""}]}', 'f {\n  "a": [\n1, {"b": ""}]}', "white space"),
    "compact": ('{"a": 1, "b": 2}', '{"a":1,"b":2}', "white space"),
    "escaped": ('{"a": "<ß>"}', '{"a": "\\u003c\\u00df\\u003e"}', "escapes"),
    "sorted": ('{"b": 1, "a": {"d": 1, "c": 2}}', '{"a": {"c": 2, "d": 1}, "b": 1}', "order of keys"),
    "two of them": ('{"a": 1}, {"b": 1}', '{"a":1}, {"b":1}', "white space"),
    "another value": ('{"a": 1}', '{"a": 2}', None),
    "another list": ("[1, 2]", "[2, 1]", None),
    "a key less": ('{"a": 1, "b": 2}', '{"a": 1}', None),
    "Python": ('{"a": true}', "{'a': True}", None),
    "another text around": ('x {"a": 1}', 'y {"a":1}', None),
    "another white space around": ('x {"a": 1}', 'x  {"a": 1}', None),
    "no JSON": ("[INST] a", "[INST]  a", None),
    "an object more": ('{"a": 1}', '{"a": 1}{"a": 1}', None),
}


@pytest.mark.parametrize("way", WAYS)
def test_ways(way: str) -> None:
    expected, actual, how = WAYS[way]
    assert json_style_difference(expected, actual) == how
    assert json_style_difference(actual, expected) == how


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=2), VALUES, min_size=1, max_size=3), st.text("a {[", max_size=3))
def test_any_object(value: dict[str, Any], around: str) -> None:
    plain, spread = json.dumps(value, ensure_ascii=False), json.dumps(value, ensure_ascii=False, indent=2)
    assert json_style_difference(around + plain, around + spread) == "white space"
    assert json_style_difference(around + plain, around + json.dumps([value])) is None
