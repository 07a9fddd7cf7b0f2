"""The record as workflow commands, which GitHub Actions shows at the lines of a pull request."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from template_checks.core.display import on_one_line, printable, shortened
from template_checks.record.models import DefectLine, FindingLine
from template_checks.record.reader import Record
from template_checks.views.console import CUT_OFF

LIMIT = 10
"""Annotations of each kind that GitHub shows for one step."""

_TEXT = 4_000
_SOURCE = re.compile(r"(.+?):([1-9]\d{0,8})(?: |$)", re.DOTALL)

Kind = Literal["error", "warning", "notice"]


@dataclass(frozen=True)
class Annotation:
    """What GitHub shows; at the place of a defect, where it is about one."""

    kind: Kind
    title: str
    text: str
    defect: DefectLine | None = None


def annotations(record: Record, folder: Path | None = None) -> str:
    """An annotation for each defect and for whatever else is wrong; the last one is the verdict.

    Args:
        record: what is shown.
        folder: the working folder of the workflow, which files are shown relative to; default: here.
    """
    places = _Places(record, folder or Path())
    wanted = [*_of_the_run(record), *_of_defects(record)]
    footer = record.footer
    if footer is not None and footer.exit_code and not any(one.kind == "error" for one in wanted):
        refused = footer.signoff.refused if footer.signoff is not None else ()
        wanted.append(Annotation("error", "template-checks", "\n".join([footer.verdict, *refused])))
    written: list[str] = []
    more = []
    for kind, most in (("error", LIMIT), ("warning", LIMIT), ("notice", LIMIT - 1)):  # the verdict is a notice too
        chosen = [one for one in wanted if one.kind == kind]
        written += [_command(one.kind, places.of(one.defect), one.title, one.text) for one in chosen[:most]]
        if len(chosen) > most:
            more.append(f"{len(chosen) - most} more of kind {kind}")
    verdict = footer.verdict if footer is not None else CUT_OFF
    rest = f"\nNot shown here: {', '.join(more)}. The record has all." if more else ""
    return "".join([*written, _command("notice", {}, "template-checks", verdict + rest)])


class _Places:
    """Where GitHub shows an annotation: the line in a file of the target, else the configuration."""

    def __init__(self, record: Record, folder: Path) -> None:
        self.folder = folder
        self.targets = record.header.targets if record.header is not None else {}
        self.config = self._find_config(record)

    def _find_config(self, record: Record) -> Path | None:
        """The configuration. There is none that GitHub knows for an embedded example, or targets made in code."""
        if record.header is None:
            return self.folder / "template-checks.toml"
        if record.header.config is None:
            return None
        arguments = record.header.config.arguments
        if arguments[:1] == ("--example",):
            return None
        if arguments and self._within(Path(arguments[0])):
            return Path(arguments[0])
        return self.folder / "template-checks.toml"

    def of(self, defect: DefectLine | None) -> dict[str, str]:
        """The properties `file` and `line`, as far as they are known."""
        if self.config is None:
            return {}
        match = _SOURCE.match(defect.source or "") if defect is not None else None
        if defect is not None and match:
            path = self._path(defect, match[1])
            file = self._within(self.config.parent / path) if path else None
            if file:
                return {"file": file, "line": match[2]}
        file = self._within(self.config)
        return {"file": file} if file else {}

    def _path(self, defect: DefectLine, name: str) -> str | None:
        """The path of an artefact of the defect's renderer."""
        target = self.targets.get(defect.target)
        renderer = target.renderers.get(defect.renderer or "") if target is not None else None
        artefacts = renderer.artefacts if renderer is not None else ()
        return next((artefact.path for artefact in artefacts if artefact.name == name), None)

    def _within(self, path: Path) -> str | None:
        """The path relative to the folder, as GitHub wants it; None where it lies elsewhere, or is none."""
        relative = Path(os.path.relpath(path, self.folder))
        inside = relative.parts[:1] != ("..",) and relative.as_posix().isprintable()
        return relative.as_posix() if inside else None


def _of_the_run(record: Record) -> Iterator[Annotation]:
    if record.footer is None:
        yield Annotation("error", "template-checks: cut off", CUT_OFF)
    elif record.footer.interrupted:
        yield Annotation("error", "template-checks: interrupted", record.footer.verdict)
    for name, reason in record.header.failed.items() if record.header is not None else ():
        yield Annotation("error", f"{name}: could not be built", reason)
    for note in record.not_tested:
        if note.outcome == "error":
            where = f" ({', '.join(note.renderers)})" if note.renderers else ""
            yield Annotation("error", f"{note.target}: {', '.join(note.checks)}{where}", note.reason)
    for entry in record.ledger:
        if entry.stale:
            yield Annotation("error", f"{entry.target}: accepted entry {entry.fingerprint}", entry.text)


def _of_defects(record: Record) -> Iterator[Annotation]:
    kinds: dict[str, tuple[Kind, str]] = {
        "blocking": ("error", ""),
        "advisory": ("warning", "advisory: "),
        "accepted": ("notice", "accepted: "),
    }
    for defect in record.defects:
        kind, state = kinds[defect.standing]
        first = record.findings_of(defect)[0]
        yield Annotation(kind, f"{state}{defect.target}: {first.item_id}", _text(defect, first), defect)


def _text(defect: DefectLine, first: FindingLine) -> str:
    """A defect and its first finding in a few lines."""
    text = [f"{defect.cause}: {defect.summary}"]
    if defect.reach:
        text.append(f"Reach: {defect.reach_text}")
    if first.first_difference is not None:
        name = "First difference" if first.expected_ids else "Seen at"
        text.append(f"{name}: token {first.first_difference}, {first.position}")
    text += [entry.text for entry in (first.accepted, first.expired) if entry is not None]
    others = dict.fromkeys(ref.item_id for ref in defect.findings[1:])
    if others:
        text.append(f"Also fails: {', '.join(others)}")
    text.append(first.reproduce or f"fingerprint {first.fingerprint}")
    return "\n".join(text)


def _command(kind: str, place: dict[str, str], title: str, text: str) -> str:
    properties = {**place, "title": on_one_line(title, 200)}
    settings = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{kind} {settings}::{_escaped(shortened(printable(text), _TEXT))}\n"


def _escaped(text: str, also: str = "") -> str:
    """As the runner undoes it: % first, then what ends a command or a property."""
    for character in "%\r\n" + also:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
