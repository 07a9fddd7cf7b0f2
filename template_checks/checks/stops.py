"""Family stops: training teaches a stop token after each answer, and the serving side halts on it."""

from __future__ import annotations

from collections.abc import Container

from template_checks.checks.base import CheckResult, Mismatch, NotExercised, Severity, mismatch_at
from template_checks.checks.case import Answer, Case
from template_checks.checks.registry import case_check, target_check
from template_checks.config.target import Target, resolve
from template_checks.core.causes import Cause
from template_checks.core.display import shortened, visible
from template_checks.core.rendering import IGNORE_INDEX, Rendering, Stop
from template_checks.divergence.alignment import TokenRange
from template_checks.renderers.base import Served

_NO_ANSWER = "no answer with a stop token after it could be located"


@case_check("stops", "Each answer is followed at once by a stop token.", purposes=("train",))
def stop_after_answer(case: Case) -> CheckResult:
    """Looks at the first id after each answer's content in a training rendering.

    It must be a stop id that the target knows from elsewhere: `stops`, the model's generation config, the stop words
    of a training template, what a serving side halts on, or the tokenizer's EOS. A stop string that is several tokens
    counts if it is declared as one that is matched in text.

    A model trained on answers that end otherwise never learns to stop there.
    """
    rendering = case.rendering
    stop_ids = case.target.stop_ids
    if not case.answers:
        return NotExercised(_NO_ANSWER)
    return [
        _no_stop(case, answer)
        for answer in case.answers
        if not _stops(rendering, answer, stop_ids) and not rendering.text.startswith(case.target.stop_texts, answer.end)
    ]


def _stops(rendering: Rendering, answer: Answer, stop_ids: Container[int]) -> bool:
    return answer.position is not None and not answer.straddled and rendering.ids[answer.position] in stop_ids


def _no_stop(case: Case, answer: Answer) -> Mismatch:
    rendering = case.rendering
    until = min((c.start for c in rendering.contents or () if c.message > answer.message), default=len(rendering.text))
    follows = rendering.text[answer.end : min(until, answer.end + 24)]
    known = ", ".join(f"{case.target.tokenizer.token(i)} ({i})" for i in sorted(case.target.stop_ids))
    last = answer.message == len(case.conversation.messages) - 1
    if answer.straddled:
        summary = f"the end of answer {answer.message + 1} and what follows are one token"
    elif answer.position is None:
        summary = f"nothing follows answer {answer.message + 1}"
    else:
        summary = f"answer {answer.message + 1} is followed by “{shortened(visible(follows), 20)}”, no stop token"
    at = len(rendering.ids) if answer.position is None else answer.position
    return mismatch_at(
        case,
        Cause.MISSING_STOP,
        ("straddled" if answer.straddled else "last" if last else "inner", "" if answer.position is None else follows),
        f"{summary}; stop tokens here: {known}",
        f"after message {answer.message + 1} (assistant)",
        TokenRange(at, min(at + 1, len(rendering.ids))),
        scaffold=follows,
    )


@case_check(
    "stops",
    "The stop token after each supervised answer is supervised too.",
    purposes=("train",),
    applies=lambda _target, renderer: renderer.gives_labels,
)
def stop_trained(case: Case) -> CheckResult:
    """Looks at the label of the stop token after each answer.

    With label -100 the model sees the stop token but never learns to produce it. Answers masked on purpose
    (`output_with_loss = false`) do not exercise this check.
    """
    rendering, labels = case.rendering, case.rendering.labels
    if labels is None:
        return NotExercised("the renderer gives no labels")
    stop_ids = case.target.stop_ids
    found, exercised = [], False
    for answer in case.answers:
        position = answer.position
        if (
            position is None
            or rendering.ids[position] not in stop_ids
            or case.conversation.messages[answer.message].masked
        ):
            continue
        exercised = True
        if labels[position] == IGNORE_INDEX:
            name = case.target.tokenizer.token(rendering.ids[position])
            summary = (
                f"{name} after answer {answer.message + 1} has label {IGNORE_INDEX}: the model never learns to stop"
            )
            tokens = TokenRange(position, position + 1)
            found.append(mismatch_at(case, Cause.STOP_NOT_TRAINED, (name,), summary, f"token {position}", tokens))
    return found if exercised else NotExercised(_NO_ANSWER)


