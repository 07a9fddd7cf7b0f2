"""The text of a failing test: what is wrong and where in the first line, then each defect in full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from template_checks.core.display import on_one_line, printable
from template_checks.record.defects import find_defects, findings_of
from template_checks.record.models import DefectLine, FindingLine, OutcomeLine
from template_checks.views.terminal import text_of

_FIRST = 200


def failure_text(findings: Sequence[FindingLine], outcomes: Iterable[OutcomeLine]) -> str:
    """All findings of one item, grouped into defects. pytest shows the first line in its short summary."""
    defects = find_defects(findings, outcomes)
    first = on_one_line("; ".join(map(short_text, defects)), _FIRST)
    texts = [text_of(defect, findings_of(defect, findings)) for defect in defects]
    return printable("\n".join([first, "", *texts]))


def short_text(defect: DefectLine) -> str:
    """Cause and source of a defect in one line, or what is known instead of the source."""
    where = f" at {defect.source}" if defect.source else f": {defect.summary}"
    return on_one_line(f"{defect.cause}{where}", _FIRST)
