"""Two records side by side: which findings appeared, disappeared or stayed, and which items end otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from template_checks.record.defects import find_defects, findings_of
from template_checks.record.header import Header
from template_checks.record.models import DefectLine, FindingLine, ItemLine
from template_checks.record.reader import Record

ChangeState = Literal["appeared", "disappeared", "unchanged", "unknown"]
"""`unknown`: only one record has it, and the run of the other was cut off, or did not get to look."""

_LOOKED = frozenset({"pass", "mismatch", "accepted"})
_ABSENT = "absent"


@dataclass(frozen=True)
class FindingChange:
    """One finding, by target and fingerprint, in both records. Several items can show it; each has a line."""

    state: ChangeState
    old: tuple[FindingLine, ...]
    new: tuple[FindingLine, ...]

    @property
    def first(self) -> FindingLine:
        """The finding as it is known last."""
        return (self.new or self.old)[0]

    @property
    def standing(self) -> tuple[str | None, str | None]:
        """What it is in the old record and in the new one: blocking, advisory or accepted."""
        return _standing(self.old), _standing(self.new)

    @property
    def blocks_now(self) -> bool:
        """Whether it blocks in the new record, and is known not to have blocked in the old one."""
        old, new = self.standing
        return new == "blocking" and old != "blocking" and self.state != "unknown"


@dataclass(frozen=True)
class OutcomeChange:
    """An item that ends otherwise; `absent` where a record does not have it."""

    target: str
    item: str
    old: str
    new: str


@dataclass(frozen=True)
class Comparison:
    """What two records differ in. `circumstances` are differences of what the runs were made of.

    `complete` is false where one of the runs did not get to its end: then nothing says that no finding appeared.
    """

    changes: tuple[FindingChange, ...]
    endings: tuple[OutcomeChange, ...]
    circumstances: tuple[str, ...]
    cut_off: tuple[str, ...]

    @property
    def appeared(self) -> list[DefectLine]:
        """The defects that appeared, worst first."""
        return find_defects(self.appeared_findings)

    @property
    def appeared_findings(self) -> list[FindingLine]:
        """Their findings."""
        return [line for change in self.of("appeared") for line in change.new]

    def findings_of(self, defect: DefectLine) -> list[FindingLine]:
        """The findings of a defect that appeared, the most telling first."""
        return findings_of(defect, self.appeared_findings)

    def of(self, state: ChangeState) -> list[FindingChange]:
        """The changes of one kind."""
        return [change for change in self.changes if change.state == state]

    @property
    def complete(self) -> bool:
        """Whether both runs got to their ends."""
        return not self.cut_off

    @property
    def exit_code(self) -> int:
        """1 if a blocking finding appeared, or one that was there became blocking; else 0."""
        return 1 if any(change.blocks_now for change in self.changes) else 0


def compare_records(before: Record, after: Record) -> Comparison:
    """Compare two records. What a run that was cut off has not seen is unknown, and did not disappear."""
    was, now = _by_key(before), _by_key(after)
    looked = {_item(line) for line in after.outcomes if line.outcome in _LOOKED} if after.ended else set()
    changes = []
    for key in dict.fromkeys([*now, *was]):
        there, here = tuple(was.get(key, ())), tuple(now.get(key, ()))
        if there and here:
            state: ChangeState = "unchanged"
        elif here:
            state = "appeared" if before.ended else "unknown"
        else:  # gone only if the new run looked again
            state = "disappeared" if looked.issuperset(map(_item, there)) else "unknown"
        changes.append(FindingChange(state, there, here))
    return Comparison(
        tuple(changes),
        tuple(_endings(before, after)),
        tuple(_circumstances(before.header, after.header)),
        tuple(name for name, record in (("old", before), ("new", after)) if not record.ended),
    )


def _by_key(record: Record) -> dict[tuple[str, str], list[FindingLine]]:
    found: dict[tuple[str, str], list[FindingLine]] = {}
    for line in record.findings:
        found.setdefault((line.target, line.fingerprint), []).append(line)
    return found


def _item(line: ItemLine) -> tuple[str, str]:
    return line.target, line.item_id


def _standing(lines: tuple[FindingLine, ...]) -> str | None:
    """The worst that one of the items makes of it."""
    if not lines:
        return None
    kinds = {"accepted" if line.accepted is not None else line.severity for line in lines}
    return next(kind for kind in ("blocking", "advisory", "accepted") if kind in kinds)


def _endings(before: Record, after: Record) -> Iterable[OutcomeChange]:
    """Only of items that one of the records has an outcome of; what a run that was cut off lacks is no news."""
    was, now = ({_item(line): line.outcome for line in record.outcomes} for record in (before, after))
    for key in dict.fromkeys([*was, *now]):
        known = (key in was or before.ended) and (key in now or after.ended)
        if known and was.get(key) != now.get(key):
            yield OutcomeChange(*key, was.get(key, _ABSENT), now.get(key, _ABSENT))


def _circumstances(old: Header | None, new: Header | None) -> Iterable[str]:
    """What the runs were made of and is not the same: a finding may have changed because of it."""
    was, now = _facts(old), _facts(new)
    for name in dict.fromkeys([*was, *now]):
        a, b = was.get(name), now.get(name)
        if a == b:
            continue
        if name.startswith("artefact "):
            yield f"{name} {'is new' if a is None else 'is gone' if b is None else 'changed'}"
        else:
            yield f"{name} {_ABSENT if a is None else a} → {_ABSENT if b is None else b}"


def _facts(header: Header | None) -> dict[str, str]:
    if header is None:
        return {}
    facts = {**header.versions, "profile": header.profile, "seed": str(header.seed)}
    for name, target in header.targets.items():
        artefacts = [*target.artefacts, *(a for renderer in target.renderers.values() for a in renderer.artefacts)]
        facts |= {f"artefact {name}: {artefact.name}": artefact.sha256 for artefact in artefacts}
    return facts
