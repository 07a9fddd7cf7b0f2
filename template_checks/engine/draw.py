"""Conversations for one target: what its tokenizer, its templates and its renderers may trip over.

Three sources of strings, used as text in contents: the tokenizer's control tokens, the literals of the renderers'
artefacts, and contents that merge across a seam, found in the vocabulary. Sampling does not have to come upon them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from template_checks.config.target import Target
from template_checks.core.conversation import Conversation, Feature
from template_checks.core.errors import RenderError, TemplateChecksError, Unsupported
from template_checks.renderers.base import Renderer
from template_checks.seams.find import Seam, find_seams
from template_checks.seams.vocabulary import Vocabulary, as_text
from template_checks.strategies.conversations import conversations, starters

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_CONTROLS, _LITERALS, _MERGING = 24, 24, 40
"""Most strings of each source: a vocabulary may hold hundreds of reserved tokens, and a long template as many words."""
_LONGEST = 24
"""Characters of a literal. Longer ones are prose."""
_RUN = 10
"""Hypothesis draws its first conversations freely and then varies them: short runs see more that is new."""


def target_strings(target: Target) -> list[str]:
    """The target's own strings: control tokens, literals, contents that merge across a seam."""
    literals = [origin.value for renderer in target.renderers.values() for origin in renderer.source_literals]
    found = [*_controls(target, literals), *_literals(literals), *_merging(target)]
    return list(dict.fromkeys(found))


def features(target: Target) -> frozenset[Feature]:
    """What some renderer of the target knows beyond text. The others say that they do not."""
    return frozenset[Feature]().union(*(renderer.features for renderer in target.renderers.values()))


def fixed(target: Target, texts: list[str]) -> Iterator[Conversation]:
    """Conversations that every run examines, the user's own first."""
    yield from target.conversations
    config = target.config
    yield from starters(roles=config.roles, system=config.system, target_strings=texts, features=features(target))


def target_conversations(target: Target, texts: list[str] | None = None) -> SearchStrategy[Conversation]:
    """What is drawn for a target; its own strings can be handed over where they are known."""
    config = target.config
    strings = target_strings(target) if texts is None else texts
    return conversations(roles=config.roles, system=config.system, target_strings=strings, features=features(target))


def draw(target: Target, texts: list[str], numbers: range, seed: int, examine: Callable[[Conversation], None]) -> None:
    """Draw the conversations of these numbers for the target and hand each to `examine`."""
    strategy = target_conversations(target, texts)
    draw_from(strategy, numbers, seed, examine)


def draw_from(
    strategy: SearchStrategy[Conversation], numbers: range, seed: int, examine: Callable[[Conversation], None]
) -> None:
    """Draw with Hypothesis, which only generates here: shrinking is this package's own (see `shrink`).

    The same seed draws the same conversations as long as the same version of Hypothesis runs in the same surroundings:
    it takes some of its values from the constants of modules that are imported.
    """
    import hypothesis
    from hypothesis import HealthCheck, Phase, given, settings

    for begin in range(numbers.start, numbers.stop, _RUN):

        @hypothesis.seed((seed << 20) + begin)
        @settings(
            max_examples=min(_RUN, numbers.stop - begin),
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def run(conversation: Conversation) -> None:
            examine(conversation)

        run()


def _controls(target: Target, literals: list[str]) -> list[str]:
    """Control tokens, those that the target uses first."""
    tokenizer = target.tokenizer
    text = "".join(literals)
    used = {tokenizer.bos_id, *target.stop_ids}
    names = sorted(tokenizer.control_tokens)
    return sorted(names, key=lambda n: not (n in text or tokenizer.control_tokens[n] in used))[:_CONTROLS]


def _literals(literals: list[str]) -> list[str]:
    """Short literals that are more than white space, which is drawn anyhow."""
    return [text for text in dict.fromkeys(literals) if text.strip() and len(text) <= _LONGEST][:_LITERALS]


def _merging(target: Target) -> list[str]:
    """Contents that may merge with the scaffold at a seam, the shortest first."""
    found: set[str] = set()
    vocabulary = None
    for renderer in target.renderers.values():
        for seam in _open_seams(renderer):
            vocabulary = vocabulary or _vocabulary(target)
            if vocabulary is None:
                return []
            found |= set(_at_seam(vocabulary, seam))
    return sorted(found, key=lambda text: (len(text), text))[:_MERGING]


def _open_seams(renderer: Renderer) -> list[Seam]:
    try:
        return [seam for seam in find_seams(renderer) if not seam.added]
    except (Unsupported, RenderError):
        return []


def _vocabulary(target: Target) -> Vocabulary | None:
    try:
        return Vocabulary(target.tokenizer)
    except TemplateChecksError:  # it gives no offsets: nothing is known about its tokens
        return None


def _at_seam(vocabulary: Vocabulary, seam: Seam) -> Iterator[str]:
    """What is left of tokens that begin with the end of the text before the seam, or end with what stands behind it."""
    before, behind = vocabulary.spelling(seam.before), vocabulary.spelling(seam.behind)
    if not behind and seam.right is not None:
        for n in range(1, min(len(before), vocabulary.longest) + 1):
            for data, _ in vocabulary.starting(before[-n:]):
                if text := as_text(data[n:]):
                    yield text
    if not before and seam.left is not None:
        for n in range(1, min(len(behind), vocabulary.longest) + 1):
            for data, _ in vocabulary.ending(behind[:n]):
                if text := as_text(data[:-n]):
                    yield text
