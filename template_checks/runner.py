"""One run: configuration in, record lines out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from template_checks.checks import Check
from template_checks.config import Config
from template_checks.errors import TemplateChecksError, UsageError
from template_checks.findings import Event, Finding, Outcome, Progress
from template_checks.profiles import Profile
from template_checks.record import Line, finding_line, header, ledger_line, outcome_line
from template_checks.search import Search, plan
from template_checks.store import Store
from template_checks.target import Target, build_target

OUTCOMES = ("pass", "mismatch", "accepted", "error", "unsupported", "not-exercised")


@dataclass
class Run:
    """What to run and where its lines go.

    `write` receives every line of the record as it comes; `progress` gets signs of life, which are no part of it.
    """

    config: Config
    folder: Path
    where: str
    checks: list[Check]
    profile: Profile
    seed: int
    store: Store
    write: Callable[[Line], None]
    progress: Callable[[Progress], None] = lambda _progress: None
    targets: tuple[str, ...] = ()
    offline: bool = False
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
            self.write(header(targets, self.failed, self.profile, self.seed, now))
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
        names = self.targets or tuple(self.config.target)
        built = []
        for name in names:
            try:
                built.append(
                    build_target(name, self.config.target[name], self.folder, self.where, offline=self.offline)
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
                self.planned.add(event.item.renderer is not None)
                if event.examples:
                    self.exercised.add(event.item.renderer is not None)
                self.write(outcome_line(event))
            else:
                self._count(event)
                self.write(finding_line(event, target.tokenizer, f"template-checks replay {event.fingerprint}"))

        search = Search(target, plan(target, self.checks), self.profile, self.seed, self.store, emit)
        search.run()
        self.interrupted = search.interrupted
        for judged in search.judged():
            self.ledger.append(ledger_line(target.name, judged, Path(self.where).name))
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
        return 3 if self.counts["error"] or self.failed or self._nothing_tested else 0

    @property
    def _nothing_tested(self) -> bool:
        return not self.exercised or (True in self.planned and True not in self.exercised)

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
        if self._nothing_tested:
            parts.append("no renderer was tested" if self.exercised else "nothing was tested")
        if self.accepted:
            parts.append(f"{_several(self.accepted, 'accepted mismatch', 'accepted mismatches')}")
        if not parts:
            return "clean"
        return ("not clean: " if self.exit_code() else "holds: ") + ", ".join(parts)


def _several(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
