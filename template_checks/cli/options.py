"""What several commands share: options that name a configuration, and what they name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from template_checks.core.errors import UsageError
from template_checks.core.suggest import suggest

if TYPE_CHECKING:
    from template_checks.config.schema import Config
    from template_checks.config.target import Target
    from template_checks.core.conversation import Conversation

F = TypeVar("F", bound=Callable[..., Any])

EXIT_CODES = "Exit codes: 0 all hold, 1 a defect blocks, 2 wrong usage or configuration, 3 something could not run."


@dataclass(frozen=True)
class Loaded:
    """A configuration, its file, and the arguments that name it on the command line."""

    config: Config
    path: Path
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """The options that name a configuration and targets in it."""

    toml: Path | None
    example: str | None
    targets: tuple[str, ...]
    offline: bool

    def load(self) -> Loaded:
        """Read the configuration.

        Raises:
            UsageError: there is none, it is wrong, or it has no such target.
        """
        from template_checks.config.schema import load_config

        path, arguments = self._find()
        config = load_config(path)
        for name in self.targets:
            if name not in config.target:
                raise UsageError(
                    f"Unknown target {name!r}.", where=str(path), hint=suggest(name, config.target, "targets")
                )
        return Loaded(config, path, arguments)

    def _find(self) -> tuple[Path, tuple[str, ...]]:
        from template_checks.config.examples import example_config
        from template_checks.config.schema import find_config

        if self.example is not None:
            if self.toml is not None:
                raise UsageError("Give a TOML file or --example, not both.")
            return example_config(self.example), ("--example", self.example)
        found = self.toml or find_config(Path.cwd())
        if found is None:
            raise UsageError(
                "No template-checks.toml here, and no pyproject.toml with [tool.template-checks].",
                where=str(Path.cwd()),
                hint="`template-checks init` writes one; `template-checks run --example internlm2` needs none",
            )
        path = found / "template-checks.toml" if found.is_dir() else found
        return path, (str(path.resolve()),)

    def build(self, loaded: Loaded, name: str) -> Target:
        """Build one of its targets."""
        from template_checks.config.target import build_target

        table = loaded.config.target[name]
        return build_target(name, table, loaded.path.parent, str(loaded.path), offline=self.offline)

    def one_target(self) -> Target:
        """The one target that a command is about."""
        loaded = self.load()
        names = self.targets or tuple(loaded.config.target)
        if len(names) > 1:
            raise UsageError("Several targets: choose one with --target.", hint="targets: " + ", ".join(names))
        return self.build(loaded, names[0])


def selects(function: F) -> F:
    """Add the options that name a configuration; the command gets them as one `Selection`, its first argument."""

    def command(
        toml: Path | None, example: str | None, targets: tuple[str, ...], offline: bool, **others: object
    ) -> object:
        return function(Selection(toml, example, targets, offline), **others)

    update_wrapper(command, function)
    for option in (
        click.option("--offline", is_flag=True, help="Refuse to fetch anything."),
        click.option("--target", "-t", "targets", multiple=True, help="Only this target (repeatable)."),
        click.option("--example", metavar="NAME", help="Use an embedded example instead of a file."),
        click.argument("toml", required=False, type=click.Path(path_type=Path)),
    ):
        option(command)
    return command  # type: ignore[return-value]


def text_or_json(json_prints: str) -> Callable[[F], F]:
    """Add `--format text|json`, whose value is the argument `form`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help=json_prints,
    )


def read_conversation(text: str) -> Conversation:
    """From a JSON file, `-` for standard input, or JSON itself.

    Raises:
        UsageError: it is none of them, or no conversation.
    """
    import json

    from template_checks.core.conversation import Conversation

    where = "the conversation argument"
    if text == "-":
        text, where = sys.stdin.read(), "standard input"
    elif not text.lstrip().startswith(("[", "{")):
        path = Path(text)
        if not path.is_file():
            raise UsageError(
                "The conversation is neither JSON nor an existing file.",
                where=text,
                hint="""for example '[{"role": "user", "content": "hi"}]'""",
            )
        text, where = path.read_text(encoding="utf-8"), text
    try:
        return Conversation.from_list(json.loads(text), where)
    except json.JSONDecodeError as error:
        raise UsageError(f"Not valid JSON: {error}", where=where) from error


def warn_of_plugins() -> None:
    """Say which packages could not add their checks; everything goes on without those."""
    from template_checks.checks.registry import plugin_problems

    for problem in plugin_problems():
        click.echo(f"template-checks: {problem}", err=True)
