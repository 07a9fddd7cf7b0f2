"""The record as a badge: the JSON that shields.io reads from an endpoint."""

from __future__ import annotations

import json

from template_checks.core.display import on_one_line
from template_checks.record.reader import Record

_COLOURS = {0: "green", 1: "red", 2: "orange"}


def badge(record: Record) -> str:
    """The first part of the verdict, coloured by the exit code; bright green only where the run calls itself clean."""
    footer = record.footer
    message, colour = "cut off", "lightgrey"
    if footer is not None:
        message = _message(footer.verdict)
        colour = "brightgreen" if footer.verdict == "clean" else _COLOURS.get(footer.exit_code, "lightgrey")
    return json.dumps({"schemaVersion": 1, "label": "chat template", "message": message, "color": colour}) + "\n"


def _message(verdict: str) -> str:
    """`4 defects block`, `holds`, `clean`: a badge has no room for more, and its colour says the rest."""
    word, _, rest = verdict.partition(": ")
    return on_one_line(rest.partition(",")[0] if word == "not clean" else word, 60)
