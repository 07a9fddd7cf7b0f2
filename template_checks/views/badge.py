"""The record as a badge: the JSON that shields.io reads from an endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable

from template_checks.record.writer import Line
from template_checks.views.console import Parts, on_one_line

_COLOURS = {0: "green", 1: "red", 2: "orange"}


def badge(lines: Iterable[Line]) -> str:
    """The first part of the verdict, coloured by the exit code; bright green only where the run calls itself clean."""
    footer = Parts.of(lines).footer
    message, colour = "cut off", "lightgrey"
    if footer:
        message = on_one_line(footer["verdict"].partition(",")[0], 60)
        colour = _COLOURS.get(footer["exit_code"], "lightgrey")
        colour = "brightgreen" if footer["verdict"] == "clean" else colour
    return json.dumps({"schemaVersion": 1, "label": "chat template", "message": message, "color": colour}) + "\n"
