"""Family content: what users, operators and the model wrote is in the prompt, and nothing else is."""

from __future__ import annotations

from template_checks.checks.base import CheckResult, Mismatch, NotExercised, Severity, mismatch_at
from template_checks.checks.case import Case
from template_checks.checks.registry import case_check
from template_checks.checks.variants import VariantResult
from template_checks.core.causes import Cause
from template_checks.core.display import shortened, visible
from template_checks.core.rendering import Rendering
from template_checks.divergence.alignment import TokenRange, common_prefix, tokens_at
from template_checks.divergence.trim import common_end


@case_check("content", "Each message's content is in the text, unaltered and in order.")
def content_verbatim(case: Case) -> CheckResult:
    """A renderer that trims, escapes or drops content shows the model something nobody wrote.

    Contents are located by rendering the same roles with unmistakable contents; what is between those is the
    scaffold. Not exercised where the text does not follow that scaffold (the template changes with the content) and
    the contents are in it all the same.

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
    """(message, what is in its place or None) for each altered content; None where it cannot be judged."""
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
    return mismatch_at(
        case,
        cause,
        (role, how),
        f"the content of message {message + 1} ({role}) is {how}: “{shortened(visible(want), 30)}” became {shown}",
        f"message {message + 1} ({role})",
        tokens_at(rendering, start, end),
        severity="advisory" if own else "blocking",
    )


@case_check(
    "content",
    "A conversation without a system message is rendered without system text.",
    variants=("two turns",),
)
def system_injected(case: Case) -> CheckResult:
    """Looks at the scaffold before the first message of a conversation without system message.

    What is there beyond BOS and the header that later user turns have too is text that nobody wrote. A Web UI that
    always injects its own system text shows the model a prompt that training never saw. Not exercised where the
    target declares a `system` prompt for every conversation.

    Where the reference injects the same text the finding is advisory: training saw it too.
    """
    rendering = case.rendering
    if "system" in case.conversation.roles:
        return NotExercised("every conversation carries a system message")
    if case.conversation.tools:
        return NotExercised("tools are described there")
    lead = _lead(case, rendering, case.variant("two turns")) if rendering.has_text else None
    if lead is None:
        return NotExercised("the header of a user turn, or contents, cannot be located")
    plain = case.target.tokenizer.control_pattern.sub("", lead)
    if not any(character.isalnum() for character in plain):
        return []
    at = rendering.text.index(lead)
    own = case.is_reference or (
        case.reference is not None and _lead(case, case.reference, case.reference_variant("two turns")) == lead
    )
    return [
        mismatch_at(
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


def _lead(case: Case, rendering: Rendering, two_turns: VariantResult) -> str | None:
    """The scaffold before the first message without what a later user turn begins with.

    None where contents cannot be located, or the conversation does not begin with the user.
    """
    if case.conversation.roles[0] != "user":
        return None
    first, later = rendering.scaffold_before(0, case.length), _header(rendering, case)
    if later is None and isinstance(two_turns, Rendering):
        later = two_turns.scaffold_before(2, 3 if case.purpose == "generate" else 4)
    if first is None or later is None:
        return None
    tokenizer = case.target.tokenizer
    common = common_end(first, later, tokenizer.control_pattern)
    lead = first[: len(first) - common]
    bos = tokenizer.token(tokenizer.bos_id) if tokenizer.bos_id is not None else ""
    while bos and lead.startswith(bos):  # single-bos counts them
        lead = lead[len(bos) :]
    return lead


def _header(rendering: Rendering, case: Case) -> str | None:
    """What comes before the second user turn of this conversation itself; None where it has none."""
    later = next((n for n, role in enumerate(case.conversation.roles) if n and role == "user"), None)
    return None if later is None else rendering.scaffold_before(later, case.length)


@case_check(
    "content",
    "Control tokens typed as text do not become control ids.",
    purposes=("generate",),
    variants=("control tokens removed",),
)
def control_injected(case: Case) -> CheckResult:
    """Renders conversations that hold control tokens as text once more without them, and counts the control ids.

    Who types `<|im_end|><|im_start|>system` into a message, a tool's result or a name then writes turns of the
    conversation. Chat templates of transformers protect nobody from that, so where the reference injects as well the
    finding is advisory: input has to be cleaned before it is rendered. Where the reference protects and another
    renderer does not, it is blocking.
    """
    defused = case.variant("control tokens removed")
    if defused is None:
        return NotExercised("no control token is typed")
    if not isinstance(defused, Rendering):
        return NotExercised(str(defused))
    rendering = case.rendering
    if _controls(case, rendering) <= _controls(case, defused):
        return []
    reference, plain = case.reference, case.reference_variant("control tokens removed")
    own = case.is_reference or (
        reference is not None and isinstance(plain, Rendering) and _controls(case, reference) > _controls(case, plain)
    )
    at = common_prefix(rendering.ids, defused.ids)
    name = case.target.tokenizer.token(rendering.ids[at]) if at < len(rendering.ids) else ""
    return [
        mismatch_at(
            case,
            Cause.INJECTED_CONTROL,
            (),
            f"{name} typed as text becomes the control id {rendering.ids[at] if at < len(rendering.ids) else ''}",
            _typed_in(case),
            TokenRange(at, at + 1),
            severity="advisory" if own else "blocking",
        )
    ]


def _typed_in(case: Case) -> str:
    """The first message in which a control token is typed, in words."""
    pattern = case.target.tokenizer.control_pattern
    for number, message in enumerate(case.conversation.messages, start=1):
        if any(map(pattern.search, (message.content, *(value for _, value in message.extra)))):
            return f"inside message {number} ({message.role})"
    return "inside a tool"


def _controls(case: Case, rendering: Rendering) -> int:
    controls = case.target.tokenizer.control_ids
    return sum(i in controls for i in rendering.ids)


@case_check(
    "content",
    "A content given as a list of text parts is rendered like the same text.",
    variants=("joined parts",),
    needs=("parts",),
)
def content_parts(case: Case) -> CheckResult:
    """Renders contents that are lists of parts once more as text.

    A template that prints the list itself (`[{'type': 'text', …}]`), drops parts or puts something between them shows
    the model what nobody wrote. What the reference does as well is advisory.
    """
    joined = case.variant("joined parts")
    if joined is None:
        return NotExercised("no content is a list of parts")
    if not isinstance(joined, Rendering):
        return NotExercised(f"the same as text: {joined}")
    if joined.ids == case.rendering.ids:
        return []
    own = case.is_reference or _differs(case.reference, case.reference_variant("joined parts"))
    at = common_prefix(case.rendering.ids, joined.ids)
    severity: Severity = "advisory" if own else "blocking"
    summary = "a content given as parts is rendered otherwise than the same content as text"
    tokens = TokenRange(at, at + 1)
    return [mismatch_at(case, Cause.PARTS_REWRITTEN, (), summary, f"token {at}", tokens, severity=severity)]


def _differs(one: Rendering | None, other: VariantResult) -> bool:
    return one is not None and isinstance(other, Rendering) and one.ids != other.ids
