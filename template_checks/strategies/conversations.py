"""Conversations: an optional system message and turns of user and assistant, with whatever else the target knows.

Each ends with an assistant turn: every prefix is examined, so the prompts come with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from hypothesis import strategies as st

from template_checks.core.conversation import Conversation, Feature, Message
from template_checks.strategies.contents import COMBINING, WHITE_SPACE, contents
from template_checks.strategies.tools import ARGUMENTS, RESULTS, calling, definition, definitions, result, uses

DEFAULT_ROLES = ("system", "user", "assistant")
THINKING = ("", "a", "a\n", "\na\n", " ", "ß\n\nb")
"""Reasoning contents."""

TurnMessages = list[Message]


def conversations(
    *,
    roles: Iterable[str] = DEFAULT_ROLES,
    system: str | None = None,
    target_strings: Iterable[str] = (),
    features: Collection[Feature] = (),
    max_turns: int = 3,
) -> st.SearchStrategy[Conversation]:
    """Conversations that begin with an optional system message and alternate user and assistant.

    Args:
        roles: legal roles; without `system` none begins with a system message.
        system: the system prompt that every conversation carries; None draws one now and then.
        target_strings: the target's own strings (special tokens, literals of its templates), used as text in contents.
        features: what else may occur: tools, tool-calls, reasoning, parts.
        max_turns: most pairs of user and assistant.

    Shrinks towards one turn with empty contents and no system message.
    """
    if max_turns < 1:
        raise ValueError("max_turns must be at least 1")
    content = contents(target_strings=target_strings)
    if system is not None:
        first: st.SearchStrategy[str | None] = st.just(system)
    elif "system" in roles:
        first = st.none() | content
    else:
        first = st.none()
    pairs = st.lists(st.tuples(content, content), min_size=1, max_size=max_turns)
    plain = st.builds(_of_pairs, first, pairs)
    if not features:
        return plain
    turns = st.lists(_turn(content, features), min_size=1, max_size=max_turns)
    tools = definitions() if "tools" in features else st.just(())
    # Half of them hold text alone: what one renderer knows another may not, and then they cannot be compared.
    return plain | st.builds(_of_turns, first, turns, tools)


def _turn(content: st.SearchStrategy[str], features: Collection[Feature]) -> st.SearchStrategy[TurnMessages]:
    """What the user says, perhaps tools that are used, and the answer."""
    user = content.map(lambda text: Message("user", text))
    if "parts" in features:
        user = user | st.lists(content, min_size=1, max_size=2).map(_in_parts)
    answer = content.map(lambda text: Message("assistant", text))
    if "reasoning" in features:
        thinking = st.sampled_from(THINKING)
        answer = answer | st.builds(lambda m, text: m.having(reasoning_content=text), answer, thinking)
    middle: st.SearchStrategy[TurnMessages] = st.just([])
    if "tool-calls" in features:
        middle = middle | uses(content)
    return st.builds(lambda first, tools, last: [first, *tools, last], user, middle, answer)


def _in_parts(texts: list[str]) -> Message:
    return Message("user", "".join(texts), parts=tuple(texts))


def _of_pairs(system: str | None, turns: list[tuple[str, str]]) -> Conversation:
    messages = [] if system is None else [Message("system", system)]
    for user, assistant in turns:
        messages += [Message("user", user), Message("assistant", assistant)]
    return Conversation(tuple(messages))


def _of_turns(system: str | None, turns: list[TurnMessages], tools: tuple[str, ...]) -> Conversation:
    first = [] if system is None else [Message("system", system)]
    return Conversation((*first, *(message for turn in turns for message in turn)), tools)


def starters(
    *,
    roles: Iterable[str] = DEFAULT_ROLES,
    system: str | None = None,
    target_strings: Sequence[str] = (),
    features: Collection[Feature] = (),
) -> Iterator[Conversation]:
    """Fixed conversations that every run examines first, so that detection does not depend on luck.

    One and two turns, with and without system message, with each kind of edge in each place: white space at the
    beginning and at the end of a content, empty contents, the target's own strings as text. Then tools, reasoning and
    parts, where the target knows them.
    """
    edges = [
        "",
        "0",
        *target_strings[:1],
        *WHITE_SPACE,
        *(f"a{space}" for space in WHITE_SPACE[:6]),
        *COMBINING,
        *target_strings[1:],
        "{user}",
        "<&'\">",
    ]
    with_system = "system" in roles and system is None
    plain = []
    for edge in edges:
        plain.append(_of_pairs(system, [("0", edge), (edge, "0")]))
        if with_system:
            plain.append(_of_pairs(edge, [(edge, "0")]))
    # What needs more than text comes early, so that it is found early.
    first, *rest = plain
    yield first
    yield from _special_turns(system, features)
    yield from rest


def _special_turns(system: str | None, features: Collection[Feature]) -> Iterator[Conversation]:
    ask, answer = Message("user", "0"), Message("assistant", "0")
    tools = (definition(0), definition(1)) if "tools" in features else ()
    if tools:
        yield _of_turns(system, [[ask, answer]], tools[:1])
        yield _of_turns(system, [[ask, answer], [ask, answer]], tools)
    if "tool-calls" in features:
        for n, arguments in enumerate(ARGUMENTS):
            text = RESULTS[n % len(RESULTS)]
            yield _of_turns(system, [[ask, calling("", [arguments]), result(text, 0), answer]], tools)
            both = [calling("0", [arguments, {}]), result(text, 0), result("0", 1)]
            yield _of_turns(system, [[ask, *both, answer], [ask, answer]], tools)
    if "reasoning" in features:
        for text in THINKING:
            thought = answer.having(reasoning_content=text)
            yield _of_turns(system, [[ask, thought]], ())
            yield _of_turns(system, [[ask, thought], [ask, thought]], ())
    if "parts" in features:
        for texts in (["0"], ["a", "b"], [" a\n"]):
            yield _of_turns(system, [[_in_parts(texts), answer]], ())
            yield _of_turns(system, [[_in_parts(texts), replace(answer, parts=("0",))], [ask, answer]], ())
