"""Items, findings and outcomes: what a run is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from template_checks.checks.base import Check, Mismatch
from template_checks.config.schema import Accepted
from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation, Purpose

ONE_PLACE = frozenset({Cause.INJECTED_SYSTEM, Cause.DUPLICATED_BOS, Cause.MISSING_BOS, Cause.SEAM})
"""Causes that a renderer has once, whichever check sees them and whatever the scaffold around them."""

OutcomeName = Literal["pass", "mismatch", "accepted", "error", "unsupported", "not-exercised"]


@dataclass(frozen=True)
class Item:
    """One check × renderer × purpose; renderer and purpose are None for a check of the target."""

    check: Check
    renderer: str | None
    purpose: Purpose | None

    @cached_property
    def id(self) -> str:
        """Its name in pytest: `same-tokens[web_ui-generate]`."""
        if self.renderer is None:
            return self.check.name
        return f"{self.check.name}[{self.renderer}-{self.purpose}]"


def defect_place(cause: str, scaffold: str) -> str:
    """What tells defects of one renderer with one cause apart: the scaffold at fault."""
    return "" if cause in ONE_PLACE else scaffold


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A mismatch, shrunk, with its fingerprint.

    `conversations` counts the conversations examined until it was first seen. `accepted` is the entry that accepts it
    on purpose, `expired` the one that did until a day that is over. `source` is the literal of an artefact that it
    comes from (file, line, name), where that is certain.
    """

    target: str
    item: Item
    mismatch: Mismatch
    fingerprint: str
    conversations: int = 0
    source: str | None = None
    accepted: Accepted | None = None
    expired: Accepted | None = None

    @property
    def blocking(self) -> bool:
        """Whether it decides the exit code."""
        return self.mismatch.severity == "blocking" and self.accepted is None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an item ended.

    `looked_at` counts the prefixes that the check looked at, `examples` those of them that exercised it, `findings` are
    those of the item, `more` counts further mismatches with the cause and the place of a finding: they were seen, and
    not shrunk. `refused` counts prefixes that the renderer did not express and the reference did; `rendered_nothing`:
    it refused all of them. `shown` counts, by cause and place, the examples that show a mismatch.
    """

    target: str
    item: Item
    name: OutcomeName
    looked_at: int = 0
    examples: int = 0
    reason: str | None = None
    findings: tuple[Finding, ...] = ()
    more: int = 0
    refused: int = 0
    rendered_nothing: bool = False
    shown: Mapping[tuple[Cause, str], int] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[Accepted, ...]:
        """The entries that accept its findings."""
        return tuple(finding.accepted for finding in self.findings if finding.accepted is not None)


@dataclass(frozen=True)
class Progress:
    """A sign of life: conversations examined so far, out of about how many, and findings."""

    target: str
    conversations: int
    total: int
    findings: int


Event = Finding | Outcome | Progress


@dataclass(frozen=True)
class Counterexample:
    """A finding as it is kept on disk for `replay`, `accept` and the next run.

    A finding of a check of the target has no conversation.
    """

    fingerprint: str
    target: str
    check: str
    renderer: str | None
    purpose: Purpose | None
    conversation: Conversation | None
