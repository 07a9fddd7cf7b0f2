"""Commands that look at something: conversations, counterexamples, seams, known bugs, checks, renderer types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from template_checks.cli.options import Selection, read_conversation, selects, text_or_json, warn_of_plugins

if TYPE_CHECKING:
    from template_checks.config.target import Target
    from template_checks.core.conversation import Conversation
    from template_checks.record.models import FindingLine, RenderingFacts

_RENDERERS = click.option("--renderer", "-r", "renderers", multiple=True, help="Only this renderer (repeatable).")


@click.command(epilog="""Example: template-checks diff chat_template web_ui '[{"role": "user", "content": "hi"}]'""")
@click.argument("a")
@click.argument("b")
@click.argument("conversation")
@selects
def diff(selection: Selection, a: str, b: str, conversation: str) -> int:
    """Compare how renderers A and B render CONVERSATION (JSON, a file, or - for standard input)."""
    from rich.text import Text

    from template_checks.config.target import opened
    from template_checks.engine.compare import compare_renderers
    from template_checks.record.writer import finding_line
    from template_checks.views.console import make_console
    from template_checks.views.renderings import show_differences

    parsed, console = read_conversation(conversation), make_console()
    with opened(selection.one_target()) as target:
        compared = compare_renderers(target, a, b, parsed)
        if not compared.findings:
            console.print(Text(f"{a} and {b} give the same {compared.ids} ids ({parsed.purpose})."))
            return 0
        lines: list[FindingLine] = [finding_line(finding, target.tokenizer) for finding in compared.findings]
    show_differences(lines, console)
    return 1


@click.command(epilog="""Example: template-checks render '[{"role": "user", "content": "hi"}]' --example internlm2""")
@click.argument("conversation")
@selects
@_RENDERERS
@text_or_json("json prints one object a renderer: text, ids, labels.")
def render(selection: Selection, conversation: str, renderers: tuple[str, ...], form: str) -> int:
    """Show text, ids and labels that each renderer makes of CONVERSATION (JSON, a file, or -)."""
    from template_checks.config.target import opened
    from template_checks.views.console import make_console
    from template_checks.views.renderings import show_rendering

    parsed, console, code = read_conversation(conversation), make_console(), 0
    with opened(selection.one_target()) as target:
        for name in [target.working(name).name for name in renderers] or target.renderers:
            facts, broke = _rendered(target, name, parsed)
            code = 3 if broke else code
            if form == "json":
                print(facts.model_dump_json(exclude_none=True))
            else:
                show_rendering(facts, console)
    return code


def _rendered(target: Target, name: str, conversation: Conversation) -> tuple[RenderingFacts, bool]:
    """What a renderer makes of a conversation, and whether it broke."""
    from template_checks.core.errors import RenderError
    from template_checks.core.rendering import Rendering
    from template_checks.record.writer import rendering_facts

    purpose = conversation.purpose
    if purpose not in target.renderers[name].purposes:
        return rendering_facts(name, purpose, "does not render for this purpose", target.tokenizer), False
    result = target.render(name, conversation, purpose)
    if isinstance(result, Rendering):
        return rendering_facts(name, purpose, result, target.tokenizer), False
    broke = isinstance(result, RenderError)
    return rendering_facts(name, purpose, f"{'error' if broke else 'unsupported'}: {result}", target.tokenizer), broke


@click.command(epilog="Example: template-checks replay c7f2a91b")
@click.argument("fingerprint")
def replay(fingerprint: str) -> int:
    """Run a kept counterexample again, by its FINGERPRINT; exits with 1 where it still blocks."""
    from rich.text import Text

    from template_checks.config.target import opened
    from template_checks.engine.replay import find_saved
    from template_checks.engine.replay import replay as run_again
    from template_checks.record.defects import find_defects
    from template_checks.record.writer import finding_line
    from template_checks.views.console import make_console
    from template_checks.views.terminal import show_defect

    console, saved = make_console(), find_saved(fingerprint)
    with opened(saved.build()) as target:
        finding = run_again(saved, target)
        if finding is None:
            subject = "this conversation" if saved.counterexample.conversation is not None else "this target"
            mark = saved.counterexample.fingerprint
            console.print(Text(f"{saved.item.id} holds for {subject} now: {mark} is gone."))
            return 0
        line = finding_line(finding, target.tokenizer)
    [defect] = find_defects([line])
    show_defect(defect, [line], console)
    return 1 if finding.blocking else 0


@click.command(epilog="Example: template-checks seams --example internlm2")
@selects
@_RENDERERS
@text_or_json("json prints NDJSON: a line for each renderer, seam and token.")
def seams(selection: Selection, renderers: tuple[str, ...], form: str) -> int:
    """List every token that can merge across the seams of renderers that tokenize in pieces.

    A seam is where one piece ends and the next begins. Each token comes with a content that provokes it.
    """
    from functools import cache

    from template_checks.config.target import opened
    from template_checks.seams.records import RendererLine, seam_lines
    from template_checks.seams.vocabulary import Vocabulary
    from template_checks.views.console import make_console
    from template_checks.views.progress import late_status
    from template_checks.views.seams import show_seams

    loaded, console, code = selection.load(), make_console(), 0
    names = selection.targets or tuple(loaded.config.target)
    for key in names:
        with opened(selection.build(loaded, key)) as target:
            vocabulary = cache(lambda tokenizer=target.tokenizer: Vocabulary(tokenizer))
            chosen = [target.working(name).name for name in renderers] or [*target.renderers, *target.broken]
            for name in chosen:
                with late_status(quiet=form == "json") as say:
                    lines = list(seam_lines(target, name, vocabulary, say))
                head = lines[0]
                code = 3 if isinstance(head, RendererLine) and head.outcome == "error" else code
                if form == "json":
                    for line in lines:
                        print(line.to_json())
                else:
                    show_seams(lines, console, name_target=len(names) > 1)
    return code


@click.command(epilog="Example: template-checks museum M01 M30 --seeds 20")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Search each bug so many times.")
@text_or_json("json prints NDJSON: a line for each bug.")
def museum(ids: tuple[str, ...], seeds: int, form: str) -> int:
    """Show that documented bugs are caught, and their corrected twins are not.

    Each bug is searched for with the check that has to fire, as the ci profile does, until it fires; its twin is
    searched to the end, with all checks. Exits with 1 where a bug was missed or a twin was not silent.
    """
    from functools import partial

    from template_checks.core.ndjson import to_json
    from template_checks.engine.known_bugs import BugResult, evaluate_bug, known_bugs
    from template_checks.record.known_bugs import known_bug_line, totals_of
    from template_checks.views.console import make_console
    from template_checks.views.known_bugs import show_known_bugs
    from template_checks.views.progress import late_status

    found, lines = known_bugs(ids), []
    with late_status(quiet=form == "json") as say:
        for number, bug in enumerate(found, start=1):
            if bug.not_expressed is not None:
                result = BugResult(bug, (), ())
            else:
                text = f"{bug.id}, bug {number} of {len(found)}"
                result = evaluate_bug(bug, seeds, partial(say, text))
            lines.append(known_bug_line(result))
            if form == "json":
                print(to_json(lines[-1]), flush=True)
    if form == "text":
        show_known_bugs(lines, totals_of(lines), make_console())
    return 0 if all(line.holds for line in lines) else 1


@click.command(epilog="Example: template-checks checks same-tokens")
@click.argument("name", required=False)
def checks(name: str | None) -> None:
    """List the checks, or explain the check NAME."""
    from template_checks.checks.registry import get_checks
    from template_checks.views.catalogue import show_check, show_checks
    from template_checks.views.console import make_console

    warn_of_plugins()
    if name is None:
        show_checks(get_checks(()), make_console())
    else:
        show_check(get_checks((name,))[0], make_console())


@click.command(epilog="Example: template-checks renderers web-ui")
@click.argument("name", required=False)
def renderers(name: str | None) -> None:
    """List the renderer types, or the options of the type NAME."""
    from template_checks.renderers.registry import describe_renderers, get_renderer_type
    from template_checks.views.catalogue import show_renderer, show_renderers
    from template_checks.views.console import make_console

    if name is None:
        show_renderers(dict(describe_renderers()), make_console())
    else:
        show_renderer(name, get_renderer_type(name, "the command line"), make_console())
