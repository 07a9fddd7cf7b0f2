"""What pytest does with a template-checks.toml: its targets and items, the search behind them, the record of it all."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypedDict

import pytest

from template_checks.checks.findings import Event, Finding, Item, Outcome
from template_checks.checks.registry import exists_everywhere, get_checks
from template_checks.config.schema import TargetConfig, load_config
from template_checks.config.target import Target, build_target
from template_checks.core.errors import TemplateChecksError, UsageError
from template_checks.engine.database import ExampleDatabase
from template_checks.engine.profiles import Profile, get_profile
from template_checks.engine.search import Search, plan
from template_checks.pytest.plugin import ADVISORY, MARK, STATE, ChecksFile, State
from template_checks.record.summary import RunSummary
from template_checks.record.writer import (
    Line,
    Request,
    coverage_line,
    finding_line,
    header,
    item_id,
    ledger_line,
    outcome_line,
)
from template_checks.views.terminal import grouped, ledger_text, text_of

if sys.platform != "win32":
    import fcntl


class MismatchFound(Exception):  # noqa: N818 — the tool works; what it looks at does not
    """A check does not hold; the text is what the terminal view prints."""


# Collecting


def collect_targets(file: ChecksFile, state: State) -> list[TargetNode]:
    """One node for each selected target of a configuration file."""
    option, first = file.config.option, state.files[0]
    if option.check_record is not None and first.path != file.path:
        raise UsageError(
            "A record is of one configuration, and several were collected.",
            where=f"{first.path}, {file.path}",
            hint=f"pytest {first.path} --check-record {option.check_record}",
        )
    if not file.config.pluginmanager.is_registered(_Hooks):
        file.config.pluginmanager.register(_Hooks)
    with _noted(state, file.path.name):
        config = load_config(file.path)
    for name in option.target:
        if name not in config.target:
            raise UsageError(f"Unknown target {name!r}.", hint="targets: " + ", ".join(config.target))
    names = option.target or config.target
    return [TargetNode.from_parent(file, name=name, settings=config.target[name]) for name in names]


def _profile(config: pytest.Config) -> tuple[Profile, int]:
    """The profile and the seed; a new seed is the same for all targets and workers of the session."""
    profile, seed = get_profile(config.option.check_profile, config.option.check_seed)
    return profile, config.stash[STATE].seed if _is_drawn(config, profile) else seed


def _is_drawn(config: pytest.Config, profile: Profile) -> bool:
    return config.option.check_seed is None and profile.seed is None


@contextmanager
def _noted(state: State, name: str) -> Iterator[None]:
    """Note for the record that something could not be set up."""
    try:
        yield
    except Exception as error:
        state.failed[name] = str(error)
        raise


class TargetNode(pytest.Collector):
    """One target."""

    def __init__(self, *, settings: TargetConfig, **kwargs: Any) -> None:
        """Nothing is built yet."""
        super().__init__(**kwargs)
        self.settings = settings

    def collect(self) -> Iterator[pytest.Item]:
        """Its items; builds the target."""
        option, state = self.config.option, self.config.stash[STATE]
        checks = get_checks(tuple(option.check))
        state.profile = profile, seed = _profile(self.config)
        with _noted(state, self.name):
            get_checks(self.settings.required)
            target = build_target(self.name, self.settings, self.path.parent, str(self.path))
        self.config.add_cleanup(target.close)
        run = TargetRun(self, target, plan(target, checks), profile, seed)
        state.runs.append(run)
        for item in run.items:
            yield CheckItem.from_parent(self, name=item.id, run=run, item=item)
        names = {check.name for check in checks}
        if any(not option.check or entry.check in names for entry in target.config.accepted):
            yield AcceptedItem.from_parent(self, name="accepted-entries", run=run)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our errors without traceback."""
        return _said(excinfo) or super().repr_failure(excinfo)


def _said(excinfo: pytest.ExceptionInfo[BaseException]) -> str | None:
    """Our text, without a traceback; None for what is not ours."""
    ours = isinstance(excinfo.value, (MismatchFound, TemplateChecksError))
    return str(excinfo.value) if ours else None


# Searching


@dataclass
class Found:
    """What the search over one target found: lines of the record, and what became of the accepted mismatches."""

    lines: list[Line] = field(default_factory=list)
    ledger: list[Line] = field(default_factory=list)
    stale: list[Line] = field(default_factory=list)
    interrupted: bool = False

    def of(self, item: Item) -> tuple[Line, list[Line]]:
        """How an item ended, and its findings."""
        lines = [line for line in self.lines if line["kind"] != "coverage" and item_id(line) == item.id]
        outcome = next(line for line in lines if line["kind"] == "outcome")
        return outcome, [line for line in lines if line is not outcome]

    def rendered_nothing(self, outcome: Line) -> bool:
        """Did the renderer refuse everything that the reference rendered for this purpose?"""
        side = (outcome["renderer"], outcome["purpose"])
        outcomes = [line for line in self.lines if line["kind"] == "outcome"]
        tested = any(line["examples"] for line in outcomes if (line["renderer"], line["purpose"]) == side)
        return bool(outcome["refused"]) and not tested


