"""A target: one model's set-up, built from its configuration and ready to render."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

from template_checks.config.schema import TargetConfig, renderer_options
from template_checks.core.conversation import Conversation, Feature, Purpose
from template_checks.core.errors import RenderError, TemplateChecksError, Unsupported, UsageError
from template_checks.core.rendering import Artefact, Rendering, Stop
from template_checks.core.suggest import suggest
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.base import Context, Renderer, RendererOptions
from template_checks.renderers.registry import get_renderer_type

Result = Rendering | Unsupported | RenderError
_REMEMBERED = 2048
"""Renderings: conversations often begin alike."""


@dataclass
class Target:
    """Tokenizer, renderers and stop contract of one model.

    `broken` holds renderers that could not be set up, with why: they become the outcome `error`, and the others run.
    """

    name: str
    config: TargetConfig
    tokenizer: Tokenizer
    renderers: dict[str, Renderer]
    broken: dict[str, TemplateChecksError] = field(default_factory=dict)
    conversations: tuple[Conversation, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    generation_stops: tuple[Stop, ...] | None = None

    @property
    def reference(self) -> Renderer:
        """The renderer the others are compared with."""
        return self.renderers[self.config.reference]

    def working(self, name: str) -> Renderer:
        """The renderer of this name.

        Raises:
            TemplateChecksError: there is none, or it is broken.
        """
        if name in self.broken:
            raise self.broken[name]
        if name not in self.renderers:
            raise UsageError(
                f"The target {self.name} has no renderer {name!r}.", hint=suggest(name, self.renderers, "its renderers")
            )
        return self.renderers[name]

    def configured_stops(self) -> list[Stop]:
        """Stops from everywhere: the target, the model's generation config, what renderers teach and serve."""
        stops = [
            Stop("stops", id=value) if isinstance(value, int) else Stop("stops", text=value)
            for value in self.config.stops
        ]
        stops += [Stop("stop_strings", text=value, by_text=True) for value in self.config.stop_strings]
        stops += self.generation_stops or ()
        for renderer in self.renderers.values():
            stops += renderer.taught
            stops += renderer.served.stops if renderer.served else ()
        return list(dict.fromkeys(stops))

    @cached_property
    def stop_ids(self) -> dict[int, str]:
        """id → where it is configured: every stop that is one token, and the tokenizer's EOS."""
        ids: dict[int, str] = {}
        for stop in self.configured_stops():
            index = resolve(stop, self.tokenizer)
            if index is not None:
                ids.setdefault(index, stop.source)
        if self.tokenizer.eos_id is not None:
            ids.setdefault(self.tokenizer.eos_id, "eos_token of the tokenizer")
        return ids

    @cached_property
    def stop_texts(self) -> tuple[str, ...]:
        """Stops that somebody matches in text."""
        return tuple(stop.text for stop in self.configured_stops() if stop.by_text and stop.text)

    @cached_property
    def render(self) -> Callable[[str, Conversation, Purpose], Result]:
        """What a renderer makes of a conversation, or why it makes nothing of it; remembers the latest."""
        return lru_cache(maxsize=_REMEMBERED)(self.render_afresh)

    def render_afresh(self, name: str, conversation: Conversation, purpose: Purpose) -> Result:
        """The same, with nothing remembered."""
        renderer = self.renderers[name]
        lacks = lacking(renderer, conversation.features - renderer.features)
        if lacks is not None:
            return Unsupported(lacks)
        try:
            return renderer.render(conversation, purpose)
        except (Unsupported, RenderError) as error:
            return error

    def compared_with(self, reference: str) -> Target:
        """The same target with another reference."""
        return replace(self, config=self.config.model_copy(update={"reference": reference}))

    def after_fork(self) -> None:
        """In a new process: renderers let go of what only the old one may use."""
        for renderer in self.renderers.values():
            renderer.after_fork()

    def close(self) -> None:
        """Give back what renderers hold."""
        for renderer in self.renderers.values():
            renderer.close()


def lacking(renderer: Renderer, features: Collection[Feature]) -> str | None:
    """Says that a renderer has none of these features; None where it has one, or none is asked for."""
    if not features or renderer.features.intersection(features):
        return None
    return f"it knows no {' and no '.join(sorted(features))}"


