"""Commands about a record that was written: verify, report, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from template_checks.cli.options import Loaded, Selection
from template_checks.cli.run import Output, run_and_show, write_text
from template_checks.core.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from template_checks.record.header import Header
    from template_checks.record.reader import Record

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(epilog="Example: template-checks verify signoff.ndjson --rerun")
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--rerun", is_flag=True, help="Repeat the run with its seed, and compare how everything ends.")
@click.option("--config", "toml", type=click.Path(path_type=Path), help="The configuration, if it lies elsewhere now.")
@click.option("--signers", type=_FILE, help="Check the signature by this allowed_signers file.")
@click.option("--identity", help="Who has to have signed.")
@click.option("--offline", is_flag=True, help="Refuse to fetch anything.")
def verify(
    record: Path, rerun: bool, toml: Path | None, signers: Path | None, identity: str | None, offline: bool
) -> int:
    """Say which artefacts of RECORD are no longer what they were; exits with 1 where one is not."""
    from template_checks.record.reader import read_record
    from template_checks.record.verify import verify_artefacts
    from template_checks.views.console import make_console
    from template_checks.views.verification import show_verification

    found, console = read_record(record), make_console()
    head = found.header
    assert head is not None  # a record that is read begins with one
    _check_signature(record, signers, identity, console)
    if found.footer is None:
        _say_cut_off(console)
    loaded = _loaded(head, toml)
    seen = verify_artefacts(head, loaded.config, loaded.path, offline=offline)
    show_verification(seen, console)
    changed = bool(seen.changes)
    if rerun:
        changed = _repeat(found, head, loaded, console, offline=offline) or changed
    return 1 if changed else 0


def _check_signature(record: Path, signers: Path | None, identity: str | None, console: Console) -> None:
    from rich.text import Text

    if (signers is None) != (identity is None):
        raise UsageError("A signature is checked with --signers and --identity together.")
    if signers is not None and identity is not None:
        from template_checks.record.signing import check

        check(record, signers, identity)
        console.print(Text(f"signed   by {identity}"))


def _say_cut_off(console: Console) -> None:
    from rich.text import Text

    console.print(Text("This record has no footer: the run was cut off, and proves nothing.", style="bold red"))


def _loaded(head: Header, toml: Path | None) -> Loaded:
    """The configuration of a record: the one that it names, or the one that was given."""
    if toml is None and head.config is None:
        raise UsageError(
            "The targets of this record were made in code: it names no configuration.",
            hint="--config FILE gives one",
        )
    arguments = head.config.arguments if head.config is not None else ()
    if toml is None and arguments[:1] == ("--example",):
        return Selection(None, arguments[1], (), False).load()
    return Selection(toml or Path(arguments[0]), None, (), False).load()


def _repeat(old: Record, head: Header, loaded: Loaded, console: Console, *, offline: bool) -> bool:
    """Run once more with the same seed; says what ended differently."""
    from template_checks.engine.profiles import get_profile
    from template_checks.record.facts import Request
    from template_checks.record.verify import differences
    from template_checks.views.verification import show_rerun

    profile, seed = get_profile(head.profile, head.seed)
    request = Request(profile, seed, loaded.arguments, loaded.path, head.selected_checks, head.selected_targets)
    again = run_and_show(loaded, request, Output("none", None), jobs=1, offline=offline)
    found = differences(old, again)
    show_rerun(seed, len(again.outcomes), found, console)
    return bool(found)


@click.command(epilog="Example: template-checks report signoff.ndjson --format html --output report.html")
@click.argument("record", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "html", "markdown", "junit", "github", "badge", "json"]),
    default="terminal",
    show_default=True,
    help="Which view.",
)
@click.option("--output", "-o", type=_FILE, help="Write it to this file.")
def report(record: Path, form: str, output: Path | None) -> None:
    """Show a RECORD that a run has written. Shows what the record says, and computes nothing."""
    from template_checks.record.reader import read_record
    from template_checks.views.formats import FORMATS

    text = FORMATS[form](read_record(record))
    if output is not None:
        write_text(output, text)
    else:
        print(text, end="" if text.endswith("\n") else "\n")


@click.command(epilog="Example: template-checks compare last-week.ndjson today.ndjson")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def compare(old: Path, new: Path) -> int:
    """Say which findings appeared, disappeared or stayed.

    Exits with 1 if a blocking one appeared, with 3 where a run was cut off.
    """
    from template_checks.record.compare import compare_records
    from template_checks.record.reader import read_record
    from template_checks.views.comparison import show_comparison
    from template_checks.views.console import make_console

    comparison = compare_records(read_record(old).printable(), read_record(new).printable())
    show_comparison(comparison, make_console())
    return comparison.exit_code or (0 if comparison.complete else 3)
