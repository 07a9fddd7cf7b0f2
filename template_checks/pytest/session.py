"""The search behind a target's items, shared among the workers of xdist, and the record of the whole session."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from template_checks.checks.findings import Item
from template_checks.config.target import Target
from template_checks.core.files import replace_file
from template_checks.core.ndjson import RecordModel, to_json
from template_checks.engine.database import ExampleDatabase
from template_checks.engine.profiles import get_profile
from template_checks.pytest.state import STATE, State
from template_checks.record.defects import find_defects
from template_checks.record.facts import Request, header
from template_checks.record.header import Header
from template_checks.record.models import (
    CoverageLine,
    DefectLine,
    FindingLine,
    ItemLine,
    LedgerLine,
    Line,
    OutcomeLine,
    TargetLines,
)
from template_checks.record.runner import Surroundings, closing_lines, search_target
from template_checks.record.summary import RunSummary, several
from template_checks.views.failure import short_text

if sys.platform != "win32":
    import fcntl


def request_of(config: pytest.Config) -> Request:
    """What the options ask for; a new seed is the same for all targets and workers of the session."""
    state = config.stash[STATE]
    profile, seed = get_profile(state.options.profile, state.options.seed)
    path = state.files[0].path
    seed = state.seed if _is_drawn(state) else seed
    return Request(profile, seed, (str(path),), path, state.options.checks, state.options.targets)


def _is_drawn(state: State) -> bool:
    """Whether nobody chose the seed."""
    return state.options.seed is None and get_profile(state.options.profile, None)[0].seed is None


class TargetRun:
    """One search over one target, made when the first of its items runs, for all its selected items.

    For all items of the plan where the accepted entries are selected: what nobody looked for is not fixed.
    """

    def __init__(self, node: pytest.Collector, target: Target, items: list[Item]) -> None:
        self.node = node
        self.target = target
        self.items = items
        self.found: TargetLines | None = None
        self.database = ExampleDatabase(node.config.rootpath, [str(node.path)])

    @property
    def selected(self) -> list[Item]:
        """The items that pytest will run."""
        return [node.item for node in self._nodes() if node.item is not None]

    @property
    def is_selected(self) -> bool:
        """Whether it has anything to do."""
        return bool(self._nodes())

    @property
    def _is_whole(self) -> bool:
        return any(node.item is None for node in self._nodes())

    def _nodes(self) -> list[Any]:
        """The nodes of this run that pytest will run; the one of the accepted entries has no item."""
        return [node for node in self.node.session.items if getattr(node, "run", None) is self]

    def result(self) -> TargetLines:
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

    def of(self, item: Item) -> tuple[OutcomeLine, list[FindingLine]]:
        """How an item ended, and its findings."""
        lines = [line for line in self.result().lines if isinstance(line, ItemLine) and line.item_id == item.id]
        outcome = next(line for line in lines if isinstance(line, OutcomeLine))
        return outcome, [line for line in lines if isinstance(line, FindingLine)]

    def _share(self, folder: Path, *, wait: bool) -> None:
        """Search, or read what another worker found; without `wait` leave a target alone that one is searching."""
        path = folder / f"{hashlib.sha256(self.node.nodeid.encode()).hexdigest()}.json"
        with ExitStack() as stack:
            if self.found is not None or not stack.enter_context(_alone(path.with_suffix(".lock"), wait=wait)):
                return
            if path.exists():
                self.found = TargetLines.model_validate_json(path.read_bytes())
            else:
                replace_file(path, self._search().model_dump_json().encode())

    def _search(self) -> TargetLines:
        selected = {item.id for item in self.selected}
        items = self.items if self._is_whole else self.selected
        found = search_target(self.target, items, request_of(self.node.config), Surroundings(database=self.database))
        lines = tuple(line for line in found.lines if not isinstance(line, ItemLine) or line.item_id in selected)
        self.found = found.model_copy(update={"lines": lines})
        if found.interrupted:
            raise KeyboardInterrupt
        return self.found


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


# The whole session


class Account(RecordModel):
    """What one process has to say at the end of its session; the workers of xdist send theirs to the controller.

    `selected` are the items that have to end somehow in some process, by target.
    """

    notes: tuple[str, ...]
    defects: tuple[DefectLine, ...] = ()
    header: Header | None = None
    selected: tuple[tuple[str, str], ...] = ()
    found: tuple[TargetLines, ...] = ()


def read_account(text: str) -> Account:
    """An account as a worker sent it."""
    return Account.model_validate_json(text)


def account(config: pytest.Config) -> Account:
    """How to repeat the run, and what went wrong beside it; where there is to be a record, also its parts."""
    state = config.stash[STATE]
    runs = [run for run in state.runs if run.is_selected]
    notes = [run.database.problem for run in runs if run.database.problem]
    if runs and _is_drawn(state):
        request = request_of(config)
        notes.insert(0, f"profile {request.profile.name}, seed {request.seed} (--check-seed {request.seed} repeats it)")
    found = tuple(run.found for run in runs if run.found is not None)
    defects = tuple(defect for lines in found for defect in _defects(lines.lines))
    if state.options.record is None or not state.runs:
        return Account(notes=tuple(notes), defects=defects)
    started = datetime.fromtimestamp(state.began, timezone.utc).isoformat(timespec="seconds")
    return Account(
        notes=tuple(notes),
        defects=defects,
        header=header([run.target for run in runs], state.failed, _recorded_request(config, runs), started),
        selected=tuple((run.target.name, item.id) for run in runs for item in run.selected),
        found=found,
    )


def _defects(lines: Iterable[Line]) -> list[DefectLine]:
    known = list(lines)
    findings = [line for line in known if isinstance(line, FindingLine)]
    return find_defects(findings, [line for line in known if isinstance(line, OutcomeLine)])


def _recorded_request(config: pytest.Config, runs: list[TargetRun]) -> Request:
    """As the command line would say it; where pytest selected among the items, with the checks that are left."""
    request = request_of(config)
    if any(len(run.selected) < len(run.items) for run in runs):
        checks = tuple(dict.fromkeys(item.check.name for run in runs for item in run.selected))
        return Request(request.profile, request.seed, request.arguments, request.config, checks, request.targets)
    return request


def summary_lines(state: State) -> Iterator[str]:
    """What the end of the session says: the defects that block, and how to repeat the run."""
    defects = {(defect.target, defect.id): defect for one in state.accounts for defect in one.defects}
    blocking = [defect for defect in defects.values() if defect.blocking]
    if blocking:
        yield f"template-checks: {several(len(blocking), 'defect blocks', 'defects block')}"
    for defect in blocking:
        yield f"  {defect.reach_text}, {defect.renderer or defect.target}: {short_text(defect)} ({defect.id})"
    advisory = sum(defect.standing == "advisory" for defect in defects.values())
    if advisory and not state.options.advisory:
        count = several(advisory, "advisory defect fails", "advisory defects fail")
        yield f"template-checks: {count} nothing (shown with --check-advisory)"
    for note in dict.fromkeys(note for one in state.accounts for note in one.notes):
        yield f"template-checks: {note}"


def write_record(path: Path, accounts: list[Account], seconds: float) -> bool:
    """Write the record of the session; False where nothing could be set up."""
    lines = merged(accounts, seconds)
    replace_file(path, "".join(f"{to_json(line)}\n" for line in lines).encode("ascii"))
    return bool(lines)


def merged(accounts: list[Account], seconds: float) -> list[Line]:
    """One record of what several processes found, each line once; none where nothing could be set up."""
    head = next((one.header for one in accounts if one.header is not None), None)
    if head is None:
        return []
    lines: dict[tuple[str, ...], Line] = {}
    ledger: dict[tuple[str, str], LedgerLine] = {}
    everything = [found for one in accounts for found in one.found]
    for found in everything:
        for line in found.lines:
            known = lines.setdefault(_key(line), line)
            if isinstance(line, OutcomeLine) and isinstance(known, OutcomeLine):
                lines[_key(line)] = max(known, line, key=lambda one: _WORSE.index(one.outcome))
        ledger.update({(entry.target, entry.where): entry for entry in found.ledger})
    ended = {(line.target, line.item_id) for line in lines.values() if isinstance(line, OutcomeLine)}
    planned = {pair for one in accounts for pair in one.selected}
    summary = RunSummary(
        head.failed,
        interrupted=any(found.interrupted for found in everything) or not planned <= ended,
        ledger=list(ledger.values()),
    )
    for line in lines.values():
        summary.count(line)
    return [head, *lines.values(), *closing_lines(summary, seconds)]


_WORSE = ("pass", "unsupported", "not-exercised", "accepted", "error", "mismatch")
"""Processes that do not share what they find may disagree, under several versions of Python, say."""


def _key(line: Line) -> tuple[str, ...]:
    """What there is once in a record."""
    if isinstance(line, ItemLine):
        mark = line.fingerprint if isinstance(line, FindingLine) else ""
        return line.kind, line.target, line.item_id, mark
    return line.kind, line.target if isinstance(line, CoverageLine) else ""
