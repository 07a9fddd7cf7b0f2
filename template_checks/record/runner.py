"""One run: configuration in, record lines out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from template_checks.checks.findings import Event, Outcome, Progress
from template_checks.checks.registry import get_checks
from template_checks.config.schema import Config
from template_checks.config.target import Target, build_target
from template_checks.core.errors import TemplateChecksError, UsageError
from template_checks.engine.database import ExampleDatabase
from template_checks.engine.profiles import Profile
from template_checks.engine.search import Search, plan
from template_checks.record.summary import RunSummary
from template_checks.record.writer import Line, Request, coverage_line, finding_line, header, ledger_line, outcome_line


@dataclass
class Run:
    """What to run and where its lines go.

    `sign_off` asks for more: what is required must have been tested. `write` receives every line of the record as it
    comes; `progress` gets signs of life, which are no part of it.
    """

    config: Config
    request: Request
    profile: Profile
    seed: int
    store: ExampleDatabase
    write: Callable[[Line], None]
    progress: Callable[[Progress], None] = lambda _progress: None
    offline: bool = False
    sign_off: bool = False

    def execute(self) -> int:
        """Run and write the record; returns the exit code.

        Raises:
            TemplateChecksError: nothing could be run.
        """
        begin = time.perf_counter()
        targets, failed = self._build()
        verdict = self._verdict(failed)
        try:
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self.write(header(targets, failed, self.request, self.profile, self.seed, now))
            for target in targets:
                if not verdict.interrupted:
                    self._search(target, verdict)
        finally:
            for target in targets:
                target.close()
        self.write(verdict.footer(time.perf_counter() - begin))
        return verdict.exit_code()

    def _names(self) -> tuple[str, ...]:
        return self.request.targets or tuple(self.config.target)

    def _verdict(self, failed: dict[str, str]) -> RunSummary:
        tables = {name: self.config.target[name] for name in self._names()}
        alone = [name for name, table in tables.items() if len(table.renderers) == 1]
        return RunSummary(failed, self.sign_off, {name: table.required for name, table in tables.items()}, alone)

    def _build(self) -> tuple[list[Target], dict[str, str]]:
        """The targets, and why some could not be built."""
        names = self._names()
        built: list[Target] = []
        failed: dict[str, str] = {}
        where = str(self.request.config)
        for name in names:
            table = self.config.target[name]
            get_checks(table.required)
            try:
                built.append(build_target(name, table, self.request.config.parent, where, offline=self.offline))
            except UsageError:
                raise
            except TemplateChecksError as error:
                if len(names) == 1:
                    raise
                failed[name] = str(error)
        return built, failed

    def _search(self, target: Target, verdict: RunSummary) -> None:
        def emit(event: Event) -> None:
            if isinstance(event, Progress):
                self.progress(event)
                return
            if isinstance(event, Outcome):
                line = outcome_line(event)
            else:
                line = finding_line(event, target.tokenizer, f"template-checks replay {event.fingerprint}")
            verdict.count(line)
            self.write(line)

        items = plan(target, get_checks(self.request.checks))
        search = Search(target, items, self.profile, self.seed, self.store, emit)
        search.run()
        verdict.interrupted = search.interrupted
        self.write(coverage_line(target.name, search.coverage))
        for judged in search.judged():
            verdict.ledger.append(ledger_line(target.name, judged, self.request.config.name))
            verdict.stale += judged.stale
