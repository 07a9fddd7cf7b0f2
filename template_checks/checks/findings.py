"""Items, findings and outcomes: what a run is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from template_checks.checks.base import Check, Mismatch
from template_checks.config.schema import Accepted
from template_checks.core.conversation import Conversation, Purpose

OutcomeName = Literal["pass", "mismatch", "accepted", "error", "unsupported", "not-exercised"]


@dataclass(frozen=True)
class Item:
    """One check × renderer × purpose; renderer and purpose are None for a check of the target."""

    check: Check
    renderer: str | None
    purpose: Purpose | None

    @cached_property
    def id(self) -> str:
        """As pytest shows it: `same-tokens[web_ui-generate]`."""
        if self.renderer is None:
            return self.check.name
        return f"{self.check.name}[{self.renderer}-{self.purpose}]"


@dataclass(frozen=True)
class Finding:
    """A mismatch, shrunk, with its fingerprint.

    `conversations` counts the conversations examined until it was first seen. `accepted` is the entry that accepts it
    on purpose, `expired` the one that did until a day that is over. `location` is where in the artefact it comes from,
    where that can be known.
    """

    target: str
    item: Item
    mismatch: Mismatch
    fingerprint: str
    conversations: int
    location: str | None = None
    accepted: Accepted | None = None
    expired: Accepted | None = None

    @property
    def blocking(self) -> bool:
        """Does it decide the exit code?"""
        return self.mismatch.severity == "blocking" and self.accepted is None


@dataclass(frozen=True)
class Outcome:
    """How an item ended.

    `examples` counts the prefixes that exercised the check, `blocking` the findings that decide the exit code,
    `accepted` those that are accepted on purpose, by `entries`. `more` counts further mismatches with the cause and the
    place of a finding: they were seen, and not shrunk. `refused` counts prefixes that the renderer did not
    express, and the reference did.
    """

    target: str
    item: Item
    outcome: OutcomeName
    examples: int
    reason: str | None = None
    findings: tuple[str, ...] = ()
    blocking: int = 0
    accepted: int = 0
    entries: tuple[Accepted, ...] = ()
    more: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Progress:
    """A sign of life: conversations examined and findings so far."""

    target: str
    conversations: int
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
