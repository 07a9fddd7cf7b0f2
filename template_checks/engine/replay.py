"""Counterexamples of earlier runs, run again: `template-checks replay`, and the first step of `accept`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import NamedTuple

from rich.text import Text

from template_checks.checks.findings import Counterexample, Finding, Item
from template_checks.checks.registry import get_checks
from template_checks.cli.inspect import renderer_named
from template_checks.config.examples import example_config
from template_checks.config.schema import Config, load_config
from template_checks.config.target import build_target, opened
from template_checks.core.errors import UsageError
from template_checks.engine.accepted import settled
from template_checks.engine.database import ExampleDatabase
from template_checks.engine.locate import locate
from template_checks.engine.search import find_again
from template_checks.record.writer import Line, finding_line
from template_checks.views.terminal import make_console, show_finding


class SavedExample(NamedTuple):
    """A kept counterexample and where it comes from; `example`: the configuration is one of the package's own."""

    counterexample: Counterexample
    config: Config
    path: Path
    example: bool


def find_saved(mark: str, target: str | None = None) -> SavedExample:
    """One kept counterexample, by the first digits of its fingerprint, with its configuration as it is now.

    Raises:
        UsageError: none, several, or its target is no longer configured.
    """
    kept, words = ExampleDatabase(Path.cwd(), []).find(mark, target)
    example = words[0] == "--example"
    path = example_config(words[1]) if example else Path(words[0])
    config = load_config(path)
    if kept.target not in config.target:
        raise UsageError(f"The target {kept.target!r} is no longer configured.", where=str(path))
    return SavedExample(kept, config, path, example)


def replay(kept: SavedExample) -> tuple[Finding | None, Line]:
    """The finding that a counterexample shows now, and its line of a record; None where it is gone."""
    counterexample, config, path, _ = kept
    name = counterexample.target
    with opened(build_target(name, config.target[name], path.parent, str(path))) as target:
        item = Item(get_checks((counterexample.check,))[0], counterexample.renderer, counterexample.purpose)
        if item.renderer is not None:
            renderer_named(target, item.renderer)
        mark = counterexample.fingerprint
        mismatch = find_again(target, item, mark, counterexample.conversation)
        if mismatch is None:
            return None, {}
        finding = Finding(name, item, mismatch, mark, 0, locate(target, item.renderer, mismatch))
        finding = settled(finding, target.config.accepted, date.today())
        return finding, finding_line(finding, target.tokenizer, f"template-checks replay {mark}")


def replay_saved(mark: str) -> int:
    """Run one kept counterexample again; 0 it is gone, 1 it is still there."""
    console = make_console()
    kept = find_saved(mark)
    finding, line = replay(kept)
    if finding is None:
        example = kept.counterexample
        name = Item(get_checks((example.check,))[0], example.renderer, example.purpose).id
        subject = "this conversation" if example.conversation is not None else "this target"
        console.print(Text(f"{name} holds for {subject} now: {example.fingerprint} is gone."))
        return 0
    show_finding([line], console)
    return 1 if finding.blocking else 0
