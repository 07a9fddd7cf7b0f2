"""The record as workflow commands, which GitHub Actions shows at the lines of a pull request."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from template_checks.core.display import shortened
from template_checks.record.writer import Line, item_id
from template_checks.views.console import CUT_OFF, STALE, Parts, on_one_line, printable
from template_checks.views.terminal import grouped

LIMIT = 10
"""Annotations of each kind that GitHub shows for one step."""

_TEXT = 4_000
_LOCATION = re.compile(r"(.+?):([1-9]\d{0,8})(?: |$)", re.DOTALL)

Annotation = tuple[str, Line | None, str, str]
"""Its kind, the finding that it is about, its title, its text."""


def annotations(lines: Iterable[Line], folder: Path | None = None) -> str:
    """An annotation for each group of findings and for whatever else is wrong; the last one is the verdict.

    Args:
        lines: the record.
        folder: the working folder of the workflow, which files are shown relative to; default: here.
    """
    parts = Parts.of(lines)
    places = _Places(parts, folder or Path())
    wanted = [*_of_the_run(parts), *_of_findings(parts)]
    if parts.footer and parts.footer["exit_code"] and not any(kind == "error" for kind, *_ in wanted):
        refused = (parts.footer.get("signoff") or {"refused": []})["refused"]
        wanted.append(("error", None, "template-checks", "\n".join([parts.footer["verdict"], *refused])))
    written: list[str] = []
    more = []
    for kind, most in (("error", LIMIT), ("warning", LIMIT), ("notice", LIMIT - 1)):  # the verdict is a notice too
        chosen = [annotation for annotation in wanted if annotation[0] == kind]
        for _, finding, title, text in chosen[:most]:
            written.append(_command(kind, places.of(finding), title, text))
        if len(chosen) > most:
            more.append(f"{len(chosen) - most} more of kind {kind}")
    verdict = parts.footer["verdict"] if parts.footer else CUT_OFF
    rest = f"\nNot shown here: {', '.join(more)}. The record has all." if more else ""
    return "".join([*written, _command("notice", {}, "template-checks", verdict + rest)])


class _Places:
    """Where GitHub shows an annotation: the line in a file of the target, else the configuration."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        """Find the configuration; an embedded example has none that GitHub knows."""
        self.folder = folder
        self.targets = parts.header["targets"] if parts.header else {}
        arguments = parts.header.get("config", {}).get("arguments", []) if parts.header else []
        self.config: Path | None = folder / "template-checks.toml"
        if arguments[:1] == ["--example"]:
            self.config = None
        elif arguments and self._within(Path(arguments[0])):
            self.config = Path(arguments[0])

    def of(self, finding: Line | None) -> dict[str, str]:
        """The properties `file` and `line`, as far as they are known."""
        if self.config is None:
            return {}
        match = _LOCATION.match(finding["location"] or "") if finding else None
        if finding and match:
            renderer = self.targets.get(finding["target"], {}).get("renderers", {}).get(finding["renderer"], {})
            paths = {artefact["name"]: artefact.get("path") for artefact in renderer.get("artefacts", ())}
            path = paths.get(match[1])
            file = self._within(self.config.parent / path) if path else None
            if file:
                return {"file": file, "line": match[2]}
        file = self._within(self.config)
        return {"file": file} if file else {}

    def _within(self, path: Path) -> str | None:
        """The path relative to the folder, as GitHub wants it; None where it lies elsewhere, or is none."""
        relative = Path(os.path.relpath(path, self.folder))
        inside = relative.parts[:1] != ("..",) and relative.as_posix().isprintable()
        return relative.as_posix() if inside else None


def _of_the_run(parts: Parts) -> Iterable[Annotation]:
    if parts.footer is None:
        yield "error", None, "template-checks: cut off", CUT_OFF
    elif parts.footer["interrupted"]:
        yield "error", None, "template-checks: interrupted", parts.footer["verdict"]
    for name, reason in parts.failed.items():
        yield "error", None, f"{name}: could not be built", reason
    reasons: dict[tuple[str, str], list[Line]] = {}
    for line in parts.outcomes:
        if line["outcome"] == "error":
            reasons.setdefault((line["target"], line["reason"] or ""), []).append(line)
    for (target, reason), alike in reasons.items():
        yield "error", None, f"{target}: {', '.join(map(item_id, alike))}", reason
    for entry in parts.ledger:
        if entry["state"] in STALE:
            yield "error", None, f"{entry['target']}: accepted entry {entry['fingerprint']}", entry["text"]


def _of_findings(parts: Parts) -> Iterable[Annotation]:
    for group in grouped(parts.findings):
        first = group[0]
        if first["accepted"] is not None:
            kind, state = "notice", "accepted: "
        else:
            kind, state = ("error", "") if first["severity"] == "blocking" else ("warning", "advisory: ")
        yield kind, first, f"{state}{first['target']}: {item_id(first)}", _text(group)


def _text(group: list[Line]) -> str:
    first = group[0]
    text = [f"{first['cause']}: {first['summary']}"]
    if first["first_difference"] is not None:
        name = "First difference" if first["expected_ids"] else "BugResult at"
        text.append(f"{name}: token {first['first_difference']}, {first['place']}")
    text += [first[entry]["text"] for entry in ("accepted", "expired") if first[entry] is not None]
    others = dict.fromkeys(map(item_id, group[1:]))
    if others:
        text.append(f"Also fails: {', '.join(others)}")
    text.append(first["reproduce"] or f"fingerprint {first['fingerprint']}")
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
