"""The formats of a report, each a view of one record and imported when it is used."""

from __future__ import annotations

from collections.abc import Callable

from template_checks.core.ndjson import to_json
from template_checks.record.reader import Record


def _terminal(record: Record) -> str:
    from template_checks.views.console import printed
    from template_checks.views.terminal import show

    return printed(lambda console: show(record.printable(), console))


def _html(record: Record) -> str:
    from template_checks.views.html.page import render_html

    return render_html(record)


def _markdown(record: Record) -> str:
    from template_checks.views.markdown import markdown

    return markdown(record)


def _junit(record: Record) -> str:
    from template_checks.views.junit import junit

    return junit(record)


def _github(record: Record) -> str:
    from template_checks.views.github import annotations

    return annotations(record)


def _badge(record: Record) -> str:
    from template_checks.views.badge import badge

    return badge(record)


def _json(record: Record) -> str:
    return "".join(f"{to_json(line)}\n" for line in record.lines)


FORMATS: dict[str, Callable[[Record], str]] = {
    "terminal": _terminal,
    "html": _html,
    "markdown": _markdown,
    "junit": _junit,
    "github": _github,
    "badge": _badge,
    "json": _json,
}
