"""`template-checks accept`: writes an entry into the configuration that a mismatch came from."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from template_checks.core.errors import UsageError

if TYPE_CHECKING:
    from template_checks.checks.findings import Finding
    from template_checks.config.schema import Accepted
    from template_checks.config.toml_edit import Written
    from template_checks.engine.replay import SavedExample


@click.command(epilog='Example: template-checks accept c7f2a91b --reason "trained so in May" --expires 2026-12-31')
@click.argument("fingerprint", metavar="ID")
@click.option("--reason", required=True, help="Why it is accepted.")
@click.option("--owner", help="Who answers for it.")
@click.option(
    "--expires",
    metavar="YYYY-MM-DD",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The last day on which it is accepted; a blocking mismatch again from the next day on.",
)
@click.option("--target", "-t", help="The target, where several have this mismatch (default: the latest).")
def accept(fingerprint: str, reason: str, owner: str | None, expires: datetime | None, target: str | None) -> None:
    """Accept the mismatch ID, as a run printed it.

    Checks that it still occurs and adds an entry to the configuration it came from; the rest of the file is untouched.
    """
    from template_checks.config.schema import Accepted
    from template_checks.config.target import opened
    from template_checks.engine.replay import find_saved, replay
    from template_checks.views.accepted import show_accepted
    from template_checks.views.console import make_console

    last_day = expires.date() if expires else None
    _check_options(reason, owner, last_day)
    saved = find_saved(fingerprint, target)
    _check_not_accepted(saved)
    with opened(saved.build()) as built:
        finding = _check_blocking(replay(saved, built), saved)
    entry = Accepted(
        fingerprint=finding.fingerprint,
        check=finding.item.check.name,
        renderer=finding.item.renderer,
        reason=reason,
        owner=owner,
        expires=last_day,
        witness=finding.mismatch.conversation,
    )
    written = _write(saved, entry)
    here = Path.cwd().resolve()
    path = saved.path.relative_to(here) if saved.path.is_relative_to(here) else saved.path
    show_accepted(entry, finding.item.id, f"{path}:{written.line}", make_console())


def _check_options(reason: str, owner: str | None, expires: date | None) -> None:
    for name, text in (("--reason", reason), ("--owner", owner)):
        if text is not None and not text.strip():
            raise UsageError(f"{name} is empty.", hint='for example --reason "the model was trained so"')
    if expires is not None and expires < date.today():
        raise UsageError(f"--expires {expires} is over.", hint="the entry is valid up to and including that day")


def _check_not_accepted(saved: SavedExample) -> None:
    mark, target = saved.counterexample.fingerprint, saved.counterexample.target
    if saved.example:
        raise UsageError(
            f"{mark} comes from an example of the package, which has no file of yours to write to.",
            hint="copy the example's folder, and run that",
        )
    for number, entry in enumerate(saved.config.target[target].accepted, start=1):
        if entry.fingerprint == mark:
            over = entry.expires is not None and entry.expires < date.today()
            raise UsageError(
                f"{mark} has an entry already: {entry.said_expired if over else entry.said}",
                where=f"{saved.path}: target.{target}.accepted, entry {number}",
                hint="change the entry there; --target chooses another target",
            )


def _check_blocking(finding: Finding | None, saved: SavedExample) -> Finding:
    mark = saved.counterexample.fingerprint
    if finding is None:
        raise UsageError(f"{mark} no longer occurs: there is nothing to accept.")
    if not finding.blocking:
        raise UsageError(f"{mark} is advisory: it decides no exit code, and need not be accepted.")
    return finding


def _write(saved: SavedExample, entry: Accepted) -> Written:
    from template_checks.config.toml_edit import with_entry
    from template_checks.core.files import replace_file

    section = ("tool", "template-checks") if saved.path.name == "pyproject.toml" else ()
    try:
        old = saved.path.read_bytes().decode("utf-8")
        new = with_entry(old, (*section, "target", saved.counterexample.target), entry)
        if new is None:
            raise UsageError(
                "There is no place for an entry in this file as it is laid out.",
                where=f"{saved.path}: target.{saved.counterexample.target}",
                hint="write the target as a table of its own, with the header [target.NAME]",
            )
        replace_file(saved.path, new.text.encode("utf-8"))
    except OSError as error:
        raise UsageError(f"The entry cannot be written: {error.strerror}", where=str(saved.path)) from error
    return new
