"""Which check ended how for which renderer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from template_checks.record.header import CheckFacts
from template_checks.record.models import OutcomeLine
from template_checks.record.reader import Record
from template_checks.views.html.findings import FindingKey
from template_checks.views.terminal import SIGNS


@dataclass(frozen=True)
class OutcomeView:
    """How one item ended, and the numbers of its findings in this report."""

    outcome: OutcomeLine
    counts: str
    findings: tuple[str, ...]

    @property
    def sign(self) -> str:
        """Sign of the outcome, as on a terminal."""
        return SIGNS[self.outcome.outcome][0]


@dataclass(frozen=True)
class CheckRow:
    """One check of one target. `cells` has a list for each renderer; `once` is set for a check of the target."""

    check: str
    promise: str
    cells: tuple[tuple[OutcomeView, ...], ...]
    once: OutcomeView | None


@dataclass(frozen=True)
class Matrix:
    """Outcomes of one target: rows by family, in the order of the record's header."""

    target: str
    reference: str | None
    renderers: tuple[str, ...]
    families: tuple[tuple[str, tuple[CheckRow, ...]], ...]


def matrix_of(target: str, record: Record, numbers: Mapping[FindingKey, str]) -> Matrix:
    """What became of one target.

    Args:
        target: its name.
        record: the record.
        numbers: the number of each finding in the report.
    """
    known = record.header.targets.get(target) if record.header is not None else None
    outcomes = [line for line in record.outcomes if line.target == target]
    ended = [line.renderer for line in outcomes if line.renderer is not None]
    renderers = tuple(dict.fromkeys([*(known.renderer_names if known is not None else ()), *ended]))
    families: dict[str, list[CheckRow]] = {}
    for check in _checks(record, outcomes):
        views = [_outcome_view(line, numbers) for line in outcomes if line.check == check.name]
        families.setdefault(check.family, []).append(_row(check, renderers, views))
    rows = tuple((family, tuple(rows)) for family, rows in families.items())
    return Matrix(target, known.reference if known is not None else None, renderers, rows)


def _checks(record: Record, outcomes: list[OutcomeLine]) -> Iterator[CheckFacts]:
    """The checks that ended, as the header describes them, in its order; those it does not know last."""
    ended = dict.fromkeys(line.check for line in outcomes)
    known = record.header.checks if record.header is not None else ()
    yield from (check for check in known if check.name in ended)
    names = {check.name for check in known}
    yield from (CheckFacts(name=name, family="other", promise="") for name in ended if name not in names)


def _row(check: CheckFacts, renderers: tuple[str, ...], views: list[OutcomeView]) -> CheckRow:
    once = next((view for view in views if view.outcome.renderer is None), None)
    cells = [tuple(view for view in views if view.outcome.renderer == renderer) for renderer in renderers]
    return CheckRow(check.name, check.promise, tuple(cells), once)


def _outcome_view(line: OutcomeLine, numbers: Mapping[FindingKey, str]) -> OutcomeView:
    keys = [(line.target, line.item_id, fingerprint) for fingerprint in line.findings]
    counts = ((line.blocking, "blocking"), (line.advisory, "advisory"), (line.accepted, "accepted"))
    words = [f"{count} {word}" for count, word in counts if count]
    words += [f"{line.more} more like them"] if line.more else []
    return OutcomeView(line, ", ".join(words), tuple(numbers[key] for key in keys if key in numbers))