class TargetRun:
    """One search over one target, made when the first of its items runs, for all its selected items.

    For all items of the plan where the accepted entries are selected: what nobody looked for is not fixed.
    """

    def __init__(self, node: TargetNode, target: Target, items: list[Item], profile: Profile, seed: int) -> None:
        """Nothing runs yet."""
        self.node = node
        self.target = target
        self.items = items
        self.profile = profile
        self.seed = seed
        self.found: Found | None = None
        self.store = ExampleDatabase(node.config.rootpath, [str(node.path)])

    @property
    def selected(self) -> list[Item]:
        """The items that pytest will run."""
        return [node.item for node in self.node.session.items if isinstance(node, CheckItem) and node.run is self]

    @property
    def is_selected(self) -> bool:
        """Has it anything to do?"""
        return bool(self.selected) or self._is_whole

    @property
    def _is_whole(self) -> bool:
        return any(isinstance(node, AcceptedItem) and node.run is self for node in self.node.session.items)

    def result(self) -> Found:
        """What was found; searches first, if nobody did.

        The workers of xdist search each target once. While one does, the others look for targets that nobody has begun.
        """
        state = self.node.config.stash[STATE]
        folder = Path(state.folder) if state.folder is not None else None
        if self.found is None and folder is not None and folder.is_dir():  # not there for a worker on another machine
            for other in state.runs:
                self._share(folder, wait=False)
                if self.found is None and other is not self and other.is_selected:
                    with suppress(Exception):  # its own items will show it
                        other._share(folder, wait=False)
            self._share(folder, wait=True)
        return self.found or self._search()

    def _share(self, folder: Path, *, wait: bool) -> None:
        """Search, or read what another worker found; without `wait` leave a target alone that one is searching."""
        path = folder / f"{hashlib.sha256(self.node.nodeid.encode()).hexdigest()}.json"
        with ExitStack() as stack:
            if self.found is not None or not stack.enter_context(_alone(path.with_suffix(".lock"), wait=wait)):
                return
            if path.exists():
                self.found = Found(**json.loads(path.read_bytes()))
            else:
                text = json.dumps(asdict(self._search()))
                path.with_suffix(".new").write_text(text, encoding="ascii")
                path.with_suffix(".new").replace(path)

    def _search(self) -> Found:
        selected = {item.id for item in self.selected}
        found = Found()

        def emit(event: Event) -> None:
            if isinstance(event, Finding) and event.item.id in selected:
                known = exists_everywhere(event.item.check)
                reproduce = (
                    f"template-checks replay {event.fingerprint}"
                    if known
                    else f"pytest --check {event.item.check.name}"
                )
                found.lines.append(finding_line(event, self.target.tokenizer, reproduce))
            elif isinstance(event, Outcome) and event.item.id in selected:
                found.lines.append(outcome_line(event))

        items = self.items if self._is_whole else self.selected
        search = Search(self.target, items, self.profile, self.seed, self.store, emit)
        search.run()
        found.lines.append(coverage_line(self.target.name, search.coverage))
        found.interrupted = search.interrupted
        for judged in search.judged():
            found.ledger.append(ledger_line(self.target.name, judged, self.node.path.name))
            found.stale += found.ledger[-1:] if judged.stale else []
        self.found = found
        if search.interrupted:
            raise KeyboardInterrupt
        return found


