"""A record as one HTML file that needs nothing else: no network, no fonts, no other file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from template_checks.checks.findings import OutcomeName
from template_checks.record.reader import Record
from template_checks.record.summary import OUTCOMES
from template_checks.views.html.findings import defect_views, numbers_of
from template_checks.views.html.matrix import matrix_of
from template_checks.views.html.tables import counts_of, ledger_rows, stops_of
from template_checks.views.html.texts import plain
from template_checks.views.terminal import SIGNS

_MEANINGS = {
    0: "every check held, or its mismatches are accepted or advisory",
    1: "a blocking defect",
    2: "wrong usage or configuration, or an accepted mismatch that is fixed or was never there",
    3: "something could not run, so nothing is proved",
}
"""Of exit codes, as README.md has them."""


def render_html(record: Record) -> str:
    """The report of a record. A record without footer is said to be cut off."""
    style, script = _asset("report.css"), _asset("report.js")
    defects = list(defect_views(record))
    numbers = numbers_of(defects)
    targets = record.header.targets if record.header is not None else {}
    return (
        _environment()
        .get_template("page.html")
        .render(
            style=style,
            script=script,
            policy=_policy(style, script),
            header=record.header,
            footer=record.footer,
            meaning=_MEANINGS[record.footer.exit_code] if record.footer is not None else "",
            counts=_counts(record),
            signs={name: sign for name, (sign, _) in SIGNS.items()},
            names=record.targets,
            defects=defects,
            matrices=[matrix_of(name, record, numbers) for name in record.targets],
            entries=ledger_rows(record, numbers),
            stops={name: found for name, target in targets.items() if (found := stops_of(target))},
            coverage=[(line, list(counts_of(line))) for line in record.coverage],
            not_tested=record.not_tested,
        )
    )


def _counts(record: Record) -> Mapping[OutcomeName, int]:
    """Outcomes as the footer counts them; without one, those that are there."""
    if record.footer is not None:
        return record.footer.counts
    return {name: sum(line.outcome == name for line in record.outcomes) for name in OUTCOMES}


def _policy(style: Markup, script: Markup) -> str:
    """What a browser may do with this file: apply its one style sheet, run its one script, and fetch nothing."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> Markup:
    """A file of this package that goes into the page as it is."""
    return Markup(files("template_checks.views.html").joinpath(name).read_text("utf-8"))


@cache
def _environment() -> Environment:
    """Templates in which everything is escaped, made plain and cut, so that no template can forget it."""
    environment = Environment(
        loader=PackageLoader("template_checks.views", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["anchor"] = lambda number: f"finding-{str(number).replace('.', '-')}"
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment


def _shown(value: Any) -> Any:
    return value if isinstance(value, Markup) else plain(str(value))
