"""Stop tokens, accepted mismatches and coverage as tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from template_checks.record.writer import Line

_TITLES = {
    "prefixes": "Rendered prefixes",
    "roles": "Messages by role",
    "turns": "User messages per conversation",
    "contents": "Kinds of contents",
    "scripts": "Scripts",
    "features": "Beyond roles and text",
}
_ROWS = 60
"""Rows of one table; more are counted."""

_STATES = {"accepted": "a", "unexamined": "?", "unselected": "?"}
"""Signs of the states of an entry that may stay; the others have to go or to change."""


@dataclass
class Stop:
    """One stop of a target: who teaches it, who halts on it, and where else it is configured."""

    text: str
    id: int | None
    by_text: bool
    taught: list[str] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    configured: list[str] = field(default_factory=list)


def stops_of(target: Line) -> list[Stop]:
    """The stops of a target, each once; none where the record does not hold them."""
    found: dict[tuple[str, int | None, bool], Stop] = {}
    for line in target.get("stops", ()):
        key = (line["text"], line["id"], line["by_text"])
        stop = found.setdefault(key, Stop(*key))
        where = f"{line['renderer']}: {line['source']}" if line.get("renderer") else line["source"]
        {"taught": stop.taught, "served": stop.served}.get(line["role"], stop.configured).append(where)
    return list(found.values())


@dataclass(frozen=True)
class Entry:
    """One accepted mismatch as the record tells it: from the ledger, or from the outcome that it accepted."""

    line: Line
    sign: str
    stays: bool
    finding: str | None


def entries_of(footer: Line | None, outcomes: list[Line], numbers: dict[tuple[str, str], str]) -> list[Entry]:
    """All entries; those that have to go or to change first.

    Args:
        footer: of the record, whose ledger says what became of each entry.
        outcomes: they name the entries too, also in a record that was cut off.
        numbers: of findings, by target and fingerprint.
    """
    lines = [*(footer["ledger"] if footer else ())]
    known = {(line["target"], line["fingerprint"]) for line in lines}
    for outcome in outcomes:
        for entry in outcome["entries"]:
            if (outcome["target"], entry["fingerprint"]) not in known:
                known.add((outcome["target"], entry["fingerprint"]))
                place = {key: outcome[key] for key in ("target", "check", "renderer")}
                lines.append({**place, "state": "accepted", "where": None, **entry})
    entries = []
    for line in lines:
        number = numbers.get((line["target"], line["fingerprint"]))
        entries.append(Entry(line, _STATES.get(line["state"], "✗"), line["state"] in _STATES, number))
    return sorted(entries, key=lambda entry: entry.stays)


@dataclass(frozen=True)
class Counts:
    """One table of counts, what there was most of first; `more` counts the rows left out."""

    title: str
    rows: tuple[tuple[str, int], ...]
    more: int


def counts_of(coverage: Line) -> Iterator[Counts]:
    """The tables of one coverage line."""
    for key, title in _TITLES.items():
        rows = [(str(name), int(count)) for name, count in coverage.get(key, {}).items()]
        if rows:
            yield Counts(title, tuple(rows[:_ROWS]), max(0, len(rows) - _ROWS))
