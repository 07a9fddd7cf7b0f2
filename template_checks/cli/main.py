"""The command `template-checks`. Every command imports what it needs when it runs: `--help` is quick."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from template_checks import __version__
from template_checks.cli.accept import accept
from template_checks.cli.init import init
from template_checks.cli.inspect import checks, diff, museum, render, renderers, replay, seams
from template_checks.cli.options import EXIT_CODES
from template_checks.cli.records import compare, report, verify
from template_checks.cli.run import run, signoff
from template_checks.core.errors import TemplateChecksError
from template_checks.core.suggest import suggest

_BROKEN_PIPE = 141
"""128 + SIGPIPE, as a shell shows it. Not 0: nobody has seen what the run found."""


class _Group(click.Group):
    """Prints our errors as one message; nothing ends in a traceback that a user can do something about."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and turn errors into exit codes."""
        try:
            kwargs["standalone_mode"] = False
            code = super().main(*args, **kwargs)
        except TemplateChecksError as error:
            click.echo(f"template-checks: {error}", err=True)
            sys.exit(error.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(2)
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            sys.exit(130)
        # CPython remembers an interrupt inside exec(), which Hypothesis uses, even though it was caught, and ends
        # `python -m` by a signal instead of with this exit code; another exec() makes it forget.
        exec("")
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; where nobody reads its output any more, end quietly, as other programs do."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_BROKEN_PIPE)
        return result

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """A command; a mistyped name gets a suggestion."""
        command = super().get_command(ctx, name)
        if command is None:
            raise click.UsageError(f"No command {name!r}: {suggest(name, self.commands, 'commands')}", ctx)
        return command


@click.group(cls=_Group, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="template-checks")
def main() -> None:
    """Prove that the tokens a chat model was trained on are the tokens it will be served.

    \b
    template-checks run --example internlm2    a real failure, no network needed
    template-checks init                       write template-checks.toml for your model
    template-checks run                        check it
    """


for _command in (
    *(run, diff, render, replay, accept, seams, museum, signoff, verify, report, compare, checks, renderers, init),
):
    main.add_command(_command)


if __name__ == "__main__":
    main()
