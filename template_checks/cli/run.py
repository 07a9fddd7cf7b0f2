"""`template-checks run` and `signoff`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from template_checks.cli.options import EXIT_CODES, Loaded, Selection, selects, text_or_json, warn_of_plugins
from template_checks.core.errors import UsageError

if TYPE_CHECKING:
    from template_checks.record.facts import Request
    from template_checks.record.models import Line
    from template_checks.record.reader import Record

_FILE = click.Path(path_type=Path, dir_okay=False)
_JOBS = click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1),
    default=lambda: os.cpu_count() or 1,
    show_default="all cores",
    help="Processes that share the drawn conversations of a thorough profile; the result is the same for any number.",
)


def _print_schema(ctx: click.Context, _option: click.Parameter, given: bool) -> None:
    if given:
        import json

        from template_checks.record.models import schema

        click.echo(json.dumps(schema(), indent=2))
        ctx.exit()


@dataclass(frozen=True)
class Output:
    """Where a run's record goes: printed as `form` (text, json or none), and into a file."""

    form: str
    record: Path | None


@click.command(epilog="Example: template-checks run --example internlm2\n\n" + EXIT_CODES)
@selects
@click.option("--check", "-c", "checks", multiple=True, help="Only this check (repeatable).")
@click.option("--profile", "-p", default="dev", show_default=True, help="How much to look at: dev, ci or signoff.")
@click.option("--seed", type=int, help="Seed of the drawn conversations.")
@text_or_json("json prints the record (NDJSON) and nothing else.")
@click.option("--record", type=_FILE, help="Also write the record to this file.")
@_JOBS
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of the record's lines, and end.",
)
def run(
    selection: Selection,
    checks: tuple[str, ...],
    profile: str,
    seed: int | None,
    form: str,
    record: Path | None,
    jobs: int,
) -> int:
    """Run the checks of every target in TOML (default: template-checks.toml here)."""
    from template_checks.checks.registry import get_checks
    from template_checks.engine.profiles import get_profile

    warn_of_plugins()
    get_checks(checks)  # an unknown one is said before anything is loaded
    chosen = get_profile(profile, seed)
    loaded = selection.load()
    request = request_of(loaded, chosen, checks, selection.targets)
    found = run_and_show(loaded, request, Output(form, record), jobs=jobs, offline=selection.offline)
    return exit_code(found)


@click.command(epilog="Example: template-checks signoff --example internlm2-repaired\n\n" + EXIT_CODES)
@selects
@click.option("--seed", type=int, help="Seed of the drawn conversations.")
@click.option("--profile", "-p", default="signoff", show_default=True, help="How much to look at.")
@click.option("--record", type=_FILE, default="signoff.ndjson", show_default=True, help="Where the record goes.")
@click.option("--html", type=_FILE, default="signoff.html", show_default=True, help="Where the report goes.")
@click.option("--sign", "key", type=_FILE, help="Sign the record with this SSH key.")
@_JOBS
def signoff(
    selection: Selection, seed: int | None, profile: str, record: Path, html: Path, key: Path | None, jobs: int
) -> int:
    """Run thoroughly, and leave a record and an HTML report: the document a deployment waits for.

    Refused where something blocks, broke, or is required and was not exercised.
    """
    from template_checks.engine.profiles import get_profile
    from template_checks.record.reader import read_record
    from template_checks.record.signing import sign
    from template_checks.views.console import make_console
    from template_checks.views.html.page import render_html
    from template_checks.views.signoff import show_signoff

    warn_of_plugins()
    chosen = get_profile(profile, seed)
    loaded = selection.load()
    _expect(html, key)
    request = request_of(loaded, chosen, (), selection.targets)
    output = Output("text", record)
    run_and_show(loaded, request, output, jobs=jobs, offline=selection.offline, sign_off=True)
    found = read_record(record)
    write_text(html, render_html(found))
    written = [record, html, *([sign(record, key)] if key is not None else [])]
    show_signoff(found, written, make_console())
    return exit_code(found)


def _expect(html: Path, key: Path | None) -> None:
    """What would only be noticed after a long run."""
    if not html.parent.is_dir():
        raise UsageError("The folder of the report does not exist.", where=str(html))
    if key is not None and not key.is_file():
        raise UsageError("The key to sign with does not exist.", where=str(key))


def request_of(
    loaded: Loaded, chosen: tuple[object, int], checks: tuple[str, ...], targets: tuple[str, ...]
) -> Request:
    """What the command line asks for; `chosen` is profile and seed."""
    from template_checks.engine.profiles import Profile
    from template_checks.record.facts import Request

    profile, seed = chosen
    assert isinstance(profile, Profile)
    return Request(profile, seed, loaded.arguments, loaded.path, checks, targets)


def exit_code(record: Record) -> int:
    """That of the run; 3 where it did not get to its footer."""
    return record.footer.exit_code if record.footer is not None else 3


def run_and_show(
    loaded: Loaded, request: Request, output: Output, *, jobs: int, offline: bool, sign_off: bool = False
) -> Record:
    """Run, write the record as it comes, show it."""
    from rich.text import Text

    from template_checks.core.ndjson import to_json
    from template_checks.engine.database import ExampleDatabase
    from template_checks.record.reader import record_of
    from template_checks.record.runner import Surroundings, build_targets, execute
    from template_checks.views.console import make_console
    from template_checks.views.progress import run_progress
    from template_checks.views.terminal import show

    lines: list[Line] = []
    quiet = output.form == "json"
    database = ExampleDatabase(Path.cwd(), list(loaded.arguments))
    with run_progress(quiet=quiet) as progress, record_file(output.record) as write_text_line:

        def write(line: Line) -> None:
            text = to_json(line)
            write_text_line(text)
            if quiet:
                print(text, flush=True)
            lines.append(line)

        targets, failed = build_targets(loaded.config, request, offline=offline)
        try:
            execute(targets, request, Surroundings(write, progress, database, jobs, sign_off), failed)
        finally:
            for target in targets:
                target.close()
    record = record_of(lines)
    if output.form == "text":
        show(record.printable(), make_console())
    if database.problem:
        make_console(stderr=True).print(Text(f"note: {database.problem}"))
    return record


@contextmanager
def record_file(path: Path | None) -> Iterator[Callable[[str], None]]:
    """A function that writes a line of the record to the file, if there is to be one.

    Raises:
        UsageError: it cannot be written.
    """
    if path is None:
        yield lambda _text: None
        return
    try:
        file = path.open("w", encoding="ascii")
    except OSError as error:
        raise UsageError(f"The record cannot be written: {error.strerror}", where=str(path)) from error
    with file:

        def write(text: str) -> None:
            file.write(text + "\n")
            file.flush()

        yield write


def write_text(path: Path, text: str) -> None:
    """Write a report.

    Raises:
        UsageError: it cannot be written.
    """
    from template_checks.core.files import replace_file

    try:
        replace_file(path, text.encode("utf-8"))
    except OSError as error:
        raise UsageError(f"The file cannot be written: {error.strerror}", where=str(path)) from error
