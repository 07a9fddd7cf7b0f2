"""Conversations: an optional system message and turns of user and assistant.

Each ends with an assistant turn: an exchange looks at every prefix, so the prompts come with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hypothesis import strategies as st

from template_checks.conversation import Conversation, Message
from template_checks.strategies.contents import COMBINING, WHITE_SPACE, contents

DEFAULT_ROLES = ("system", "user", "assistant")


def conversations(
    *,
    roles: Iterable[str] = DEFAULT_ROLES,
    system: str | None = None,
    special: Iterable[str] = (),
    max_turns: int = 3,
) -> st.SearchStrategy[Conversation]:
    """Conversations that begin with an optional system message and alternate user and assistant.

    Args:
        roles: legal roles; without `system` none begins with a system message.
        system: the system prompt that every conversation carries; None draws one now and then.
        special: the target's special-token strings, used as text in contents.
        max_turns: most pairs of user and assistant.

    Shrinks towards one turn with empty contents and no system message.
    """
    if max_turns < 1:
        raise ValueError("max_turns must be at least 1")
    content = contents(special=special)
    turns = st.lists(st.tuples(content, content), min_size=1, max_size=max_turns)
    if system is not None:
        first: st.SearchStrategy[str | None] = st.just(system)
    elif "system" in roles:
        first = st.none() | content
    else:
        first = st.none()
    return st.builds(_build, first, turns)


def _build(system: str | None, turns: list[tuple[str, str]]) -> Conversation:
    messages = [] if system is None else [Message("system", system)]
    for user, assistant in turns:
        messages += [Message("user", user), Message("assistant", assistant)]
    return Conversation(tuple(messages))


def starters(
    *, roles: Iterable[str] = DEFAULT_ROLES, system: str | None = None, special: Iterable[str] = ()
) -> Iterator[Conversation]:
    """Fixed conversations that every run examines first, so that detection does not depend on luck.

    One and two turns, with and without system message, with each kind of edge in each place: white space at the
    beginning and at the end of a content, empty contents, special-token strings as text.
    """
    edges = [
        "",
        "0",
        *WHITE_SPACE,
        *(f"a{space}" for space in WHITE_SPACE[:6]),
        *COMBINING,
        *special,
        "{user}",
        "<&'\">",
    ]
    with_system = "system" in roles and system is None
    for edge in edges:
        yield _build(system, [("0", edge), (edge, "0")])
        if with_system:
            yield _build(edge, [(edge, "0")])
