"""What a run comes to: counts, the verdict in a sentence, the exit code, the footer of the record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from template_checks.record.writer import Line, item_id

OUTCOMES = ("pass", "mismatch", "accepted", "error", "unsupported", "not-exercised")


@dataclass
class RunSummary:
    """Counts the lines of a record as they come.

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
    ledger: list[Line] = field(default_factory=list)
    stale: int = 0
    outcomes: list[Line] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    blocking: int = 0
    advisory: int = 0
    accepted: int = 0

    def count(self, line: Line) -> None:
        """Take a line into account."""
        if line["kind"] == "outcome":
            self.outcomes.append(line)
            self.counts[line["outcome"]] += 1
        elif line["kind"] == "finding":
            if line["accepted"] is not None:
                self.accepted += 1
            elif line["severity"] == "blocking":
                self.blocking += 1
            else:
                self.advisory += 1

    def exit_code(self) -> int:
        """0 all hold, 1 a blocking mismatch, 2 a stale entry among the accepted, 3 something could not run.

        An interrupted run has judged nothing, whatever it found; nor has one whose renderers expressed no conversation.
        """
        if self.interrupted:
            return 3
        if self.blocking:
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
        if self.blocking:
            reasons.append(_several(self.blocking, "blocking mismatch", "blocking mismatches"))
        if self.stale:
            reasons.append(_several(self.stale, "stale accepted entry", "stale accepted entries"))
        several = len({line["target"] for line in self.outcomes}) > 1
        for line in self.outcomes:
            required = line["check"] in self.required.get(line["target"], ())
            if line["outcome"] == "error" or (required and line["outcome"] == "not-exercised"):
                name = f"{line['target']}: {item_id(line)}" if several else item_id(line)
                reasons.append(f"{name} ended as {line['outcome']}: {line['reason']}")
        return reasons + self._untested()

    def _untested(self) -> list[str]:
        """What nothing is known of: renderers that refused whatever the reference rendered, or everything."""
        tested = {_side(line) for line in self.outcomes if line["examples"]}
        refusing = {_side(line): line for line in self.outcomes if line["refused"]}
        found = [
            f"{line['renderer']} ({line['purpose']}) rendered nothing: {line['reason']}"
            for side, line in refusing.items()
            if side not in tested
        ]
        if not tested:
            found.append("nothing was tested")
        elif not any(renderer for _, renderer, _ in tested) and any(line["renderer"] for line in self.outcomes):
            found.append("no renderer was tested")
        return found

    def footer(self, seconds: float) -> Line:
        """The last line of the record."""
        refused = self.refusals() if self.sign_off else []
        return {
            "kind": "footer",
            "counts": {name: self.counts[name] for name in OUTCOMES},
            "blocking": self.blocking,
            "advisory": self.advisory,
            "accepted": self.accepted,
            "stale": self.stale,
            "ledger": self.ledger,
            "interrupted": self.interrupted,
            "verdict": self.sentence(),
            "signoff": {"granted": not refused, "refused": refused} if self.sign_off else None,
            "exit_code": self.exit_code(),
            "seconds": round(seconds, 2),
        }

    def sentence(self) -> str:
        """The verdict; never `clean` where something broke or was not exercised."""
        parts = [
            _several(count, one, many)
            for count, one, many in (
                (self.blocking, "blocking mismatch", "blocking mismatches"),
                (self.advisory, "advisory finding", "advisory findings"),
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
        if self.accepted:
            parts.append(_several(self.accepted, "accepted mismatch", "accepted mismatches"))
        if not parts:
            return "clean"
        return ("not clean: " if self.exit_code() else "holds: ") + ", ".join(parts)


def _side(line: Line) -> tuple[str, str | None, str | None]:
    return line["target"], line["renderer"], line["purpose"]


def _several(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
