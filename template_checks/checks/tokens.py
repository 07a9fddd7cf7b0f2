"""Family tokens: every system makes the same text and the same ids of a conversation."""

from __future__ import annotations

from template_checks.checks.base import CheckResult, Mismatch, NotExercised, mismatch_at, mismatch_from
from template_checks.checks.case import Case
from template_checks.checks.registry import case_check, target_check
from template_checks.config.target import Target
from template_checks.core.causes import Cause
from template_checks.core.display import visible
from template_checks.core.rendering import Rendering
from template_checks.divergence.alignment import TokenRange, common_prefix
from template_checks.renderers.base import Renderer

_NO_REFERENCE = "the reference cannot render these conversations for this purpose"


def _not_the_reference(target: Target, renderer: Renderer) -> bool:
    return renderer.name != target.config.reference


@case_check(
    "tokens",
    "A renderer hands its tokenizer the same text as the reference does.",
    compares=True,
    applies=_not_the_reference,
)
def same_text(case: Case) -> CheckResult:
    """The text of each prefix is compared character by character with the reference's, never stripped or normalised.

    A BOS that one side has as text and the other side's tokenizer adds is not a difference of text; `single-bos` and
    `same-tokens` judge it by its ids.

    A difference that comes only after the last stop token of a training text is advisory and called `tail`: no
    serving prompt ever contains it. So is an empty message that one side leaves out (XTuner drops an empty system
    message).

    Typical causes: white space that a line break inside a string literal left behind, a missing newline after a
    header, a system prompt that one side injects, a marker of another model.
    """
    reference, rendering = case.reference, case.rendering
    if reference is None:
        return NotExercised(_NO_REFERENCE)
    if not (reference.has_text and rendering.has_text):
        return NotExercised("one of the two gives ids without text")
    return [mismatch_from(case, difference) for difference in case.differences if difference.in_text]


@case_check(
    "tokens",
    "A renderer gives the same token ids as the reference does.",
    compares=True,
    applies=_not_the_reference,
)
def same_tokens(case: Case) -> CheckResult:
    """The ids of each prefix are compared with the reference's, id by id.

    The same text can still give different ids. Where one side tokenizes in pieces and the other tokenizes the whole,
    tokens merge across the boundary on one side only: that is a *seam*, reported as "same text, different tokens".
    Where the text already holds BOS and the tokenizer adds it again, BOS occurs twice.

    A difference that comes only after the last stop token of a training text is advisory and called `tail`.
    """
    reference, rendering = case.reference, case.rendering
    if reference is None:
        return NotExercised(_NO_REFERENCE)
    if reference.ids == rendering.ids:
        return []
    return [mismatch_from(case, difference) for difference in case.differences]


@case_check("tokens", "BOS occurs once, at the start, where the tokenizer adds it, and nowhere else.")
def single_bos(case: Case) -> CheckResult:
    """Looks at BOS ids outside message contents (a user may well type `<s>`).

    Not exercised for tokenizers that add no BOS. A literal `<s>` in a prompt that is then passed to a tokenizer call
    which adds special tokens gives two; a template that lost it gives none; a training encoder may add one a turn.
    """
    tokenizer, rendering = case.target.tokenizer, case.rendering
    if not tokenizer.adds_bos:
        return NotExercised("the tokenizer adds no BOS")
    positions = [n for n, i in enumerate(rendering.ids) if i == tokenizer.bos_id]
    inside = _inside_contents(case, rendering)
    if inside is None:
        return NotExercised("a content holds BOS as text and cannot be located")
    positions = [n for n in positions if n not in inside]
    if positions == [0]:
        return []
    later = next((n for n in positions if n > 0), None)
    if not positions:
        cause, summary, at = Cause.MISSING_BOS, "no BOS at the start", 0
    elif later is None:
        return []
    else:
        cause, at = Cause.DUPLICATED_BOS, later
        per_turn = len(positions) > 1 and positions[1] > 1
        if positions[0] != 0:
            cause, summary = Cause.MISSING_BOS, "BOS stands only behind the start"
        else:
            summary = "BOS stands again before a later turn" if per_turn else "BOS stands twice at the start"
    name = tokenizer.token(tokenizer.bos_id or 0)
    return [
        mismatch_at(
            case,
            cause,
            (summary,),
            f"{summary} ({name}, token {at})" if positions else f"{summary} ({name})",
            "the start" if at <= 1 else f"token {at}",
            TokenRange(at, at + (1 if positions else 0)),
            scaffold=name,
        )
    ]


