"""The run loop, for the command line, pytest and the Python API: targets in, lines of a record out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from template_checks.checks.findings import Event, Finding, Item, Outcome, Progress
from template_checks.checks.registry import get_checks
from template_checks.config.schema import Config
from template_checks.config.target import Target, build_target
from template_checks.core.errors import TemplateChecksError, UsageError
from template_checks.engine.database import ExampleDatabase
from template_checks.engine.plan import plan
from template_checks.engine.search import Search, SearchOptions
from template_checks.record.facts import Request, header
from template_checks.record.models import Line, TargetLines
from template_checks.record.summary import RunSummary
from template_checks.record.writer import coverage_line, finding_line, ledger_line, outcome_line


@dataclass(frozen=True)
class Surroundings:
    """What a run uses besides its targets and the request, and where it reports.

    `write` receives every line of the record as it comes; `progress` gets signs of life, which are no part of it.
    `database` keeps counterexamples; None keeps none. `sign_off` asks for more: what is required must have been tested.
    """

    write: Callable[[Line], None] = lambda _line: None
    progress: Callable[[Progress], None] = lambda _progress: None
    database: ExampleDatabase | None = None
    jobs: int = 1
    sign_off: bool = False


def search_target(target: Target, items: list[Item], request: Request, surroundings: Surroundings) -> TargetLines:
    """Search one target and write its findings, outcomes and coverage, which are returned too."""
    lines: list[Line] = []

    def write(line: Line) -> None:
        lines.append(line)
        surroundings.write(line)

    def emit(event: Event) -> None:
        if isinstance(event, Progress):
            surroundings.progress(event)
        elif isinstance(event, Finding):
            write(finding_line(event, target.tokenizer))
        elif isinstance(event, Outcome):
            write(outcome_line(event))

    options = SearchOptions(request.profile, request.seed, surroundings.database, surroundings.jobs)
    search = Search(target, items, options, emit)
    search.run()
    write(coverage_line(target.name, search.coverage))
    file = request.config.name if request.config is not None else "code"
    ledger = tuple(ledger_line(target.name, result, file) for result in search.ledger_results())
    return TargetLines(lines=tuple(lines), ledger=ledger, interrupted=search.interrupted)


def execute(
    targets: list[Target], request: Request, surroundings: Surroundings, failed: Mapping[str, str] | None = None
) -> RunSummary:
    """Run all targets and write the whole record; closes nothing.

    Args:
        targets: those that could be built.
        request: what was asked for.
        surroundings: where the lines go, and the like.
        failed: targets that could not be built, and why.
    """
    begin = time.perf_counter()
    summary = summary_of(targets, failed or {}, sign_off=surroundings.sign_off)

    def write(line: Line) -> None:
        summary.count(line)
        surroundings.write(line)

    counted = Surroundings(write, surroundings.progress, surroundings.database, surroundings.jobs)
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    surroundings.write(header(targets, failed or {}, request, started))
    for target in targets:
        if not summary.interrupted:
            result = search_target(target, plan(target, get_checks(request.checks)), request, counted)
            summary.ledger += result.ledger
            summary.interrupted = result.interrupted
    for line in closing_lines(summary, time.perf_counter() - begin):
        surroundings.write(line)
    return summary


def summary_of(targets: list[Target], failed: Mapping[str, str], *, sign_off: bool = False) -> RunSummary:
    """A summary that knows the targets, and has counted nothing yet."""
    return RunSummary(
        failed=failed,
        sign_off=sign_off,
        required={target.name: target.config.required for target in targets},
        alone=[target.name for target in targets if len(target.config.renderers) == 1],
    )


def closing_lines(summary: RunSummary, seconds: float) -> Iterator[Line]:
    """The last lines of a record: its defects and the footer."""
    yield from summary.defects
    yield summary.footer(seconds)


def build_targets(config: Config, request: Request, *, offline: bool) -> tuple[list[Target], dict[str, str]]:
    """The selected targets of a configuration, and why some could not be built.

    Raises:
        TemplateChecksError: the only one could not be built, or the configuration is wrong.
    """
    names = request.targets or tuple(config.target)
    built: list[Target] = []
    failed: dict[str, str] = {}
    for name in names:
        table = config.target[name]
        get_checks(table.required)
        try:
            built.append(build_target(name, table, request.folder, str(request.config), offline=offline))
        except UsageError:
            raise
        except TemplateChecksError as error:
            if len(names) == 1:
                raise
            failed[name] = str(error)
    return built, failed
