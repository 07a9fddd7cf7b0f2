"""Records as they are read: validated by the models that wrote them, taken apart by kind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from template_checks.core.display import on_one_line, printable
from template_checks.core.errors import UsageError
from template_checks.record.defects import find_defects
from template_checks.record.header import RECORD_VERSION, Header
from template_checks.record.models import (
    LINE,
    CoverageLine,
    DefectLine,
    FindingLine,
    Footer,
    LedgerLine,
    Line,
    NotTested,
    OutcomeLine,
)
from template_checks.record.summary import not_tested

_HINT = "a record is what `template-checks run --record FILE` writes"
_KINDS = {"header", "finding", "outcome", "coverage", "defect", "footer"}
_VERSION_1 = "it was written by template-checks 0.1.0, which counted findings and not defects"

L = TypeVar("L")


@dataclass(frozen=True)
class Record:
    """The lines of one record. One without footer belongs to a run that was cut off."""

    lines: tuple[Line, ...]

    def _all(self, kind: type[L]) -> list[L]:
        return [line for line in self.lines if isinstance(line, kind)]

    @cached_property
    def header(self) -> Header | None:
        """What the run is made of; missing only in a record that is not complete yet."""
        return next(iter(self._all(Header)), None)

    @cached_property
    def findings(self) -> list[FindingLine]:
        """All findings, as they came."""
        return self._all(FindingLine)

    @cached_property
    def outcomes(self) -> list[OutcomeLine]:
        """How all items ended."""
        return self._all(OutcomeLine)

    @cached_property
    def coverage(self) -> list[CoverageLine]:
        """What the conversations covered, a line a target."""
        return self._all(CoverageLine)

    @cached_property
    def footer(self) -> Footer | None:
        """What the run comes to."""
        return next(iter(self._all(Footer)), None)

    @cached_property
    def defects(self) -> list[DefectLine]:
        """All defects, worst first; those of a run that was cut off are grouped now, and their reach is not known."""
        return self._all(DefectLine) if self.footer is not None else find_defects(self.findings)

    @cached_property
    def not_tested(self) -> tuple[NotTested, ...]:
        """What was not tested, and why."""
        return self.footer.not_tested if self.footer is not None else tuple(not_tested(self.outcomes))

    @property
    def ledger(self) -> tuple[LedgerLine, ...]:
        """What became of the accepted entries."""
        return self.footer.ledger if self.footer is not None else ()

    @property
    def ended(self) -> bool:
        """Whether the run got to its end."""
        return self.footer is not None and not self.footer.interrupted

    @cached_property
    def targets(self) -> list[str]:
        """Names of the targets, of those that could not be built too."""
        named = self.header.target_names if self.header is not None else []
        return list(dict.fromkeys([*named, *(line.target for line in [*self.outcomes, *self.findings])]))

    def findings_of(self, defect: DefectLine) -> list[FindingLine]:
        """The findings of a defect, the most telling first."""
        return [self._by_ref[ref.target_key(defect.target)] for ref in defect.findings]

    @cached_property
    def _by_ref(self) -> dict[tuple[str, str, str], FindingLine]:
        return {finding.key: finding for finding in reversed(self.findings)}

    def printable(self) -> Record:
        """The same with texts that can go to a terminal: a record may come from anywhere.

        Contents of messages are left to the views, which make more of them visible.
        """
        return Record(tuple(LINE.validate_python(_printable(line.model_dump())) for line in self.lines))


def _printable(value: Any, key: str = "") -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, (list, tuple)):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {
            printable(name): item if name == "conversation" else _printable(item, name) for name, item in value.items()
        }
    return value


def read_record(path: Path) -> Record:
    """The record in a file. Its last line may be broken, since a run can be cut off while it writes.

    Raises:
        UsageError: the file cannot be read, or is no record that this version understands.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"The record cannot be read: {error.strerror}.", where=str(path), hint=_HINT) from error
    rows = [(number, row) for number, row in enumerate(data.split(b"\n"), start=1) if row.strip()]
    if not rows:
        raise UsageError("The record is empty: its run was cut off before it began.", where=str(path), hint=_HINT)
    lines: list[Line] = []
    for number, row in rows:
        where = f"{path}, line {number}"
        try:
            value = json.loads(row.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            if number == rows[-1][0] and lines and not isinstance(lines[-1], Footer):
                break
            raise _not_a_line(error, where) from error
        _check_place(value, lines, where)
        if value["kind"] in _KINDS:  # a later version may have more
            lines.append(_validated(value, where))
    record = Record(tuple(lines))
    _check_defects(record, str(path))
    return record


def _not_a_line(error: Exception, where: str) -> UsageError:
    if isinstance(error, UnicodeDecodeError):
        return UsageError(f"This is not UTF-8, at byte {error.start + 1} of the line.", where=where, hint=_HINT)
    return UsageError(f"This is not JSON: {error}.", where=where, hint=_HINT)


def _check_place(value: Any, before: list[Line], where: str) -> None:
    """Whether it is a line at all, of a version that is known, and may be where it is."""
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise UsageError("This is no line of a record: an object with a `kind` is expected.", where=where, hint=_HINT)
    if not before:
        if value["kind"] != "header":
            kind = on_one_line(value["kind"], 40)
            raise UsageError(f"A record begins with its header, and not with {kind!r}.", where=where, hint=_HINT)
        if value.get("record") != RECORD_VERSION:
            version = on_one_line(repr(value.get("record")), 40)
            known = f"; {_VERSION_1}" if value.get("record") == 1 else ""
            raise UsageError(
                f"This record has version {version}; this template-checks reads version {RECORD_VERSION}{known}.",
                where=where,
                hint="use the template-checks that wrote it (`versions` in this line has it), or run it again",
            )
    elif value["kind"] == "header":
        raise UsageError("A second header: these are several records in one file.", where=where, hint="split the file")
    elif isinstance(before[-1], Footer):
        raise UsageError("The record goes on after its footer.", where=where, hint=_HINT)


def _validated(value: Any, where: str) -> Line:
    try:
        line = LINE.validate_python(value)
    except (ValidationError, RecursionError) as error:
        problem = _first(error) if isinstance(error, ValidationError) else "it is nested too deeply"
        raise _not_as_written(problem, where) from error
    inconsistent = _inconsistent(line) if isinstance(line, FindingLine) else None
    if inconsistent:
        raise _not_as_written(inconsistent, where)
    return line


def _not_as_written(problem: str, where: str) -> UsageError:
    return UsageError(f"This is not as a run writes it: {on_one_line(problem, 300)}.", where=where, hint=_HINT)


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{name} is missing"
    return f"{name}: {first['msg']}, and not {on_one_line(repr(first['input']), 60)}"


def _inconsistent(line: FindingLine) -> str | None:
    """What types cannot say: a finding's tokens belong to its ids, and its ranges lie within them."""
    for side, ids, tokens, span in (
        ("expected", line.expected_ids, line.expected_tokens, line.expected_range),
        ("actual", line.actual_ids, line.actual_tokens, line.actual_range),
    ):
        if len(ids or ()) != len(tokens or ()):
            return f"finding.{side}_tokens are not as many as its ids"
        if span is not None and not span[0] <= span[1] <= len(ids or ()):
            return f"finding.{side}_range does not lie within its ids"
    if line.expected_ids is not None and line.actual_range is not None and line.expected_range is None:
        return "finding.expected_range is missing"
    return None


def _check_defects(record: Record, where: str) -> None:
    """Whether every finding of a defect is in the record."""
    for defect in record.defects:
        for ref in defect.findings:
            if ref.target_key(defect.target) not in record._by_ref:
                raise _not_as_written(f"defect {defect.id} names {ref.item_id} {ref.fingerprint}, which is not", where)


def record_of(lines: Iterable[Line]) -> Record:
    """The record of lines that a run wrote."""
    return Record(tuple(lines))
