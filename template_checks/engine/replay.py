"""Counterexamples of earlier runs, run again."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import NamedTuple

from template_checks.checks.findings import Counterexample, Finding, Item
from template_checks.checks.registry import get_checks
from template_checks.config.examples import example_config
from template_checks.config.schema import Config, load_config
from template_checks.config.target import Target, build_target
from template_checks.core.errors import UsageError
from template_checks.engine.accepted import apply_entries
from template_checks.engine.assemble import assemble
from template_checks.engine.database import ExampleDatabase
from template_checks.engine.evaluate import find_mismatch


class SavedExample(NamedTuple):
    """A kept counterexample and where it comes from; `example`: the configuration is one of the package's own."""

    counterexample: Counterexample
    config: Config
    path: Path
    example: bool

    @property
    def item(self) -> Item:
        """What it was found by."""
        check = get_checks((self.counterexample.check,))[0]
        return Item(check, self.counterexample.renderer, self.counterexample.purpose)

    def build(self) -> Target:
        """Its target, as the configuration is now."""
        name = self.counterexample.target
        return build_target(name, self.config.target[name], self.path.parent, str(self.path))


def find_saved(mark: str, target: str | None = None) -> SavedExample:
    """One kept counterexample, by the first digits of its fingerprint, with its configuration as it is now.

    Raises:
        UsageError: none, several, or its target is no longer configured.
    """
    kept, arguments = ExampleDatabase(Path.cwd(), []).find(mark, target)
    example = arguments[0] == "--example"
    path = example_config(arguments[1]) if example else Path(arguments[0])
    config = load_config(path)
    if kept.target not in config.target:
        raise UsageError(f"The target {kept.target!r} is no longer configured.", where=str(path))
    return SavedExample(kept, config, path, example)


def replay(saved: SavedExample, target: Target) -> Finding | None:
    """The finding that a counterexample shows now; None where it is gone.

    Raises:
        TemplateChecksError: its renderer is no longer there, or is broken.
    """
    item, kept = saved.item, saved.counterexample
    if item.renderer is not None:
        target.working(item.renderer)
    mismatch = find_mismatch(target, item, kept.fingerprint, kept.conversation)
    if mismatch is None:
        return None
    finding = assemble(target, item, mismatch, kept.fingerprint)
    return apply_entries(finding, target.config.accepted, date.today())