@case_check(
    "stops",
    "The stop token is not the padding token, whose labels a collator takes away.",
    purposes=("train",),
)
def stop_not_padding(case: Case) -> CheckResult:
    """Compares the stop token after each answer with the tokenizer's padding token.

    Where both are one id, a collator that sets the label of every padding id to -100 takes the stop's label with it:
    the model never learns to stop. Blocking where the renderer says that its collator does so (`masks_padding = true`),
    advisory where it says nothing, silent where it pads labels apart (`masks_padding = false`, and XTuner).
    """
    masks = case.target.renderers[case.renderer].masks_padding
    pad = case.target.tokenizer.pad_id
    if masks is False:
        return []
    if pad is None:
        return NotExercised("the tokenizer has no padding token", never=True)
    if not case.answers:
        return NotExercised(_NO_ANSWER)
    for answer in case.answers:
        position = answer.position
        if position is not None and not answer.straddled and case.rendering.ids[position] == pad:
            name = case.target.tokenizer.token(pad)
            summary = f"{name} ends an answer and pads: a collator that masks padding masks the stop"
            tokens = TokenRange(position, position + 1)
            severity: Severity = "blocking" if masks else "advisory"
            place = f"token {position}"
            return [mismatch_at(case, Cause.STOP_IS_PADDING, (name,), summary, place, tokens, severity=severity)]
    return []


@case_check(
    "stops",
    "The serving side halts on the stop token that training teaches.",
    purposes=("generate",),
    applies=lambda _target, renderer: renderer.served is not None,
    wide=True,
    ahead=True,
)
def stop_served(case: Case) -> CheckResult:
    """Compares what follows each answer in the training renderings with where this renderer's serving side halts.

    A server that halts on another model's end-of-turn id lets this model run on into invented turns. Not exercised
    where the serving side leaves its stops to a generation config that the target does not name.
    """
    served = case.target.renderers[case.renderer].served
    if served is None or served.unknown is not None:
        return NotExercised(served.unknown if served and served.unknown else "it is no serving side")
    halts = {resolve(stop, case.target.tokenizer) for stop in served.stops}
    texts = {stop.text for stop in served.stops if stop.by_text}
    found, exercised = [], False
    for training in _trainings(case):
        for answer in training.answers:
            taught = _taught(training, answer)
            if taught is None:
                continue
            exercised = True
            if taught.id not in halts and taught.text not in texts:
                found.append(_not_served(case, training, answer, taught, served))
    return found if exercised else NotExercised("no training rendering teaches a stop")


def _not_served(case: Case, training: Case, answer: Answer, taught: Stop, served: Served) -> Mismatch:
    where = ", ".join(f"{_stop_name(stop, case.target)} from {stop.source}" for stop in served.stops)
    name = f"{taught.text} ({taught.id})" if taught.id is not None else f"“{taught.text}”, which is no token,"
    summary = f"{training.renderer} teaches {name} after an answer; {case.renderer} halts only on {where or 'nothing'}"
    at = len(training.rendering.ids) if answer.position is None else answer.position
    place = f"after message {answer.message + 1} (assistant)"
    return mismatch_at(training, Cause.STOP_NOT_SERVED, (taught.text or "",), summary, place, TokenRange(at, at + 1))


def _trainings(case: Case) -> list[Case]:
    """Training renderings that continue this prompt by one answer."""
    found = [case.rendered.case(name, case.length + 1) for name in case.rendered.names]
    return [other for other in found if other and other.purpose == "train" and isinstance(other.result, Rendering)]


def _taught(training: Case, answer: Answer) -> Stop | None:
    """What training teaches as the end of this answer; None where nothing there can be a stop.

    One token can be: a control token, or an id configured as a stop. So can a string of several tokens that somebody
    is known to look for in text.
    """
    target, rendering = training.target, training.rendering
    if answer.position is not None and not answer.straddled:
        index = rendering.ids[answer.position]
        if index in target.stop_ids or index in target.tokenizer.control_tokens.values():
            return Stop(training.renderer, id=index, text=target.tokenizer.token(index))
    text = next((text for text in target.stop_texts if rendering.text.startswith(text, answer.end)), None)
    return Stop(training.renderer, text=text) if text else None


def _stop_name(stop: Stop, target: Target) -> str:
    if stop.text is not None:
        return f"“{visible(stop.text)}”"
    return f"{stop.id} {target.tokenizer.token(stop.id or 0)}"


@target_check("stops", "Each configured stop is one token of this tokenizer, or is matched in text.")
def stop_known(target: Target) -> CheckResult:
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
                        severity="blocking",
                        cause=Cause.STOP_OUTSIDE_VOCABULARY,
                        detail=(str(stop.id), stop.source),
                        summary=f"stop id {stop.id} is outside the vocabulary of {target.tokenizer.size:,} entries",
                        position=stop.source,
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
        severity="advisory" if stop.by_text else "blocking",
        cause=Cause.STOP_NOT_A_TOKEN,
        detail=(stop.text or "", stop.source),
        summary=f"stop “{visible(stop.text or '')}” is not one token but {len(ids)} {kind}: {names}{matched}",
        position=stop.source,
    )