def _inside_contents(case: Case, rendering: Rendering) -> set[int] | None:
    """Positions of tokens inside contents; None where BOS text is in a content that cannot be located."""
    bos = case.target.tokenizer.token(case.target.tokenizer.bos_id or 0)
    if not any(bos in message.content for message in case.conversation.messages):
        return set()
    spans = rendering.token_spans
    if rendering.contents is None or spans is None:
        return None
    return {
        n
        for n, (start, end) in enumerate(spans)
        if start < end and any(c.start <= start and end <= c.end for c in rendering.contents)
    }


@case_check(
    "tokens",
    "Decoding the ids and encoding the text again gives the same ids.",
    purposes=("generate",),
    applies=lambda target, renderer: renderer.name == target.config.reference,
    variants=("encoded again",),
)
def round_trip(case: Case) -> CheckResult:
    """Decodes the reference's prompt as transformers does by default, and encodes what came out.

    Servers that pass text between their parts, and tools that show prompts, rely on it. A normalizer that composes
    letters, a decoder that drops a leading space or cleans up spaces before punctuation loses text. Advisory: the model
    was trained with this tokenizer.
    """
    rendering, tokenizer = case.rendering, case.target.tokenizer
    again = case.variant("encoded again")
    assert isinstance(again, Rendering)
    if again.ids == rendering.ids:
        return []
    at = common_prefix(again.ids, rendering.ids)
    have = "nothing" if at >= len(again.ids) else f"{again.ids[at]} {tokenizer.token(again.ids[at])}"
    return [
        mismatch_at(
            case,
            Cause.LOSSY_DECODING,
            (),
            f"decoded and encoded again, token {at} is {have}",
            f"token {at}",
            TokenRange(at, min(at + 1, len(rendering.ids))),
            severity="advisory",
        )
    ]


@target_check("tokens", "The slow and the fast tokenizer of these files give the same ids.")
def slow_fast(target: Target) -> CheckResult:
    """Encodes fragments of text, alone and after each control token, with the tokenizer in Python and the one in Rust.

    Training code and servers choose between the two without saying so. Not exercised where the files, or this version
    of transformers, have only one of them.
    """
    tokenizer = target.tokenizer
    slow = tokenizer.slow()
    if isinstance(slow, str):
        return NotExercised(slow)
    from template_checks.strategies.contents import fragments

    for control in ("", *sorted(tokenizer.control_tokens)[:8]):
        for fragment in fragments():
            text = control + fragment
            want, have = tokenizer.encode(text).ids, tuple(slow(text, add_special_tokens=False)["input_ids"])
            if want != have:
                where = "behind a control token" if control else "in plain text"
                summary = f"{where}: “{visible(text)}” is {want} with the fast and {have} with the slow tokenizer"
                # One text is enough: the rest follows from it.
                return [
                    Mismatch(
                        severity="blocking",
                        cause=Cause.OTHER_TOKENIZER,
                        detail=(where,),
                        summary=summary,
                        position=tokenizer.source,
                    )
                ]
    return []


@target_check("tokens", "Each special token that the tokenizer's config declares has the id it declares.")
def special_ids(target: Target) -> CheckResult:
    """Compares `added_tokens_decoder` of the tokenizer's config with the ids that the loaded tokenizer gives.

    A converted tokenizer may hold an end-of-turn token under another name (`[UNUSED_TOKEN_145]` for `<|im_end|>`).
    Loaded as it is, the declared tokens are appended with new ids, beyond the model's embedding table: every prompt
    then holds ids the model has never seen. `repair_tokenizer = true` (the default) renames the entries, and the
    record says so; with `false` this check reports them.
    """
    tokenizer = target.tokenizer
    if not tokenizer.declared:
        return NotExercised("the tokenizer's config declares no special tokens")
    wrong = []
    for declared, content in sorted(tokenizer.declared.items()):
        ids = tokenizer.encode(content).ids
        if ids != (declared,):
            wrong.append(f"{content} is {' '.join(map(str, ids))}, declared {declared}")
    if not wrong:
        return []
    return [
        Mismatch(
            severity="blocking",
            cause=Cause.SPECIAL_TOKEN_MOVED,
            detail=tuple(wrong),
            summary=f"{len(wrong)} declared special tokens have other ids: " + "; ".join(wrong),
            position=f"added_tokens_decoder of {tokenizer.source}",
        )
    ]
