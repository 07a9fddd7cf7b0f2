"""The record as JUnit XML, as Jenkins, GitLab and others read it: a suite for each target, a case for each outcome."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from rich.console import Console

from template_checks.record.writer import Line, item_id
from template_checks.views.console import CUT_OFF, STALE, Parts, on_one_line, printable, printed
from template_checks.views.terminal import grouped, ledger_text, show_finding

_MESSAGE = 300
_SKIPPED = frozenset({"accepted", "not-exercised", "unsupported"})


def junit(lines: Iterable[Line]) -> str:
    """The whole record as one XML document.

    What a run cannot say of an outcome has a case of its own: a target that could not be built, accepted entries that
    have to go, and a run that was cut off or tested nothing.
    """
    parts = Parts.of(lines)
    root = ET.Element("testsuites", name="template-checks")
    for target in parts.targets:
        _suite(root, target, parts)
    _run(root, parts)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    if parts.footer:
        root.set("time", f"{parts.footer['seconds']:.3f}")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(root: ET.Element, target: str, parts: Parts) -> None:
    suite = ET.SubElement(root, "testsuite", name=printable(target))
    if parts.header:
        suite.set("timestamp", parts.header["started"])
        properties = ET.SubElement(suite, "properties")
        versions = parts.header["versions"].items()
        for name, value in [("profile", parts.header["profile"]), ("seed", parts.header["seed"]), *versions]:
            ET.SubElement(properties, "property", name=printable(name), value=printable(str(value)))
    if target in parts.failed:
        _say(_case(suite, target, "target"), "error", "the target could not be built", parts.failed[target])
    ended = [line for line in parts.outcomes if line["target"] == target]
    known = {item_id(line) for line in ended}
    found: dict[str, list[Line]] = {}
    for finding in parts.findings:
        if finding["target"] == target:
            found.setdefault(item_id(finding), []).append(finding)
    for line in ended:
        _outcome(suite, line, found.get(item_id(line), []))
    for name, findings in found.items():
        if name not in known:  # cut off before its outcome
            _findings(_case(suite, target, name, findings[0]["renderer"]), findings)
    _ledger(suite, target, parts)
    _count(suite)


def _case(suite: ET.Element, target: str, name: str, renderer: str | None = None) -> ET.Element:
    classname = f"{target}.{renderer}" if renderer else target
    return ET.SubElement(suite, "testcase", classname=printable(classname), name=on_one_line(name, _MESSAGE), time="0")


def _say(case: ET.Element, tag: str, message: str, text: str) -> None:
    element = ET.SubElement(case, tag, message=on_one_line(message, _MESSAGE))
    if tag != "skipped":
        element.set("type", "mismatch" if tag == "failure" else "error")
    element.text = printable(text)


def _outcome(suite: ET.Element, line: Line, findings: list[Line]) -> None:
    case = _case(suite, line["target"], item_id(line), line["renderer"])
    reason = line["reason"] or ""
    if line["outcome"] == "error":
        _say(case, "error", reason, reason)
    elif line["outcome"] in _SKIPPED:
        _say(case, "skipped", reason if reason.startswith("accepted") else f"{line['outcome']}: {reason}", "")
    _findings(case, findings)


def _findings(case: ET.Element, findings: list[Line]) -> None:
    """Blocking ones fail the case; the others are said beside it."""
    blocking: list[Line] = []
    others: list[Line] = []
    for line in findings:
        (blocking if line["severity"] == "blocking" and line["accepted"] is None else others).append(line)
    if blocking:
        summaries = "; ".join(f"{line['cause']}: {line['summary']}" for line in blocking)
        _say(case, "failure", summaries, _text(blocking))
    if others:
        ET.SubElement(case, "system-out").text = printable(_text(others))


def _text(findings: list[Line]) -> str:
    def show(console: Console) -> None:
        for group in grouped(findings):
            show_finding(group, console)

    return printed(show)


def _ledger(suite: ET.Element, target: str, parts: Parts) -> None:
    """As pytest has it: one case for the accepted entries of a target, which fails where some have to go."""
    entries = [entry for entry in parts.ledger if entry["target"] == target]
    if not entries:
        return
    case = _case(suite, target, "accepted-entries")
    stale = [entry for entry in entries if entry["state"] in STALE]
    if stale:
        texts = ["\n".join([f"✗ {entry['fingerprint']}", *ledger_text(entry)]) for entry in stale]
        _say(case, "failure", "accepted entries have to go, or to change", "\n\n".join(texts))


def _run(root: ET.Element, parts: Parts) -> None:
    """What keeps a run from being one, where nothing above says so."""
    footer = parts.footer
    if footer and not footer["interrupted"] and (footer["exit_code"] == 0 or _says_something(root)):
        return
    suite = ET.SubElement(root, "testsuite", name="template-checks")
    refused = (footer.get("signoff") or {"refused": []})["refused"] if footer else []
    _say(_case(suite, "template-checks", "run"), "error", footer["verdict"] if footer else CUT_OFF, "\n".join(refused))
    _count(suite)


def _says_something(root: ET.Element) -> bool:
    return any(suite.get("failures") != "0" or suite.get("errors") != "0" for suite in root)


def _count(suite: ET.Element) -> None:
    for name, tag in (("tests", None), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        cases = [case for case in suite.iter("testcase") if tag is None or case.find(tag) is not None]
        suite.set(name, str(len(cases)))
