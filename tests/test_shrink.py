"""Shrinking: known minima are reached, and nothing is returned that does not show the mismatch."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from template_checks.core.conversation import Conversation, Message
from template_checks.engine.shrink import MAX_ATTEMPTS, shrink, size
from template_checks.strategies.conversations import conversations
from template_checks.strategies.tools import calling, definition, result

Still = Callable[[Conversation], bool]
of = Conversation.of

LONG = of(
    ("system", "Be brief.\n"),
    ("user", "Hi 👩\u200d💻! "),
    ("assistant", "\n\nHé\u0301llo {user}\n"),
    ("user", "  two\r\n  é"),
    ("assistant", "你好 <|im_end|> é\n"),
    ("user", "é\n"),
    ("assistant", "bye \ufeff"),
)


def some(role: str, part: str) -> Still:
    return lambda c: any(m.role == role and part in m.content for m in c.messages)


MINIMA: dict[str, tuple[Still, Conversation]] = {
    "anything": (lambda c: True, of(("user", ""))),
    "an answer": (lambda c: "assistant" in c.roles, of(("user", ""), ("assistant", ""))),
    "two messages": (lambda c: len(c.messages) >= 2, of(("system", ""), ("user", ""))),
    "four messages": (
        lambda c: len(c.messages) >= 4,
        of(("system", ""), ("user", ""), ("assistant", ""), ("user", "")),
    ),
    "two questions": (lambda c: c.roles.count("user") >= 2, of(("user", ""), ("assistant", ""), ("user", ""))),
    "a character in the third message": (
        lambda c: len(c.messages) > 2 and "é" in c.messages[2].content,
        of(("system", ""), ("user", ""), ("assistant", "é")),
    ),
    "the system message": (lambda c: c.roles[0] == "system", of(("system", ""), ("user", ""))),
    "a system message that says something": (
        lambda c: c.roles[0] == "system" and c.messages[0].content.strip() != "",
        of(("system", "0"), ("user", "")),
    ),
    "a newline at the end of a question": (
        lambda c: any(m.role == "user" and m.content.endswith("\n") for m in c.messages),
        of(("user", "\n")),
    ),
    "a newline at the end of an answer": (
        lambda c: any(m.role == "assistant" and m.content.endswith("\n") for m in c.messages),
        of(("user", ""), ("assistant", "\n")),
    ),
    "two characters at the start of an answer": (
        lambda c: any(m.role == "assistant" and m.content[:2].isspace() for m in c.messages if len(m.content) > 1),
        of(("user", ""), ("assistant", "  ")),
    ),
    "an emoji of three characters": (some("user", "👩\u200d💻"), of(("user", "👩\u200d💻"))),
    "a combining character": (some("assistant", "\u0301"), of(("user", ""), ("assistant", "\u0301"))),
    "a marker": (some("assistant", "<|im_end|>"), of(("user", ""), ("assistant", "<|im_end|>"))),
    "some length": (lambda c: sum(len(m.content) for m in c.messages) >= 5, of(("user", "00000"))),
    "a character in a question and in its answer": (
        lambda c: any(a.role == "user" and "é" in a.content and "é" in b.content for a, b in pairwise(c.messages)),
        of(("user", "é"), ("assistant", "é")),
    ),
}


@pytest.mark.parametrize("name", MINIMA)
def test_known_minima(name: str) -> None:
    still, smallest = MINIMA[name]
    assert still(LONG)
    assert shrink(LONG, still) == smallest


USED = Conversation(
    (
        Message("system", "s"),
        Message("user", "u"),
        calling("x", [{"a": "qßz", "b": 1}]),
        result("r\n", 0),
        Message("assistant", "done"),
        Message("user", "v"),
        calling("", [{"c": "d"}, {}]),
        result("0", 0),
        result("1", 1),
        Message("assistant", "w"),
    ),
    (definition(0), definition(1)),
)


def called_with(text: str) -> Still:
    return lambda c: any(text in str(call["function"]["arguments"]) for m in c.messages for call in m.tool_calls)


def of_one(message: Message) -> Conversation:
    return Conversation((message,))


USES: dict[str, tuple[Still, Conversation]] = {
    "a tool on offer": (lambda c: definition(1) in c.tools, Conversation(of(("user", "")).messages, (definition(1),))),
    "an argument": (called_with("ß"), Conversation((Message("user", ""), calling("", [{"a": "ß"}])))),
    "an argument of one of two calls": (
        called_with("d"),
        Conversation((Message("user", ""), calling("", [{"c": "d"}]))),
    ),
    "one of two calls, and a result": (
        lambda c: any(called_with("'c'")(of_one(a)) and b.role == "tool" for a, b in pairwise(c.messages)),
        Conversation((Message("user", ""), calling("", [{"c": ""}]), Message("tool", ""))),
    ),
    "a result": (
        some("tool", "\n"),
        Conversation((Message("user", ""), calling("", [{}]), Message("tool", "\n"))),
    ),
    "an answer after two results": (
        lambda c: any(c.roles[n : n + 3] == ("tool", "tool", "assistant") for n in range(len(c.roles))),
        Conversation(
            (
                Message("user", ""),
                calling("", [{}, {}]),
                Message("tool", ""),
                Message("tool", ""),
                Message("assistant", ""),
            )
        ),
    ),
}


@pytest.mark.parametrize("name", USES)
def test_known_minima_with_tools(name: str) -> None:
    still, smallest = USES[name]
    assert still(USED)
    assert shrink(USED, still) == smallest


def test_roles_that_do_not_alternate_stay_free() -> None:
    odd = of(("assistant", "a"), ("user", "b"), ("user", "c"), ("assistant", "d"))
    assert shrink(odd, lambda c: "user" in c.roles) == of(("user", ""))
    assert shrink(odd, lambda c: c.roles.count("user") == 2) == of(("user", ""), ("user", ""))
    assert shrink(odd, lambda c: c.roles[:1] == ("assistant",)) == of(("assistant", ""))


def test_further_fields_go_where_nothing_needs_them() -> None:
    masked = Message("assistant", "a", (("loss", "false"), ("name", '"n"')))
    conversation = Conversation((Message("user", "b"), masked))
    assert shrink(conversation, lambda c: "assistant" in c.roles) == of(("user", ""), ("assistant", ""))
    kept = shrink(conversation, lambda c: any(m.masked for m in c.messages))
    assert kept == Conversation((Message("user", ""), Message("assistant", "", (("loss", "false"),))))


def test_the_budget_holds_and_nothing_rejected_comes_back() -> None:
    huge = of(("user", "ab" * 3000), ("assistant", "cd" * 3000))
    asked: list[Conversation] = []

    def never(candidate: Conversation) -> bool:
        asked.append(candidate)
        return False

    assert shrink(huge, never) == huge
    assert len(asked) == len(set(asked)) == MAX_ATTEMPTS
    asked.clear()

    def slowly(candidate: Conversation) -> bool:
        """Only the next step is accepted, so that the budget ends on the way."""
        asked.append(candidate)
        return size(candidate)[1] >= 12_000 - len(asked) // 10

    small = shrink(huge, slowly)
    assert len(asked) == MAX_ATTEMPTS
    assert size(small) < size(huge)
    assert small in asked


class Judge:
    """Accepts the first conversation and about one in `of` others, always the same ones; counts."""

    def __init__(self, first: Conversation, salt: int, of: int) -> None:
        self.first, self.salt, self.of = first, salt, of
        self.asked: list[Conversation] = []

    def accepts(self, conversation: Conversation) -> bool:
        return conversation == self.first or zlib.crc32(repr((self.salt, conversation)).encode()) % self.of == 0

    def __call__(self, conversation: Conversation) -> bool:
        self.asked.append(conversation)
        return self.accepts(conversation)


@given(conversations(features=("tools", "tool-calls", "reasoning", "parts")), st.integers(0, 9), st.integers(1, 12))
def test_whatever_is_asked(conversation: Conversation, salt: int, of: int) -> None:
    judge = Judge(conversation, salt, of)
    small = shrink(conversation, judge)
    assert judge.accepts(small)
    assert small == conversation or size(small) <= size(conversation)
    assert small.alternates
    assert all(candidate.alternates for candidate in judge.asked)
    assert len(judge.asked) <= MAX_ATTEMPTS
    assert shrink(conversation, judge.accepts) == small
    if len(judge.asked) < MAX_ATTEMPTS:
        assert shrink(small, judge.accepts) == small


@given(conversations(), st.data())
def test_what_is_needed_is_all_that_is_left(conversation: Conversation, data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(conversation.messages))
    start = data.draw(st.integers(0, len(message.content)))
    part = message.content[start : start + data.draw(st.integers(0, 3))]
    smallest = {
        "user": of(("user", part)),
        "assistant": of(("user", ""), ("assistant", part)),
        "system": of(("system", part), ("user", "")),
    }
    assert shrink(conversation, some(message.role, part)) == smallest[message.role]
