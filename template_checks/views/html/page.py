"""A record as one HTML file that needs nothing else: no network, no fonts, no other file."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from template_checks.record.writer import Line
from template_checks.views.html.cards import groups_of
from template_checks.views.html.matrix import SIGNS, matrix_of
from template_checks.views.html.tables import counts_of, entries_of, stops_of
from template_checks.views.html.texts import plain

_MEANINGS = {
    0: "every check held, or its mismatches are accepted or advisory",
    1: "a blocking mismatch",
    2: "wrong usage or configuration, or an accepted mismatch that is fixed or was never there",
    3: "something could not run, so nothing is proved",
}
"""Of exit codes, as README.md has them."""


def render_html(lines: Iterable[Line]) -> str:
    """The report of a record. A record without footer is said to be cut off."""
    record = list(lines)
    header = next((line for line in record if line["kind"] == "header"), None)
    footer = next((line for line in record if line["kind"] == "footer"), None)
    outcomes = [line for line in record if line["kind"] == "outcome"]
    targets: Line = header["targets"] if header else {}
    stops = {name: {stop["id"] for stop in target.get("stops", ())} - {None} for name, target in targets.items()}
    groups, numbers = groups_of([line for line in record if line["kind"] == "finding"], stops)
    by_target: dict[str, list[Line]] = {name: [] for name in targets}
    for line in outcomes:
        by_target.setdefault(line["target"], []).append(line)
    style, script = _asset("report.css"), _asset("report.js")
    return (
        _environment()
        .get_template("page.html")
        .render(
            style=style,
            script=script,
            policy=_policy(style, script),
            header=header,
            footer=footer,
            meaning=_MEANINGS.get(footer["exit_code"], "") if footer else "",
            counts=_counts(footer, outcomes),
            signs=SIGNS,
            names=list(by_target),
            groups=[group for group in groups if group.first.line["accepted"] is None],
            accepted=[group for group in groups if group.first.line["accepted"] is not None],
            matrices=[matrix_of(name, header, lines, numbers) for name, lines in by_target.items()],
            entries=entries_of(footer, outcomes, {(key[0], key[4]): number for key, number in numbers.items()}),
            stops={name: found for name, target in targets.items() if (found := stops_of(target))},
            coverage=[(line, list(counts_of(line))) for line in record if line["kind"] == "coverage"],
            command=_command(header) if header else None,
        )
    )


def _counts(footer: Line | None, outcomes: list[Line]) -> dict[str, int]:
    """Outcomes as the footer counts them; without one, those that are there."""
    if footer:
        return {name: footer["counts"].get(name, 0) for name in SIGNS}
    return {name: sum(line["outcome"] == name for line in outcomes) for name in SIGNS}


def _command(header: Line) -> str:
    """The command that draws the same conversations again."""
    words = ["template-checks", "run", *header.get("config", {}).get("arguments", ())]
    words += ["--profile", header["profile"], "--seed", str(header["seed"])]
    for target in header.get("selected_targets", ()):
        words += ["--target", target]
    for check in header.get("checks", ()):
        words += ["--check", check]
    return shlex.join(words)


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
