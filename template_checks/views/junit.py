"""The record as JUnit XML, as Jenkins, GitLab and others read it: a suite for each target, a case for each outcome."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from template_checks.core.display import on_one_line, printable
from template_checks.record.models import FindingLine, LedgerLine, OutcomeLine
from template_checks.record.reader import Record
from template_checks.views.console import CUT_OFF
from template_checks.views.terminal import ledger_text, text_of

_MESSAGE = 300
_SKIPPED = frozenset({"accepted", "not-exercised", "unsupported"})


def junit(record: Record) -> str:
    """The whole record as one XML document.

    What a run cannot say of an outcome has a case of its own: a target that could not be built, accepted entries that
    have to go, and a run that was cut off or tested nothing.
    """
    root = ET.Element("testsuites", name="template-checks")
    for target in record.targets:
        _suite(root, target, record)
    _run(root, record)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    if record.footer is not None:
        root.set("time", f"{record.footer.seconds:.3f}")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(root: ET.Element, target: str, record: Record) -> None:
    suite = ET.SubElement(root, "testsuite", name=printable(target))
    header = record.header
    if header is not None:
        suite.set("timestamp", header.started)
        properties = ET.SubElement(suite, "properties")
        for name, value in {"profile": header.profile, "seed": str(header.seed), **header.versions}.items():
            ET.SubElement(properties, "property", name=printable(name), value=printable(value))
        if target in header.failed:
            _say(_case(suite, target, "target"), "error", "the target could not be built", header.failed[target])
    found: dict[str, list[FindingLine]] = {}
    for finding in record.findings:
        if finding.target == target:
            found.setdefault(finding.item_id, []).append(finding)
    for line in record.outcomes:
        if line.target == target:
            _outcome(suite, line, found.pop(line.item_id, []), record)
    for name, findings in found.items():  # cut off before their outcomes
        _findings(_case(suite, target, name, findings[0].renderer), findings, record)
    _ledger(suite, target, [entry for entry in record.ledger if entry.target == target])
    _count(suite)


def _case(suite: ET.Element, target: str, name: str, renderer: str | None = None) -> ET.Element:
    classname = f"{target}.{renderer}" if renderer else target
    return ET.SubElement(suite, "testcase", classname=printable(classname), name=on_one_line(name, _MESSAGE), time="0")


def _say(case: ET.Element, tag: str, message: str, text: str) -> None:
    element = ET.SubElement(case, tag, message=on_one_line(message, _MESSAGE))
    if tag != "skipped":
        element.set("type", "mismatch" if tag == "failure" else "error")
    element.text = printable(text)


def _outcome(suite: ET.Element, line: OutcomeLine, findings: Sequence[FindingLine], record: Record) -> None:
    case = _case(suite, line.target, line.item_id, line.renderer)
    reason = line.reason or ""
    if line.outcome == "error":
        _say(case, "error", reason, reason)
    elif line.outcome in _SKIPPED:
        _say(case, "skipped", reason if reason.startswith("accepted") else f"{line.outcome}: {reason}", "")
    _findings(case, findings, record)


def _findings(case: ET.Element, findings: Sequence[FindingLine], record: Record) -> None:
    """Blocking ones fail the case; the others are said beside it."""
    blocking = [line for line in findings if line.blocking]
    others = [line for line in findings if not line.blocking]
    if blocking:
        summaries = "; ".join(f"{line.cause}: {line.summary}" for line in blocking)
        _say(case, "failure", summaries, _text(blocking, record))
    if others:
        ET.SubElement(case, "system-out").text = printable(_text(others, record))


def _text(findings: Sequence[FindingLine], record: Record) -> str:
    """The defects that these findings of one item belong to, each once."""
    chosen = {(line.target, line.item_id, line.fingerprint) for line in findings}
    return "".join(
        text_of(defect, record.findings_of(defect))
        for defect in record.defects
        if any(ref.target_key(defect.target) in chosen for ref in defect.findings)
    )


def _ledger(suite: ET.Element, target: str, entries: Sequence[LedgerLine]) -> None:
    """As pytest has it: one case for the accepted entries of a target, which fails where some have to go."""
    if not entries:
        return
    case = _case(suite, target, "accepted-entries")
    stale = [entry for entry in entries if entry.stale]
    if stale:
        texts = ["\n".join([f"✗ {entry.fingerprint}", *ledger_text(entry)]) for entry in stale]
        _say(case, "failure", "accepted entries have to go, or to change", "\n\n".join(texts))


def _run(root: ET.Element, record: Record) -> None:
    """What keeps a run from being one, where nothing above says so."""
    footer = record.footer
    if footer is not None and not footer.interrupted and (footer.exit_code == 0 or _says_something(root)):
        return
    suite = ET.SubElement(root, "testsuite", name="template-checks")
    refused = footer.signoff.refused if footer is not None and footer.signoff is not None else ()
    verdict = footer.verdict if footer is not None else CUT_OFF
    _say(_case(suite, "template-checks", "run"), "error", verdict, "\n".join(refused))
    _count(suite)


def _says_something(root: ET.Element) -> bool:
    return any(suite.get("failures") != "0" or suite.get("errors") != "0" for suite in root)


def _count(suite: ET.Element) -> None:
    for name, tag in (("tests", None), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        cases = [case for case in suite.iter("testcase") if tag is None or case.find(tag) is not None]
        suite.set(name, str(len(cases)))
