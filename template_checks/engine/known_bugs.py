"""The museum: documented bugs, each as a bad set-up and its corrected twin, and whether they are told apart.

A known bug is a folder with `bug.toml` (what it is, and which check has to fire) and `template-checks.toml` with the
targets `bad` and `good`. A bug that cannot be expressed has `not_expressed` in its `bug.toml`, and nothing else.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from template_checks.checks.base import Severity
from template_checks.checks.findings import Event, Finding, Outcome
from template_checks.checks.registry import get_checks
from template_checks.config.examples import shipped_folder
from template_checks.config.schema import FILE_NAME, load_config
from template_checks.config.target import Target, build_target, opened
from template_checks.core.errors import UsageError
from template_checks.core.suggest import suggest
from template_checks.engine.plan import plan
from template_checks.engine.profiles import PROFILES
from template_checks.engine.search import Search, SearchOptions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PROFILE = PROFILES["ci"]


class KnownBug(BaseModel):
    """One documented bug."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    kind: str = Field(description="what kind of bug it is, in a word or two")
    about: str = Field(description="what was wrong, in bytes or tokens")
    reported: str = Field(description="where")
    check: str | None = Field(None, description="the check that has to fire on the bad set-up")
    severity: Severity = "blocking"
    outcome: Literal["mismatch", "error"] = Field("mismatch", description="how the check has to end")
    renderer: str | None = Field(None, description="the renderer on which it has to fire")
    history: bool = Field(False, description="the bug needs earlier turns or tools to show")
    not_expressed: str | None = Field(None, description="why it cannot be expressed")
    folder: Path

    @model_validator(mode="after")
    def _one_of_two(self) -> KnownBug:
        if (self.check is None) == (self.not_expressed is None):
            raise ValueError("give either `check` or `not_expressed`")
        return self


@dataclass(frozen=True)
class SeedResult:
    """What one seed saw: the finding, after how many conversations.

    Both are None where nothing was found, and where the bug is that the renderer breaks.
    """

    seed: int
    caught: bool
    after: int | None = None
    finding: Finding | None = None


@dataclass(frozen=True)
class BugResult:
    """What became of one known bug: what each seed saw, and what was found wrong about the corrected twin."""

    bug: KnownBug
    seed_results: tuple[SeedResult, ...]
    false_positives: tuple[str, ...]

    @property
    def caught(self) -> int:
        """By how many seeds."""
        return sum(sighting.caught for sighting in self.seed_results)

    @property
    def holds(self) -> bool:
        """Was it caught by every seed, and is the twin silent?"""
        return self.caught == len(self.seed_results) and not self.false_positives

    @cached_property
    def after(self) -> float | None:
        """Conversations until the first hit, the median over the seeds."""
        counts = [sighting.after for sighting in self.seed_results if sighting.after is not None]
        return statistics.median(counts) if counts else None

    @property
    def size(self) -> tuple[int, int] | None:
        """Of the largest counterexample: messages, and characters of the longest content; None where there is none.

        A finding about the target itself has no conversation: (0, 0).
        """
        sizes = [_size(sighting.finding) for sighting in self.seed_results if sighting.finding is not None]
        return max(sizes) if sizes else None


def known_bugs(ids: tuple[str, ...] = ()) -> list[KnownBug]:
    """The known_bugs of these ids; all for none, in the order of their ids.

    Raises:
        UsageError: no such known bug, or one whose `bug.toml` cannot be read.
    """
    folder = shipped_folder("museum")
    known = {path.parent.name: path for path in sorted(folder.glob("*/bug.toml"), key=_order)}
    for name in ids:
        if name not in known:
            raise UsageError(f"There is no known bug {name!r}.", hint=suggest(name, known, "known bugs"))
    return [_read(path) for name, path in known.items() if not ids or name in ids]


def evaluate_bug(bug: KnownBug, seeds: int, on_progress: Callable[[], None] = lambda: None) -> BugResult:
    """Search the bad set-up with each seed until the expected check fires, and its twin once to the end.

    Raises:
        TemplateChecksError: a set-up cannot be built.
    """
    seed_results = []
    with opened(_target(bug, "bad")) as bad:
        for seed in range(seeds):
            on_progress()
            seed_results.append(_search(bug, bad, seed))
    on_progress()
    with opened(_target(bug, "good")) as good:
        false_positives = tuple(dict.fromkeys(_false_positives(bug, good)))
    return BugResult(bug, tuple(seed_results), false_positives)


def _search(bug: KnownBug, target: Target, seed: int) -> SeedResult:
    hits: list[Finding] = []
    broke = False

    def wanted(finding: Finding) -> bool:
        return finding.mismatch.severity == bug.severity and bug.renderer in (None, finding.item.renderer)

    def keep(event: Event) -> None:
        nonlocal broke
        if isinstance(event, Outcome):
            broke = broke or (event.name == "error" and bug.renderer in (None, event.item.renderer))
        elif isinstance(event, Finding) and wanted(event):
            hits.append(event)

    items = plan(target, get_checks((bug.check or "",)))
    Search(target, items, SearchOptions(_PROFILE, seed), keep, until=wanted).run()
    if bug.outcome == "error" or not hits:
        return SeedResult(seed, broke and bug.outcome == "error")
    # One conversation can show it for both purposes: the smaller one is what somebody would look at.
    return SeedResult(seed, True, max(1, hits[0].conversations), min(hits, key=_size))


def _false_positives(bug: KnownBug, target: Target) -> Iterator[str]:
    """Whatever is blocking about the twin, what the expected check says of it, and what could not run."""
    events: list[Event] = []
    Search(target, plan(target, get_checks(())), SearchOptions(_PROFILE, 0), events.append).run()
    reached = False
    for event in events:
        if isinstance(event, Finding):
            expected = event.item.check.name == bug.check and event.mismatch.severity == bug.severity
            if event.blocking or (expected and bug.renderer in (None, event.item.renderer)):
                yield f"{event.item.id}: {event.mismatch.summary}"
        elif isinstance(event, Outcome):
            if event.name == "error":
                yield f"{event.item.id}: {event.reason}"
            elif event.item.check.name == bug.check and event.name in {"pass", "mismatch", "accepted"}:
                reached = True
    if not reached:
        yield f"{bug.check} was not exercised"


def _target(bug: KnownBug, name: str) -> Target:
    path = bug.folder / FILE_NAME
    config = load_config(path)
    if name not in config.target:
        raise UsageError(f"A known bug needs a target {name!r}.", where=str(path))
    return build_target(name, config.target[name], bug.folder, str(path), offline=True)


def _size(finding: Finding) -> tuple[int, int]:
    conversation = finding.mismatch.conversation
    if conversation is None:
        return 0, 0
    return len(conversation.messages), max(len(message.content) for message in conversation.messages)


def _read(path: Path) -> KnownBug:
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return KnownBug(id=path.parent.name, folder=path.parent, **data)
    except (tomllib.TOMLDecodeError, ValidationError, TypeError) as error:
        raise UsageError(f"The known bug cannot be read: {error}", where=str(path)) from error


def _order(path: Path) -> tuple[str, int]:
    """M2 before M10, and the letters as in the list they come from: M, then L."""
    name = path.parent.name
    letters = name.rstrip("0123456789")
    return "" if letters == "M" else letters, int(name[len(letters) :] or 0)
