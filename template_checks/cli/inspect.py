"""What the commands do: builds, runs and shows. Imported only when a command runs."""

from __future__ import annotations

import json
import re
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from rich.status import Status
from rich.table import Table
from rich.text import Text

from template_checks.checks.base import Check, mismatch_from
from template_checks.checks.case import RenderedPrefixes
from template_checks.checks.findings import Finding, Item, Progress
from template_checks.checks.fingerprint import fingerprint
from template_checks.checks.registry import all_checks
from template_checks.config.schema import Config
from template_checks.config.target import Target, build_target, opened
from template_checks.core.conversation import Conversation
from template_checks.core.display import visible
from template_checks.core.errors import RenderError, TemplateChecksError, Unsupported, UsageError
from template_checks.core.rendering import IGNORE_INDEX, Rendering
from template_checks.engine.database import ExampleDatabase
from template_checks.engine.known_bugs import BugResult, evaluate, known_bugs
from template_checks.engine.locate import locate
from template_checks.engine.profiles import Profile
from template_checks.record.runner import Run
from template_checks.record.writer import Line, Request, display_tokens, finding_line
from template_checks.renderers.registry import describe_renderers, get_renderer_type
from template_checks.seams.records import seam_lines
from template_checks.seams.vocabulary import Vocabulary
from template_checks.views.known_bugs import museum_line, show_museum
from template_checks.views.seams import show_seams
from template_checks.views.terminal import make_console, print_table, show, show_finding


def run_and_show(
    config: Config,
    path: Path,
    words: list[str],
    checks: tuple[str, ...],
    profile: Profile,
    seed: int,
    targets: tuple[str, ...],
    form: str,
    record: Path | None,
    *,
    offline: bool,
    sign_off: bool = False,
    keep: Callable[[Line], None] = lambda _line: None,
) -> int:
    """Run, write the record as it comes, show it; returns the exit code.

    `form` is text, json or none; `keep` receives every line too.
    """
    lines: list[Line] = []
    with _record_file(record) as write_line, _progress(quiet=form == "json") as progress:

        def write(line: Line) -> None:
            text = json.dumps(line, ensure_ascii=True)
            write_line(text)
            keep(line)
            if form == "json":
                print(text, flush=True)
            lines.append(line)

        store = ExampleDatabase(Path.cwd(), words)
        request = Request(tuple(words), path, checks, targets)
        run = Run(config, request, profile, seed, store, write, progress, offline, sign_off)
        code = run.execute()
    if form == "text":
        show(lines, make_console())
    if store.problem:
        make_console(stderr=True).print(Text(f"note: {store.problem}"))
    return code


@contextmanager
def _record_file(path: Path | None) -> Iterator[Callable[[str], None]]:
    if path is None:
        yield lambda _text: None
        return
    try:
        file = path.open("w", encoding="ascii")
    except OSError as error:
        raise UsageError(f"The record cannot be written: {error.strerror}", where=str(path)) from error
    with file:

        def keep(text: str) -> None:
            file.write(text + "\n")
            file.flush()

        yield keep


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A line on a terminal's standard error while a run lasts; nothing elsewhere."""
    console = make_console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _progress: None
        return
    begin = time.monotonic()
    with console.status("starting") as status:

        def progress(event: Progress) -> None:
            rate = event.conversations / max(time.monotonic() - begin, 0.001)
            status.update(
                f"{event.target}: {event.conversations} conversations, {rate:.0f} a second, {event.findings} findings"
            )

        yield progress