@contextmanager
def _alone(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock that ends with the process, however it ends; False where another has it and we do not wait."""
    with path.open("w") as file:
        if sys.platform != "win32":
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
        yield True  # where there are no such locks, several may search, and find the same


# Running


class TargetItem(pytest.Item):
    """What the run of one target decides."""

    def __init__(self, *, run: TargetRun, **kwargs: Any) -> None:
        """Mark it: for `-m template_checks`, and for `--dist loadgroup` of xdist, so that one worker has a target."""
        super().__init__(**kwargs)
        self.run = run
        self.add_marker(MARK)
        if self.config.pluginmanager.hasplugin("xdist"):
            self.add_marker(pytest.mark.xdist_group(run.target.name))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our text, without a traceback."""
        return _said(excinfo) or super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where and what."""
        return self.path, 0, f"{self.run.target.name}::{self.name}"


class CheckItem(TargetItem):
    """One check × renderer × purpose."""

    def __init__(self, *, item: Item, **kwargs: Any) -> None:
        """Look at one item of the run."""
        super().__init__(**kwargs)
        self.item = item

    def runtest(self) -> None:
        """Fail on a mismatch or an error; xfail where accepted; skip what was not exercised."""
        found = self.run.result()
        outcome, findings = found.of(self.item)
        name, reason = outcome["outcome"], outcome["reason"]
        if outcome["blocking"]:
            raise MismatchFound(_text([line for line in findings if line["accepted"] is None]))
        if name == "error":
            raise TemplateChecksError(reason or "it could not run")
        if found.rendered_nothing(outcome):
            raise TemplateChecksError(f"{self.item.renderer} ({self.item.purpose}) rendered nothing: {reason}")
        if name == "accepted":
            pytest.xfail(reason or "accepted")
        if name in {"not-exercised", "unsupported"}:
            pytest.skip(f"{name}: {reason}")
        if findings:
            self.add_report_section("call", ADVISORY, _text(findings))


class AcceptedItem(TargetItem):
    """Fails where an accepted mismatch is fixed or matches nothing: the entry must go."""

    def runtest(self) -> None:
        """Fail on stale entries."""
        stale = self.run.result().stale
        if stale:
            texts = [[f"✗ {line['fingerprint']}", *map("  {}".format, ledger_text(line))] for line in stale]
            raise MismatchFound("\n\n".join("\n".join(text) for text in texts))


def _text(findings: list[Line]) -> str:
    return "\n".join(text_of(group) for group in grouped(findings))


class _Hooks:
    """A hook that only sessions with a template-checks.toml have."""

    @staticmethod
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """What is skipped is skipped in the file that the user wrote, and not in a line of this one."""
        report = yield
        if isinstance(item, CheckItem) and report.skipped and isinstance(report.longrepr, tuple):
            report.longrepr = (str(item.path), 1, report.longrepr[2])
        return report


# Recording


class Account(TypedDict):
    """What one process has to say at the end of its session; the workers of xdist send theirs to the controller.

    `selected` are the items that have to end somehow in some process, by target; `found` are those of `Found`.
    """

    notes: list[str]
    header: Line | None
    selected: list[tuple[str, str]]
    found: list[dict[str, Any]]


def account(config: pytest.Config, *, recorded: bool) -> Account:
    """How to repeat the run, and what went wrong beside it; where there is to be a record, also its parts."""
    state = config.stash[STATE]
    runs = [run for run in state.runs if run.is_selected]
    notes = [run.store.problem for run in runs if run.store.problem]
    if runs and _is_drawn(config, runs[0].profile):
        notes.insert(0, f"profile {runs[0].profile.name}, seed {runs[0].seed} (--check-seed {runs[0].seed} repeats it)")
    if not recorded or state.profile is None:
        return Account(notes=notes, header=None, selected=[], found=[])
    started = datetime.fromtimestamp(state.began, timezone.utc).isoformat(timespec="seconds")
    return Account(
        notes=notes,
        header=header([run.target for run in runs], state.failed, _request(config, runs), *state.profile, started),
        selected=[(run.target.name, item.id) for run in runs for item in run.selected],
        found=[asdict(run.found) for run in runs if run.found is not None],
    )


def _request(config: pytest.Config, runs: list[TargetRun]) -> Request:
    """As the command line would say it; where pytest selected among the items, with the checks that are left."""
    checks = tuple(config.option.check)
    if any(len(run.selected) < len(run.items) for run in runs):
        checks = tuple(dict.fromkeys(item.check.name for run in runs for item in run.selected))
    path = config.stash[STATE].files[0].path
    return Request((str(path),), path, checks, tuple(config.option.target))


def merged(accounts: list[Account], seconds: float) -> list[Line]:
    """One record of what several processes found, each line once; none where nothing could be set up."""
    head = next((account["header"] for account in accounts if account["header"] is not None), None)
    if head is None:
        return []
    lines: dict[tuple[Any, ...], Line] = {}
    ledger: dict[tuple[Any, ...], Line] = {}
    stale = set()
    everything = [found for account in accounts for found in account["found"]]
    for found in everything:
        for line in found["lines"]:
            known = lines.setdefault(_key(line), line)
            if line["kind"] == "outcome" and _WORSE.index(line["outcome"]) > _WORSE.index(known["outcome"]):
                lines[_key(line)] = line
        ledger.update({(entry["target"], entry["where"]): entry for entry in found["ledger"]})
        stale |= {(entry["target"], entry["where"]) for entry in found["stale"]}
    ended = {(line["target"], item_id(line)) for line in lines.values() if line["kind"] == "outcome"}
    planned = {(target, item) for account in accounts for target, item in account["selected"]}
    interrupted = any(found["interrupted"] for found in everything) or not planned <= ended
    verdict = RunSummary(head["failed"], interrupted=interrupted, ledger=list(ledger.values()), stale=len(stale))
    for line in lines.values():
        verdict.count(line)
    return [head, *lines.values(), verdict.footer(seconds)]


_WORSE = ("pass", "unsupported", "not-exercised", "accepted", "error", "mismatch")
"""Processes that do not share what they find may disagree, under several versions of Python, say."""


def _key(line: Line) -> tuple[Any, ...]:
    """What there is once in a record."""
    return tuple(line.get(name) for name in ("kind", "target", "check", "renderer", "purpose", "fingerprint"))
