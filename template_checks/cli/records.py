"""Commands around the record of a run: sign-off, verification, reports, comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from template_checks.cli.inspect import run_and_show
from template_checks.config.schema import Config
from template_checks.core.errors import UsageError
from template_checks.engine.profiles import Profile, get_profile
from template_checks.record.reader import read_record
from template_checks.record.verify import Verification, differences, verify_artefacts
from template_checks.record.writer import Line
from template_checks.views.terminal import make_console

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console


def write_text(path: Path, text: str) -> None:
    """Write a report.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The file cannot be written: {error.strerror}", where=str(path)) from error


def sign_off(
    config: Config,
    path: Path,
    words: list[str],
    profile: Profile,
    seed: int,
    targets: tuple[str, ...],
    record: Path,
    html: Path,
    key: Path | None,
    *,
    offline: bool,
) -> int:
    """Run the thorough profile; leave a record, a report and, with a key, a signature. Says whether it is granted."""
    from template_checks.record.signing import sign
    from template_checks.views.html.page import render_html

    _expect(html, key)
    code = run_and_show(config, path, words, (), profile, seed, targets, "text", record, offline=offline, sign_off=True)
    lines = read_record(record)
    write_text(html, render_html(lines))
    console = make_console()
    footer = next(line for line in lines if line["kind"] == "footer")
    if footer["signoff"]["granted"]:
        console.print(Text("Sign-off: granted", style="bold green"))
    else:
        console.print(Text("Sign-off: refused", style="bold red"))
        for reason in footer["signoff"]["refused"]:
            console.print(Text(f"  {reason}"))
    written = [str(record), str(html)]
    if key is not None:
        written.append(str(sign(record, key)))
    console.print(Text(f"Written: {', '.join(written)}"))
    return code


def _expect(html: Path, key: Path | None) -> None:
    """What would only be noticed after a long run."""
    if not html.parent.is_dir():
        raise UsageError("The folder of the report does not exist.", where=str(html))
    if key is not None and not key.is_file():
        raise UsageError("The key to sign with does not exist.", where=str(key))


def verify_record(
    record: Path,
    load: Callable[[list[str]], tuple[Config, Path, list[str]]],
    signers: Path | None,
    identity: str | None,
    *,
    rerun: bool,
    offline: bool,
) -> int:
    """Say what changed since the record was written; 1 where something did.

    Args:
        record: the record's file.
        load: from the words that name a configuration on the command line: the configuration, its file, the words.
        signers: who may sign; with `identity`, the signature is checked first.
        identity: who signed.
        rerun: repeat the run and compare how its items end.
        offline: refuse to fetch anything.
    """
    lines = read_record(record)
    head = lines[0]
    console = make_console()
    if (signers is None) != (identity is None):
        raise UsageError("A signature is checked with --signers and --identity together.")
    if signers is not None and identity is not None:
        from template_checks.record.signing import check

        check(record, signers, identity)
        console.print(Text(f"signed   by {identity}"))
    if not any(line["kind"] == "footer" for line in lines):
        console.print(Text("This record has no footer: the run was cut off, and proves nothing.", style="bold red"))
    config, path, words = load(head["config"]["arguments"])
    seen = verify_artefacts(head, config, path, offline=offline)
    _show(seen, console)
    changed = bool(seen.changes)
    if rerun:
        changed = _repeat(lines, head, config, path, words, offline=offline) or changed
    return 1 if changed else 0


def _show(seen: Verification, console: Console) -> None:
    for change in seen.changes:
        console.print(Text(f"changed  {change.name} ({change.owner}) {change.how}", style="bold red"))
    for note in seen.notes:
        console.print(Text(f"note     {note}"))
    unchanged = seen.artefacts - sum(change.how != "is new" for change in seen.changes)
    console.print(Text(f"{unchanged} of {seen.artefacts} artefacts are what they were."))


def _repeat(lines: list[Line], head: Line, config: Config, path: Path, words: list[str], *, offline: bool) -> bool:
    """Run once more with the same seed; says what ended otherwise."""
    profile, seed = get_profile(head["profile"], head["seed"])
    again: list[Line] = []
    targets = tuple(head["selected_targets"])
    run_and_show(
        config,
        path,
        words,
        tuple(head["checks"]),
        profile,
        seed,
        targets,
        "none",
        None,
        offline=offline,
        keep=again.append,
    )
    found = differences(lines, again)
    console = make_console()
    for text in found:
        console.print(Text(f"differs  {text}", style="bold red"))
    outcomes = sum(line["kind"] == "outcome" for line in again)
    console.print(Text(f"Run again with seed {seed}: {outcomes} outcomes, {len(found)} differences."))
    return bool(found)


def write_report(record: Path, form: str, output: Path | None) -> int:
    """Print or write one view of a record."""
    from template_checks.record.reader import FORMATS

    lines = read_record(record)
    text = FORMATS[form](lines)
    if output is not None:
        write_text(output, text)
    else:
        print(text, end="" if text.endswith("\n") else "\n")
    return 0


def show_compared(old: Path, new: Path) -> int:
    """Print what two records differ in; 1 where a blocking finding appeared, 3 where the new run was cut off."""
    from template_checks.record.compare import compare, show_comparison

    comparison = compare(read_record(old), read_record(new))
    return show_comparison(comparison, make_console()) or (0 if comparison.complete else 3)
