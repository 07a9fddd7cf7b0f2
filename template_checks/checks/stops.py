"""Family stops: training teaches a stop token after each answer, and the serving side halts on it."""

from __future__ import annotations

from collections.abc import Iterator

from template_checks.alignment import TokenRange
from template_checks.causes import Cause
from template_checks.checks import Mismatch, NotExercised, Verdict, case_check, target_check
from template_checks.exchange import Case
from template_checks.rendering import IGNORE_INDEX, Rendering, Stop
from template_checks.target import Target, resolve
from template_checks.visible import shortened, visible

_NO_ANSWER = "no answer with a stop token behind it could be located"


def answers(case: Case, rendering: Rendering) -> Iterator[tuple[int, int | None, bool]]:
    """(message, position of the first token behind its content, does a token straddle that end) of each answer."""
    spans = rendering.token_spans
    if rendering.contents is None or spans is None:
        return
    for content in rendering.contents:
        if case.conversation.messages[content.message].role != "assistant":
            continue
        first = next((n for n, (start, _) in enumerate(spans) if start >= content.end), None)
        straddles = any(start < content.end < end for start, end in spans)
        yield content.message, first, straddles


@case_check("stops", "Each answer is followed at once by a stop token.", purposes=("train",))
def stop_after_answer(case: Case) -> Verdict:
    """Looks at the first id behind each answer's content in a training rendering.

    It must be a stop id that the target knows from elsewhere: `stops`, the model's generation config, the stop words
    of a training template, what a serving side halts on, or the tokenizer's EOS. A stop string that is several tokens
    counts if it is declared as one that is matched in text.

    A model trained on answers that end otherwise never learns to stop there.
    """
    rendering = case.rendering
    stop_ids = case.target.stop_ids
    texts = tuple(stop.text for stop in case.target.configured_stops() if stop.by_text and stop.text)
    found: list[Mismatch] = []
    exercised = False
    for message, position, straddles in answers(case, rendering):
        exercised = True
        if position is not None and not straddles and rendering.ids[position] in stop_ids:
            continue
        end = next(c.end for c in rendering.contents or () if c.message == message)
        if texts and rendering.text.startswith(texts, end):
            continue
        found.append(_no_stop(case, rendering, message, position, end, straddles=straddles))
    return found if exercised else NotExercised(_NO_ANSWER)


def _no_stop(
    case: Case, rendering: Rendering, message: int, position: int | None, end: int, *, straddles: bool
) -> Mismatch:
    follows = rendering.text[end : end + 24]
    known = ", ".join(f"{case.target.tokenizer.token(i)} ({i})" for i in sorted(case.target.stop_ids))
    last = message == len(case.conversation.messages) - 1
    if straddles:
        summary = f"the end of answer {message + 1} and what follows are one token"
    elif position is None:
        summary = f"nothing follows answer {message + 1}"
    else:
        summary = f"answer {message + 1} is followed by “{shortened(visible(follows), 20)}”, no stop token"
    at = len(rendering.ids) if position is None else position
    return Mismatch(
        "blocking",
        Cause.MISSING_STOP,
        ("straddles" if straddles else "last" if last else "inner", follows if position is not None else ""),
        f"{summary}; stop tokens here: {known}",
        f"after message {message + 1} (assistant)",
        case.conversation,
        None,
        rendering,
        "",
        case.renderer,
        None,
        TokenRange(at, min(at + 1, len(rendering.ids))),
        window=follows,
        core=follows,
    )


@case_check(
    "stops",
    "The stop token after each supervised answer is supervised too.",
    purposes=("train",),
    applies=lambda _target, renderer: renderer.gives_labels,
)
def stop_trained(case: Case) -> Verdict:
    """Looks at the label of the stop token behind each answer.

    With label -100 the model sees the stop token but never learns to produce it. Answers masked on purpose
    (`output_with_loss = false`) do not exercise this check.
    """
    rendering, labels = case.rendering, case.rendering.labels
    if labels is None:
        return NotExercised("the renderer gives no labels")
    stop_ids = case.target.stop_ids
    spans = rendering.token_spans or []
    found, exercised = [], False
    for message, position, _ in answers(case, rendering):
        if position is None or rendering.ids[position] not in stop_ids:
            continue
        if _masked_on_purpose(case, message):
            continue
        exercised = True
        if labels[position] == IGNORE_INDEX:
            found.append(
                Mismatch(
                    "blocking",
                    Cause.STOP_NOT_TRAINED,
                    (str(rendering.ids[position]),),
                    f"{case.target.tokenizer.token(rendering.ids[position])} after answer {message + 1} has label "
                    f"{IGNORE_INDEX}: the model never learns to stop",
                    f"token {position}",
                    case.conversation,
                    None,
                    rendering,
                    "",
                    case.renderer,
                    None,
                    TokenRange(position, position + 1),
                    window=rendering.text[spans[position][0] : spans[position][1]] if spans else "",
                )
            )
    return found if exercised else NotExercised(_NO_ANSWER)


