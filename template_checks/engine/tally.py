"""What became of the cases of one item."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from template_checks.checks.base import Mismatch, Severity
from template_checks.checks.findings import Finding, Item, Outcome, OutcomeName, defect_place
from template_checks.config.target import Target
from template_checks.core.causes import Cause

_ALIKE = 5
"""Findings of one cause at one place that are shrunk and shown; the others are counted. One defect can show in many
ways: another model's markers have 29 (review of version 0.1.0)."""

Key = tuple[Cause, tuple[str, ...]]


@dataclass
class Tally:
    """Counts of one item; `seen` holds causes and details that were found, `alike` those of them that are only counted,
    since enough findings are like them."""

    looked_at: int = 0
    exercised: int = 0
    not_exercised: str | None = None
    unsupported: str | None = None
    refused: int = 0
    error: str | None = None
    findings: dict[str, Finding] = field(default_factory=dict)
    kinds: Counter[tuple[Severity, Cause, tuple[str, ...]]] = field(default_factory=Counter)
    alike: set[Key] = field(default_factory=set)
    seen: set[Key] = field(default_factory=set)
    shown: Counter[tuple[Cause, str]] = field(default_factory=Counter)

    def show(self, mismatches: list[Mismatch]) -> list[Mismatch]:
        """Count what one example shows; returns what was not seen before."""
        self.exercised += 1
        if not mismatches:
            return mismatches
        self.shown.update({(m.cause, defect_place(m.cause, m.scaffold)) for m in mismatches})
        return [m for m in mismatches if (m.cause, m.detail) not in self.seen]

    def admits(self, mismatch: Mismatch, *, accepted: bool) -> bool:
        """Whether it becomes a finding; otherwise it is counted as one more of its kind."""
        if (mismatch.cause, mismatch.detail) in self.seen:
            return False
        self.seen.add((mismatch.cause, mismatch.detail))
        if self.kinds[_kind(mismatch)] >= _ALIKE and not accepted:
            self.alike.add((mismatch.cause, mismatch.detail))
            return False
        return True

    def add(self, finding: Finding) -> None:
        """Keep a finding. What is accepted hides nothing: it does not count towards those that are alike."""
        self.findings[finding.fingerprint] = finding
        self.kinds[_kind(finding.mismatch)] += finding.accepted is None

    def branch(self) -> Tally:
        """An empty tally that knows what this one has seen, for a part of the search that is merged later."""
        return Tally(unsupported=self.unsupported, kinds=self.kinds.copy(), seen=set(self.seen))

    def merge(self, other: Tally) -> None:
        """Add the counts of a branch; its findings are the search's to admit."""
        self.looked_at += other.looked_at
        self.exercised += other.exercised
        self.not_exercised = other.not_exercised or self.not_exercised
        self.unsupported = self.unsupported or other.unsupported
        self.refused += other.refused
        self.error = self.error or other.error
        self.alike |= other.alike - self.seen
        self.seen |= other.alike
        self.shown.update(other.shown)

    def outcome(self, target: Target, item: Item, *, rendered_nothing: bool) -> Outcome:
        """How the item ended."""
        name, reason = self._name(target, item)
        return Outcome(
            target=target.name,
            item=item,
            name=name,
            looked_at=self.looked_at,
            examples=self.exercised,
            reason=reason,
            findings=tuple(self.findings.values()),
            more=len(self.alike),
            refused=self.refused,
            rendered_nothing=rendered_nothing,
            shown=dict(self.shown),
        )

    def _name(self, target: Target, item: Item) -> tuple[OutcomeName, str | None]:
        if item.renderer in target.broken:
            return "error", target.broken[item.renderer].what
        if any(finding.accepted is None for finding in self.findings.values()):
            return "mismatch", None
        if self.error is not None:
            return "error", self.error
        if self.findings:
            said = (finding.accepted.said for finding in self.findings.values() if finding.accepted is not None)
            return "accepted", "; ".join(said)
        if self.exercised:
            refused = f"{self.refused} refused that the reference renders: {self.unsupported}"
            return "pass", refused if self.refused else None
        if self.unsupported and not self.not_exercised:
            return "unsupported", self.unsupported
        return "not-exercised", self.not_exercised or "no conversation reached it"


def _kind(mismatch: Mismatch) -> tuple[Severity, Cause, tuple[str, ...]]:
    return mismatch.severity, mismatch.cause, mismatch.detail[:1]
