"""Family content: what users, operators and the model wrote stands in the prompt, and nothing else does."""

from __future__ import annotations

from template_checks.causes import Cause
from template_checks.checks import Mismatch, NotExercised, Verdict, case_check, seen_in
from template_checks.divergence.alignment import tokens_at
from template_checks.divergence.core import common_end
from template_checks.exchange import Case
from template_checks.rendering import Rendering
from template_checks.visible import shortened, visible


@case_check("content", "Each message's content stands in the text, unaltered and in order.")
def content_verbatim(case: Case) -> Verdict:
    """A renderer that trims, escapes or drops content shows the model something nobody wrote.

    Contents are located by rendering the same roles with unmistakable contents; what stands between those is the
    scaffold. Not exercised where the text does not follow that scaffold (the template changes with the content) and
    the contents stand in it all the same.

    Where the reference alters the same message in the same way the finding is advisory: it is then the model's own
    convention, to be followed by training and serving alike.
    """
    rendering = case.rendering
    if not rendering.has_text:
        return NotExercised("the renderer gives ids without text")
    altered = _altered(case, rendering)
    if altered is None:
        return NotExercised("the scaffold changes with the content")
    known = dict(_altered(case, case.reference) or ()) if case.reference is not None else {}
    return [
        _mismatch(case, rendering, message, have, own=known.get(message, object()) == have) for message, have in altered
    ]


def _altered(case: Case, rendering: Rendering) -> list[tuple[int, str | None]] | None:
    """(message, what stands in its place or None) for each altered content; None where it cannot be judged."""
    messages = case.conversation.messages
    if rendering.contents is None:
        position = 0
        for index, message in enumerate(messages):
            at = rendering.text.find(message.content, position)
            if at < 0:
                return [(index, None)]
            position = at + len(message.content)
        return None
    have = {span.message: rendering.text[span.start : span.end] for span in rendering.contents}
    return [
        (index, have.get(index)) for index, message in enumerate(messages) if have.get(index, "") != message.content
    ]


def _mismatch(case: Case, rendering: Rendering, message: int, have: str | None, *, own: bool) -> Mismatch:
    want = case.conversation.messages[message].content
    role = case.conversation.messages[message].role
    if have is None or (not have and want.strip()):
        cause, how = Cause.DROPPED_CONTENT, "dropped"
    elif have in want:
        cause, how = Cause.STRIPPED_CONTENT, "stripped"
    else:
        cause, how = Cause.ALTERED_CONTENT, "altered"
    start = next((s.start for s in rendering.contents or () if s.message == message), 0)
    end = next((s.end for s in rendering.contents or () if s.message == message), 0)
    shown = "nothing" if not have else f"“{shortened(visible(have), 30)}”"
    return seen_in(
        case,
        cause,
        (role, how),
        f"the content of message {message + 1} ({role}) is {how}: “{shortened(visible(want), 30)}” became {shown}",
        f"message {message + 1} ({role})",
        tokens_at(rendering, start, end),
        severity="advisory" if own else "blocking",
    )


@case_check("content", "A conversation without a system message is rendered without system text.")
def system_injected(case: Case) -> Verdict:
    """Looks at the scaffold before the first message of a conversation without system message.

    What stands there beyond BOS and the header that later user turns have too is text that nobody wrote. A Web UI that
    always injects its own system text shows the model a prompt that training never saw. Not exercised where the
    target declares a `system` prompt for every conversation.

    Where the reference injects the same text the finding is advisory: training saw it too.
    """
    rendering = case.rendering
    if "system" in case.conversation.roles:
        return NotExercised("every conversation carries a system message")
    lead = _lead(case, rendering) if rendering.has_text else None
    if lead is None:
        return NotExercised("no later turn of the same role to compare with, or contents cannot be located")
    plain = case.target.tokenizer.control_pattern.sub("", lead)
    if not any(character.isalnum() for character in plain):
        return []
    at = rendering.text.index(lead)
    own = case.reference is not None and _lead(case, case.reference) == lead
    return [
        seen_in(
            case,
            Cause.INJECTED_SYSTEM,
            (lead,),
            f"text before the first message that nobody wrote: “{shortened(visible(plain), 60)}”",
            "the scaffold before message 1",
            tokens_at(rendering, at, at + len(lead)),
            severity="advisory" if own else "blocking",
            scaffold=lead,
        )
    ]


def _lead(case: Case, rendering: Rendering) -> str | None:
    """The scaffold before the first message without what a later turn of the same role begins with.

    None where no turn of the same role stands later, or contents cannot be located.
    """
    roles = case.conversation.roles
    later = next((n for n in range(1, len(roles)) if roles[n] == roles[0]), None)
    segments = rendering.segments(len(roles))
    if segments is None or later is None:
        return None
    scaffold = {s.message: rendering.text[s.start : s.end] for s in segments if s.kind == "scaffold"}
    if 0 not in scaffold or later not in scaffold:
        return None
    tokenizer = case.target.tokenizer
    common = common_end(scaffold[0], scaffold[later], tokenizer.control_pattern)
    lead = scaffold[0][: len(scaffold[0]) - common]
    bos = tokenizer.token(tokenizer.bos_id) if tokenizer.bos_id is not None else ""
    while bos and lead.startswith(bos):  # single-bos counts them
        lead = lead[len(bos) :]
    return lead