def resolve(stop: Stop, tokenizer: Tokenizer) -> int | None:
    """The one token a stop stands for; None where its string is several tokens."""
    if stop.id is not None:
        return stop.id
    ids = tokenizer.encode(stop.text or "").ids
    return ids[0] if len(ids) == 1 else None


def build_target(name: str, config: TargetConfig, folder: Path, where: str, *, offline: bool = False) -> Target:
    """Load the tokenizer and set up the renderers.

    Args:
        name: the target's name.
        config: its table.
        folder: what its relative paths are relative to.
        where: the configuration file, for messages.
        offline: refuse to fetch anything.

    Raises:
        TemplateChecksError: the tokenizer or the reference cannot be had, or the configuration is wrong.
    """
    options = {
        key: renderer_options(table, f"{where}: target.{name}.renderers.{key}")
        for key, table in config.renderers.items()
    }
    kinds = {key: (get_renderer_type(option.type, where), option) for key, option in options.items()}
    return _assembled(name, config, kinds, _tokenizer(config, folder, offline), folder, offline=offline)


def stand_alone_target(
    name: str,
    config: TargetConfig,
    functions: Mapping[str, tuple[type[Renderer], RendererOptions]],
    tokenizer: Tokenizer | None = None,
    *,
    offline: bool = False,
) -> Target:
    """A target that was made in code; paths are relative to the current folder.

    Args:
        name: the target's name.
        config: its settings.
        functions: types and options of those renderers that no table describes.
        tokenizer: where it is there already; otherwise the one that the settings name is loaded.
        offline: refuse to fetch anything.

    Raises:
        TemplateChecksError: the tokenizer cannot be had, or a renderer cannot be set up.
    """
    kinds = dict(functions)
    for key, table in config.renderers.items():
        if key not in kinds:
            options = renderer_options(table, f"renderers.{key}")
            kinds[key] = (get_renderer_type(options.type, f"renderers.{key}"), options)
    folder = Path.cwd()
    loaded = tokenizer or _tokenizer(config, folder, offline)
    in_order = {key: kinds[key] for key in config.renderers}
    return _assembled(name, config, in_order, loaded, folder, offline=offline)


def _tokenizer(config: TargetConfig, folder: Path, offline: bool) -> Tokenizer:
    from template_checks.sources.loading import load_tokenizer

    return load_tokenizer(
        config.tokenizer,
        folder=folder,
        revision=config.revision,
        trust_remote_code=config.trust_remote_code,
        repair=config.repair_tokenizer,
        offline=offline,
    )


def _assembled(
    name: str,
    config: TargetConfig,
    kinds: Mapping[str, tuple[type[Renderer], RendererOptions]],
    tokenizer: Tokenizer,
    folder: Path,
    *,
    offline: bool,
) -> Target:
    from template_checks.sources.generation import load_generation_config

    given = folder / config.generation_config if config.generation_config else None
    stops, stops_artefact = load_generation_config(given, tokenizer.folder)
    context = Context(tokenizer, folder, config.system, offline, stops)
    renderers: dict[str, Renderer] = {}
    broken: dict[str, TemplateChecksError] = {}
    for key, (kind, option) in kinds.items():
        try:
            renderers[key] = kind(key, option, context)
        except UsageError:
            raise
        except TemplateChecksError as error:
            if key == config.reference:
                raise
            broken[key] = error
    return Target(
        name,
        config,
        tokenizer,
        renderers,
        broken,
        _read_conversations(config, folder),
        (*tokenizer.artefacts, *((stops_artefact,) if stops_artefact else ())),
        stops,
    )


@contextmanager
def opened(target: Target) -> Iterator[Target]:
    """Close the target when the body is left."""
    try:
        yield target
    finally:
        target.close()


def _read_conversations(config: TargetConfig, folder: Path) -> tuple[Conversation, ...]:
    if config.conversations is None:
        return ()
    path = folder / config.conversations
    if not path.is_file():
        raise UsageError("The conversations file does not exist.", where=str(path))
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                found.append(Conversation.from_list(json.loads(line), where))
            except json.JSONDecodeError as error:
                raise UsageError(f"Not valid JSON: {error}", where=where) from error
    return tuple(found)
