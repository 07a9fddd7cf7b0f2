"""One run: configuration in, record lines out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone

from template_checks.checks import get_checks
from template_checks.config import Config
from template_checks.errors import TemplateChecksError, UsageError
from template_checks.findings import Event, Finding, Outcome, Progress
from template_checks.profiles import Profile
from template_checks.record import Line, Request, coverage_line, finding_line, header, ledger_line, outcome_line
from template_checks.search import Search, plan
from template_checks.store import Store
from template_checks.target import Target, build_target

OUTCOMES = ("pass", "mismatch", "accepted", "error", "unsupported", "not-exercised")


@dataclass
class Run:
    """What to run and where its lines go.

    `sign_off` asks for more: what is required must have been tested.
    `write` receives every line of the record as it comes; `progress` gets signs of life, which are no part of it.
    """

    config: Config
    request: Request
    profile: Profile
    seed: int
    store: Store
    write: Callable[[Line], None]
    progress: Callable[[Progress], None] = lambda _progress: None
    offline: bool = False
    sign_off: bool = False
    outcomes: list[Outcome] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    blocking: int = 0
    advisory: int = 0
    accepted: int = 0
    ledger: list[Line] = field(default_factory=list)
    stale: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False
    planned: set[bool] = field(default_factory=set)
    """Were there items of the target (False), of renderers (True)? `exercised`: was any of them exercised?"""
    exercised: set[bool] = field(default_factory=set)

    def execute(self) -> int:
        """Run and write the record; returns the exit code.

        Raises:
            TemplateChecksError: nothing could be run.
        """
        begin = time.perf_counter()
        targets = self._build()
        try:
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self.write(header(targets, self.failed, self.request, self.profile, self.seed, now))
            for target in targets:
                if not self.interrupted:
                    self._search(target)
        finally:
            for target in targets:
                target.close()
        code = self.exit_code()
        self.write(self._footer(round(time.perf_counter() - begin, 2), code))
        return code

    def _build(self) -> list[Target]:
        names = self.request.targets or tuple(self.config.target)
        built, folder = [], self.request.config.parent
        for name in names:
            get_checks(self.config.target[name].required)
            try:
                built.append(
                    build_target(name, self.config.target[name], folder, str(self.request.config), offline=self.offline)
                )
            except UsageError:
                raise
            except TemplateChecksError as error:
                if len(names) == 1:
                    raise
                self.failed[name] = str(error)
        return built

    def _search(self, target: Target) -> None:
        def emit(event: Event) -> None:
            if isinstance(event, Progress):
                self.progress(event)
            elif isinstance(event, Outcome):
                self.counts[event.outcome] += 1
                self.outcomes.append(event)
                self.planned.add(event.item.renderer is not None)
                if event.examples:
                    self.exercised.add(event.item.renderer is not None)
                self.write(outcome_line(event))
            else:
                self._count(event)
                self.write(finding_line(event, target.tokenizer, f"template-checks replay {event.fingerprint}"))

        search = Search(
            target, plan(target, get_checks(self.request.checks)), self.profile, self.seed, self.store, emit
        )
        search.run()
        self.interrupted = search.interrupted
        self.write(coverage_line(target.name, search.coverage))
        for judged in search.judged():
            self.ledger.append(ledger_line(target.name, judged, self.request.config.name))
            self.stale += judged.stale

    def _count(self, finding: Finding) -> None:
        if finding.blocking:
            self.blocking += 1
        elif finding.accepted is None:
            self.advisory += 1
        else:
            self.accepted += 1

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
        if self.counts["error"] or self.failed or self._nothing_tested or self._never_rendered():
            return 3
        return 3 if self.sign_off and self.refusals() else 0

    def refusals(self) -> list[str]:
        """Why this run is no ground for a sign-off: what is wrong, what broke, what is required and was not tested."""
        reasons = [f"target {name} could not be built: {reason}" for name, reason in self.failed.items()]
        if self.interrupted:
            reasons.append("the run was interrupted")
        if self.blocking:
            reasons.append(_several(self.blocking, "blocking mismatch", "blocking mismatches"))
        if self.stale:
            reasons.append(_several(self.stale, "stale accepted entry", "stale accepted entries"))
        for outcome in self.outcomes:
            required = outcome.item.check.name in self.config.target[outcome.target].required
            if outcome.outcome == "error" or (required and outcome.outcome == "not-exercised"):
                name = f"{outcome.target}: {outcome.item.id}" if len(self.config.target) > 1 else outcome.item.id
                reasons.append(f"{name} ended as {outcome.outcome}: {outcome.reason}")
        reasons += self._never_rendered()
        if self._nothing_tested:
            reasons.append("nothing was tested")
        return reasons

    @property
    def _nothing_tested(self) -> bool:
        return not self.exercised or (True in self.planned and True not in self.exercised)

    def _never_rendered(self) -> list[str]:
        """Renderers that refused whatever the reference rendered for a purpose: nothing is known of them."""
        tested = {_side(outcome) for outcome in self.outcomes if outcome.examples}
        refusing = {_side(outcome): outcome for outcome in self.outcomes if outcome.refused}
        return [
            f"{outcome.item.renderer} ({outcome.item.purpose}) rendered nothing: {outcome.reason}"
            for side, outcome in refusing.items()
            if side not in tested
        ]

    def _footer(self, seconds: float, code: int) -> Line:
        return {
            "kind": "footer",
            "counts": {name: self.counts[name] for name in OUTCOMES},
            "blocking": self.blocking,
            "advisory": self.advisory,
            "accepted": self.accepted,
            "stale": self.stale,
            "ledger": self.ledger,
            "interrupted": self.interrupted,
            "verdict": self._verdict(),
            "signoff": {"granted": not self.refusals(), "refused": self.refusals()} if self.sign_off else None,
            "exit_code": code,
            "seconds": seconds,
        }

    def _verdict(self) -> str:
        """One sentence; never `clean` where something broke or was not exercised."""
        parts = []
        if self.blocking:
            parts.append(f"{_several(self.blocking, 'blocking mismatch', 'blocking mismatches')}")
        if self.advisory:
            parts.append(f"{_several(self.advisory, 'advisory finding', 'advisory findings')}")
        if self.counts["error"] or self.failed:
            parts.append(f"{_several(self.counts['error'] + len(self.failed), 'error', 'errors')}")
        if self.stale:
            parts.append(f"{_several(self.stale, 'stale accepted entry', 'stale accepted entries')}")
        if self.interrupted:
            parts.append("interrupted")
        if self.counts["not-exercised"]:
            parts.append(f"{self.counts['not-exercised']} not exercised")
        if self.counts["unsupported"]:
            parts.append(f"{self.counts['unsupported']} unsupported")
        parts += self._never_rendered()
        if self._nothing_tested:
            parts.append("no renderer was tested" if self.exercised else "nothing was tested")
        if self.accepted:
            parts.append(f"{_several(self.accepted, 'accepted mismatch', 'accepted mismatches')}")
        if not parts:
            return "clean"
        return ("not clean: " if self.exit_code() else "holds: ") + ", ".join(parts)


def _side(outcome: Outcome) -> tuple[str, str | None, str | None]:
    return outcome.target, outcome.item.renderer, outcome.item.purpose


def _several(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