def _masked_on_purpose(case: Case, message: int) -> bool:
    return ("output_with_loss", "false") in case.conversation.messages[message].extra


@case_check(
    "stops",
    "The serving side halts on the stop token that training teaches.",
    purposes=("generate",),
    applies=lambda _target, renderer: renderer.served is not None,
    wide=True,
)
def stop_served(case: Case) -> Verdict:
    """Compares what follows each answer in the training renderings with where this renderer's serving side halts.

    A server that halts on another model's end-of-turn id lets this model run on into invented turns. Not exercised
    where the serving side leaves its stops to a generation config that the target does not name.
    """
    served = case.target.renderers[case.renderer].served
    if served is None or served.unknown is not None:
        return NotExercised(served.unknown if served and served.unknown else "it is no serving side")
    tokenizer = case.target.tokenizer
    halts = {resolve(stop, tokenizer) for stop in served.stops}
    texts = [stop.text for stop in served.stops if stop.by_text and stop.text]
    found, exercised = [], False
    for name, length, rendering in _trainings(case):
        training = Case(case.exchange, name, "train", length)
        for message, position, straddles in answers(training, rendering):
            if position is None or straddles or not _is_taught(case.target, rendering.ids[position]):
                continue
            exercised = True
            taught = rendering.ids[position]
            if taught in halts or tokenizer.token(taught) in texts:
                continue
            where = ", ".join(f"{_stop_name(stop, case.target)} from {stop.source}" for stop in served.stops)
            found.append(
                Mismatch(
                    "blocking",
                    Cause.STOP_NOT_SERVED,
                    (str(taught),),
                    f"{name} teaches {tokenizer.token(taught)} ({taught}) after an answer; {case.renderer} halts only "
                    f"on {where or 'nothing'}",
                    f"after message {message + 1} (assistant)",
                    training.conversation,
                    None,
                    rendering,
                    "",
                    name,
                    None,
                    TokenRange(position, position + 1),
                )
            )
    return found if exercised else NotExercised("no training rendering teaches a stop token")


def _trainings(case: Case) -> Iterator[tuple[str, int, Rendering]]:
    """Training renderings that continue this prompt by one answer."""
    for name in case.exchange.names:
        rendering = case.rendering_of(name, case.length + 1)
        if rendering is not None and case.exchange.prefixes[case.length + 1].purpose == "train":
            yield name, case.length + 1, rendering


def _is_taught(target: Target, index: int) -> bool:
    """Only what can be a stop is one: a control token, or an id configured as a stop."""
    return index in target.stop_ids or index in target.tokenizer.control_tokens.values()


def _stop_name(stop: Stop, target: Target) -> str:
    if stop.text is not None:
        return f"“{visible(stop.text)}”"
    return f"{stop.id} {target.tokenizer.token(stop.id or 0)}"


@target_check("stops", "Each configured stop is one token of this tokenizer, or is matched in text.")
def stop_known(target: Target) -> Verdict:
    """Looks at every stop of the target, its generation config and its renderers.

    An id outside the vocabulary never comes. A string that is several ordinary tokens can only be found in decoded
    text: as a stop *token* it is blocking; where the system compares text (XTuner's stop words) it is advisory, said
    because everything that stops by ids (a server's `eos_token_id`) will miss it.
    """
    stops = target.configured_stops()
    if not stops:
        return NotExercised("no stop is configured anywhere")
    found = []
    for stop in stops:
        if stop.id is not None:
            if not 0 <= stop.id < target.tokenizer.size:
                found.append(
                    Mismatch(
                        "blocking",
                        Cause.STOP_OUTSIDE_VOCABULARY,
                        (str(stop.id), stop.source),
                        f"stop id {stop.id} is outside the vocabulary of {target.tokenizer.size:,} entries",
                        stop.source,
                    )
                )
            continue
        ids = target.tokenizer.encode(stop.text or "").ids
        if len(ids) != 1:
            found.append(_several_tokens(target, stop, ids))
    return found


def _several_tokens(target: Target, stop: Stop, ids: tuple[int, ...]) -> Mismatch:
    control = set(target.tokenizer.control_tokens.values())
    kind = "ordinary tokens" if not control & set(ids) else "tokens"
    names = " ".join(f"{visible(target.tokenizer.token(i))}({i})" for i in ids)
    matched = "; it is matched in text, and whatever stops by ids will miss it" if stop.by_text else ""
    return Mismatch(
        "advisory" if stop.by_text else "blocking",
        Cause.STOP_NOT_A_TOKEN,
        (stop.text or "", stop.source),
        f"stop “{visible(stop.text or '')}” is not one token but {len(ids)} {kind}: {names}{matched}",
        stop.source,
    )
