"""What a run comes to: defects, counts, the verdict in a sentence, the exit code, the footer of the record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import get_args

from template_checks.checks.findings import OutcomeName
from template_checks.record.defects import find_defects
from template_checks.record.models import (
    DefectLine,
    FindingLine,
    Footer,
    LedgerLine,
    Line,
    NotTested,
    OutcomeLine,
    SignOff,
)

OUTCOMES: tuple[OutcomeName, ...] = get_args(OutcomeName)


@dataclass
class RunSummary:
    """Counts the lines of a record as they come; read the rest when all have come.

    Args:
        failed: targets that could not be built, and why.
        sign_off: more is asked: what is required must have been tested.
        required: the required checks of each target.
        alone: targets that have nothing but their reference.
    """

    failed: Mapping[str, str] = field(default_factory=dict)
    sign_off: bool = False
    required: Mapping[str, Collection[str]] = field(default_factory=dict)
    alone: Collection[str] = ()
    interrupted: bool = False
    ledger: list[LedgerLine] = field(default_factory=list)
    findings: list[FindingLine] = field(default_factory=list)
    outcomes: list[OutcomeLine] = field(default_factory=list)

    def count(self, line: Line) -> None:
        """Take a line into account."""
        if isinstance(line, OutcomeLine):
            self.outcomes.append(line)
        elif isinstance(line, FindingLine):
            self.findings.append(line)

    @cached_property
    def defects(self) -> list[DefectLine]:
        """All defects, worst first."""
        return find_defects(self.findings, self.outcomes)

    @cached_property
    def counts(self) -> Counter[OutcomeName]:
        """Items by outcome."""
        return Counter(line.outcome for line in self.outcomes)

    @property
    def stale(self) -> int:
        """Number of accepted entries that have to go or to change."""
        return sum(line.stale for line in self.ledger)

    def number(self, standing: str) -> int:
        """Number of defects that are blocking, advisory or accepted."""
        return sum(defect.standing == standing for defect in self.defects)

    @cached_property
    def exit_code(self) -> int:
        """0 all hold, 1 a blocking defect, 2 a stale entry among the accepted, 3 something could not run.

        An interrupted run has judged nothing, whatever it found; nor has one whose renderers expressed no conversation.
        """
        if self.interrupted:
            return 3
        if self.number("blocking"):
            return 1
        if self.stale:
            return 2
        if self.counts["error"] or self.failed or self._untested():
            return 3
        return 3 if self.sign_off and self.refusals() else 0

    def refusals(self) -> list[str]:
        """Why this run is no ground for a sign-off: what is wrong, what broke, what is required and was not tested."""
        reasons = [f"target {name} could not be built: {reason}" for name, reason in self.failed.items()]
        reasons += [f"target {name} has nothing but its reference: nothing is compared" for name in self.alone]
        if self.interrupted:
            reasons.append("the run was interrupted")
        if self.number("blocking"):
            reasons.append(several(self.number("blocking"), "defect blocks", "defects block"))
        if self.stale:
            reasons.append(several(self.stale, "stale accepted entry", "stale accepted entries"))
        name_target = len({line.target for line in self.outcomes}) > 1
        for line in self.outcomes:
            required = line.check in self.required.get(line.target, ())
            if line.outcome == "error" or (required and line.outcome == "not-exercised"):
                name = f"{line.target}: {line.item_id}" if name_target else line.item_id
                reasons.append(f"{name} ended as {line.outcome}: {line.reason}")
        return reasons + self._untested()

    def _untested(self) -> list[str]:
        """What nothing is known of: renderers that refused whatever the reference rendered, or everything."""
        refusing = {(line.target, line.renderer, line.purpose): line for line in self.outcomes if line.rendered_nothing}
        found = [f"{line.renderer} ({line.purpose}) rendered nothing: {line.reason}" for line in refusing.values()]
        tested = [line for line in self.outcomes if line.examples]
        if not tested:
            found.append("nothing was tested")
        elif not any(line.renderer for line in tested) and any(line.renderer for line in self.outcomes):
            found.append("no renderer was tested")
        return found

    def footer(self, seconds: float) -> Footer:
        """The last line of the record."""
        refused = self.refusals() if self.sign_off else []
        return Footer.model_validate(
            {
                "counts": {name: self.counts[name] for name in OUTCOMES},
                "findings": len(self.findings),
                "blocking": self.number("blocking"),
                "advisory": self.number("advisory"),
                "accepted": self.number("accepted"),
                "stale": self.stale,
                "ledger": self.ledger,
                "not_tested": list(not_tested(self.outcomes)),
                "interrupted": self.interrupted,
                "verdict": self.sentence(),
                "signoff": SignOff(granted=not refused, refused=tuple(refused)) if self.sign_off else None,
                "exit_code": self.exit_code,
                "seconds": round(seconds, 2),
            }
        )

    def sentence(self) -> str:
        """The verdict; never `clean` where something broke or was not exercised."""
        parts = [
            several(count, one, many)
            for count, one, many in (
                (self.number("blocking"), "defect blocks", "defects block"),
                (self.number("advisory"), "advisory defect", "advisory defects"),
                (self.counts["error"] + len(self.failed), "error", "errors"),
                (self.stale, "stale accepted entry", "stale accepted entries"),
            )
            if count
        ]
        if self.interrupted:
            parts.append("interrupted")
        if self.counts["not-exercised"]:
            parts.append(f"{self.counts['not-exercised']} not exercised")
        if self.counts["unsupported"]:
            parts.append(f"{self.counts['unsupported']} unsupported")
        parts += self._untested()
        if self.number("accepted"):
            parts.append(several(self.number("accepted"), "accepted defect", "accepted defects"))
        if not parts:
            return "clean"
        return ("not clean: " if self.exit_code else "holds: ") + ", ".join(parts)


def not_tested(outcomes: Collection[OutcomeLine]) -> Iterator[NotTested]:
    """What kept items from being tested, each reason once a target; then what renderers refused of what was tested."""
    for target in dict.fromkeys(line.target for line in outcomes):
        lines = [line for line in outcomes if line.target == target]
        for kind in ("error", "not-exercised", "unsupported", "refused"):
            reasons: dict[str, list[OutcomeLine]] = {}
            for line in lines:
                if line.outcome == kind or (kind == "refused" and line.outcome == "pass" and line.refused):
                    reasons.setdefault(line.reason or "no reason given", []).append(line)
            for reason, alike in reasons.items():
                yield NotTested.model_validate(
                    {
                        "target": target,
                        "outcome": kind,
                        "checks": tuple(dict.fromkeys(line.check for line in alike)),
                        "renderers": tuple(dict.fromkeys(line.renderer for line in alike if line.renderer)),
                        "reason": reason,
                    }
                )


def several(count: int, one: str, many: str) -> str:
    """A count with its noun."""
    return f"{count} {one if count == 1 else many}"