@contextmanager
def _late_status(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A line on a terminal's standard error for what takes longer than a second; nothing elsewhere."""
    console = make_console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _text: None
        return
    start = time.monotonic()
    with ExitStack() as stack:
        status: Status | None = None

        def say(text: str) -> None:
            nonlocal status
            if status is not None:
                status.update(text)
            elif time.monotonic() - start > 1:
                status = stack.enter_context(console.status(text))

        yield say


def renderer_named(target: Target, name: str) -> str:
    """The name, if the target has such a renderer, and it works.

    Raises:
        TemplateChecksError: it has none, or it is broken.
    """
    if name in target.broken:
        raise target.broken[name]
    if name not in target.renderers:
        raise UsageError(
            f"The target {target.name} has no renderer {name!r}.",
            hint="its renderers: " + ", ".join(target.renderers),
        )
    return name


def show_diff(target: Target, a: str, b: str, conversation: Conversation) -> int:
    """Compare two renderers on one conversation; 0 equal, 1 different."""
    console = make_console()
    for name in (a, b):
        renderer_named(target, name)
    renamed = target.config.model_copy(update={"reference": a})
    compared = Target(target.name, renamed, target.tokenizer, target.renderers)
    exchange = RenderedPrefixes(compared, conversation, [a, b])
    length = len(conversation.messages)
    for name in (a, b):
        _rendering(exchange, name, length)
    case = exchange.case(b, length)
    assert case is not None
    if not case.differences:
        console.print(Text(f"{a} and {b} give the same {len(case.rendering.ids)} ids ({conversation.purpose})."))
        return 0
    item = Item(all_checks()["same-tokens"], b, conversation.purpose)
    for difference in case.differences:
        mismatch = mismatch_from(case, difference)
        mark = fingerprint("same-tokens", b, mismatch)
        finding = Finding(target.name, item, mismatch, mark, 0, locate(target, b, mismatch))
        line = finding_line(finding, target.tokenizer, "")
        show_finding([{**line, "reproduce": None}], console, shrunk=False)
    return 1


def _rendering(exchange: RenderedPrefixes, name: str, length: int) -> Rendering:
    result = exchange.results.get((name, length))
    if result is None:
        purpose = exchange.conversation.purpose
        raise UsageError(
            f"The renderer {name!r} does not render for {purpose!r}.",
            hint="a conversation that ends with the user is a prompt (generate), one that ends with the assistant is "
            "a training text (train)",
        )
    if isinstance(result, Rendering):
        return result
    kind = "does not support" if isinstance(result, Unsupported) else "broke on"
    raise TemplateChecksError(f"The renderer {name!r} {kind} this conversation: {result}")


def show_renderings(target: Target, names: tuple[str, ...], conversation: Conversation, form: str) -> int:
    """Print what each renderer makes of a conversation; 3 where one broke."""
    console = make_console()
    chosen = [renderer_named(target, name) for name in names] or list(target.renderers)
    exchange = RenderedPrefixes(target, conversation, chosen)
    length, code = len(conversation.messages), 0
    for name in chosen:
        result = exchange.results.get((name, length))
        if form == "json":
            print(json.dumps(_rendering_line(name, conversation, result), ensure_ascii=True))
        else:
            console.print(Text(f"{name}  {conversation.purpose}", style="bold"))
            if isinstance(result, Rendering):
                _show_rendering(result, target)
            else:
                console.print(Text(f"  {_why_nothing(result)}\n"))
        code = 3 if isinstance(result, RenderError) else code
    return code


def _why_nothing(result: object) -> str:
    if result is None:
        return "does not render for this purpose"
    return f"{'unsupported' if isinstance(result, Unsupported) else 'error'}: {result}"


def _rendering_line(name: str, conversation: Conversation, result: object) -> Line:
    line: Line = {"renderer": name, "purpose": conversation.purpose}
    if not isinstance(result, Rendering):
        return {**line, "error": _why_nothing(result)}
    return {
        **line,
        "text": result.text if result.has_text else None,
        "ids": list(result.ids),
        "labels": list(result.labels) if result.labels is not None else None,
    }


def _show_rendering(rendering: Rendering, target: Target) -> None:
    console = make_console()
    if rendering.has_text:
        console.print(Text(f"  text    {visible(rendering.text)}"), soft_wrap=True)
    console.print(Text(f"  tokens  {len(rendering.ids)}, * marks supervised ones\n"))
    labels = rendering.labels
    line = Text("   ")
    for n, (index, shown) in enumerate(zip(rendering.ids, display_tokens(rendering, target.tokenizer), strict=True)):
        mark = "*" if labels is not None and labels[n] != IGNORE_INDEX else ""
        cell = f" {index}{mark} {shown} "
        if len(line) + len(cell) > console.width:
            console.print(line)
            line = Text("   ")
        line.append(cell)
    console.print(line)
    console.print()


def list_seams(
    config: Config, path: Path, targets: tuple[str, ...], names: tuple[str, ...], form: str, *, offline: bool
) -> int:
    """Print what can merge across the seams of each renderer; 3 where a renderer broke."""
    console, code = make_console(), 0
    for key in targets:
        with opened(build_target(key, config.target[key], path.parent, str(path), offline=offline)) as target:
            vocabulary = cache(lambda tokenizer=target.tokenizer: Vocabulary(tokenizer))
            for name in [renderer_named(target, name) for name in names] or [*target.renderers, *target.broken]:
                with _late_status(quiet=form == "json") as say:
                    lines = list(seam_lines(target, name, vocabulary, say))
                code = 3 if lines[0]["outcome"] == "error" else code
                if form == "json":
                    for line in lines:
                        print(json.dumps(line, ensure_ascii=True))
                else:
                    show_seams(lines, console, name_target=len(targets) > 1)
    return code


def visit_museum(ids: tuple[str, ...], seeds: int, form: str) -> int:
    """Print what became of each exhibit; 1 where one was missed, or its twin was not silent."""
    found = known_bugs(ids)
    expressed = [exhibit for exhibit in found if exhibit.not_expressed is None]
    seen: list[BugResult] = []
    with _late_status(quiet=form == "json") as say:
        for number, exhibit in enumerate(expressed, start=1):
            looking = f"{exhibit.id}, bug {number} of {len(expressed)}"
            seen.append(evaluate(exhibit, seeds, lambda looking=looking: say(looking)))  # type: ignore[misc]
            if form == "json":
                print(json.dumps(museum_line(seen[-1]), ensure_ascii=True), flush=True)
    if form == "text":
        show_museum(seen, [exhibit for exhibit in found if exhibit.not_expressed is not None], make_console())
    return 0 if all(one.holds for one in seen) else 1


def show_checks() -> None:
    """All checks by family, with their promises."""
    console = make_console()
    family = None
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for check in all_checks().values():
        if check.family != family:
            family = check.family
            table.add_row(Text(family, style="bold"), "")
        table.add_row(Text(f"  {check.name}"), Text(check.promise))
    print_table(table, console)


def show_check(check: Check) -> None:
    """The page of one check."""
    console = make_console()
    console.print(Text(check.name, style="bold"), Text(f"(family {check.family})"))
    console.print(Text(f"\nPromise: {check.promise}"))
    for paragraph in check.page.split("\n\n") if check.page != check.promise else ():
        console.print(Text("\n" + textwrap.fill(paragraph, console.width)))
    purposes = ", ".join(check.purposes) or "once for the target"
    console.print(Text(f"\nPurposes: {purposes}"))


def show_renderers() -> None:
    """All renderer types."""
    console = make_console()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, summary in describe_renderers():
        table.add_row(Text(name, style="bold"), Text(summary))
    print_table(table, console)


def show_renderer(name: str) -> None:
    """The options of one renderer type."""
    console = make_console()
    kind = get_renderer_type(name, "the command line")
    console.print(Text(name, style="bold"), Text(kind.summary))
    console.print(
        Text(f"purposes: {', '.join(sorted(kind.purposes))}; labels: {'yes' if kind.gives_labels else 'no'}\n")
    )
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for key, field in kind.Options.model_fields.items():
        if key != "type":
            value = field.get_default(call_default_factory=True)
            required = "required" if field.is_required() else "optional" if value is None else f"default {value!r}"
            table.add_row(Text(key), Text(required), Text(field.description or ""))
    print_table(table, console)


def write_config(tokenizer: str, name: str | None, xtuner: str | None, web_ui: str | None, output: Path) -> None:
    """Write a configuration that `run` accepts; never overwrites.

    Raises:
        UsageError: the file exists or cannot be written.
    """
    name = name or re.sub(r"[^A-Za-z0-9_-]+", "-", tokenizer.split(":")[-1].rstrip("/").split("/")[-1]).strip("-")
    lines = [
        f"[target.{json.dumps(name)}]",
        f"tokenizer = {json.dumps(tokenizer, ensure_ascii=False)}",
        'reference = "chat_template"',
        "",
        f"[target.{json.dumps(name)}.renderers]",
        'chat_template = { type = "tokenizer" }',
    ]
    if xtuner is not None:
        key = "config" if xtuner.endswith(".py") else "template"
        lines.append(f'training      = {{ type = "xtuner", {key} = {json.dumps(xtuner, ensure_ascii=False)} }}')
    if web_ui is not None:
        lines.append(f'web_ui        = {{ type = "web-ui", script = {json.dumps(web_ui, ensure_ascii=False)} }}')
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except FileExistsError as error:
        raise UsageError("The file exists and is left alone.", where=str(output), hint="--output NAME") from error
    except OSError as error:
        raise UsageError(f"The file cannot be written: {error.strerror}", where=str(output)) from error
    make_console().print(Text(f"Wrote {output}. Next: template-checks run {output}"))
