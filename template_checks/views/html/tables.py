"""Stop tokens, accepted mismatches and coverage as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from template_checks.record.header import TargetFacts
from template_checks.record.models import AcceptedFacts, CoverageLine
from template_checks.record.reader import Record
from template_checks.views.html.findings import FindingKey

_ROWS = 60
"""Rows of one table; more are counted."""

_STATE_SIGNS = {"accepted": "a", "unexamined": "?", "unselected": "?"}
"""Signs of the states of an entry that may stay."""


@dataclass
class StopRow:
    """One stop of a target: who teaches it, who halts on it, and where else it is configured."""

    text: str
    id: int | None
    by_text: bool
    taught: list[str] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    configured: list[str] = field(default_factory=list)


def stops_of(target: TargetFacts) -> list[StopRow]:
    """The stops of a target, each once."""
    found: dict[tuple[str, int | None, bool], StopRow] = {}
    for stop in target.stops:
        key = (stop.text, stop.id, stop.by_text)
        row = found.setdefault(key, StopRow(*key))
        places = {"taught": row.taught, "served": row.served, "configured": row.configured}[stop.role]
        places.append(f"{stop.renderer}: {stop.source}" if stop.renderer else stop.source)
    return list(found.values())


@dataclass(frozen=True)
class LedgerRow:
    """One accepted mismatch: from the ledger or, where the run was cut off, from the outcome that it accepted."""

    target: str
    check: str | None
    renderer: str | None
    fingerprint: str
    state: str
    where: str | None
    entry: AcceptedFacts
    finding: str | None

    @property
    def sign(self) -> str:
        """Sign of the state."""
        return _STATE_SIGNS.get(self.state, "✗")

    @property
    def stays(self) -> bool:
        """Whether nothing has to be done about it."""
        return self.state in _STATE_SIGNS


def ledger_rows(record: Record, numbers: Mapping[FindingKey, str]) -> list[LedgerRow]:
    """All entries; those that have to go or to change first.

    Args:
        record: the record.
        numbers: the number of each finding in the report.
    """
    by_fingerprint: dict[tuple[str, str], str] = {}
    for (target, _, fingerprint), number in numbers.items():
        by_fingerprint.setdefault((target, fingerprint), number)
    rows = _of_ledger(record, by_fingerprint) if record.footer is not None else _of_outcomes(record, by_fingerprint)
    return sorted(rows, key=lambda row: row.stays)


def _of_ledger(record: Record, numbers: Mapping[tuple[str, str], str]) -> Iterator[LedgerRow]:
    for line in record.ledger:
        number = numbers.get((line.target, line.fingerprint))
        yield LedgerRow(line.target, line.check, line.renderer, line.fingerprint, line.state, line.where, line, number)


def _of_outcomes(record: Record, numbers: Mapping[tuple[str, str], str]) -> Iterator[LedgerRow]:
    known = set()
    for line in record.outcomes:
        for entry in line.entries:
            key = (line.target, entry.fingerprint)
            if key not in known:
                known.add(key)
                yield LedgerRow(
                    line.target,
                    line.check,
                    line.renderer,
                    entry.fingerprint,
                    "accepted",
                    None,
                    entry,
                    numbers.get(key),
                )


@dataclass(frozen=True)
class CountTable:
    """One table of counts, what there was most of first; `more` counts the rows left out."""

    title: str
    rows: tuple[tuple[str, int], ...]
    more: int


def counts_of(coverage: CoverageLine) -> Iterator[CountTable]:
    """The tables of one coverage line."""
    prefixes = {"train": coverage.prefixes.train, "generate": coverage.prefixes.generate}
    for title, counts in (
        ("Rendered prefixes", prefixes),
        ("Messages by role", coverage.roles),
        ("User messages per conversation", coverage.turns),
        ("Kinds of contents", coverage.contents),
        ("Scripts", coverage.scripts),
        ("Beyond roles and text", coverage.features),
    ):
        rows = tuple(counts.items())
        if rows:
            yield CountTable(title, rows[:_ROWS], max(0, len(rows) - _ROWS))
