"""The Python API: targets in code, conversations for one's own property tests, renderings, runs with a typed result.

Everything here is exported by `template_checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from template_checks.checks.base import CheckResult, NotExercised
from template_checks.checks.findings import Item
from template_checks.checks.fingerprint import fingerprint
from template_checks.checks.registry import get_checks
from template_checks.config.schema import FILE_NAME, find_config, load_config, read_config, usage_error
from template_checks.config.target import Target, build_target, stand_alone_target
from template_checks.core.conversation import Conversation, Purpose
from template_checks.core.errors import RenderError, UsageError
from template_checks.core.rendering import Rendering
from template_checks.core.suggest import suggest
from template_checks.core.tokenizer import Tokenizer
from template_checks.engine.accepted import apply_entries
from template_checks.engine.assemble import assemble
from template_checks.engine.draw import target_conversations
from template_checks.engine.evaluate import cases_of, evaluate
from template_checks.engine.profiles import get_profile
from template_checks.record.facts import Request
from template_checks.record.models import DefectLine, FindingLine, Line
from template_checks.record.reader import Record, record_of
from template_checks.record.runner import Surroundings, execute
from template_checks.record.writer import finding_line
from template_checks.renderers.function import FunctionOptions, FunctionRenderer, function_options
from template_checks.views.console import printed
from template_checks.views.failure import failure_text
from template_checks.views.terminal import show

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

REFERENCE = "chat_template"
"""Name of the renderer that is the reference of a target made in code: the tokenizer's own chat template."""


@dataclass(frozen=True)
class Function:
    """A function as a renderer, with settings; a plain function needs none.

    Args:
        call: called as a `python` renderer calls it: with messages, and with what else it has parameters for.
        purposes: what it renders: prompts to generate from, whole conversations to train on, or both.
        settings: further options of a `python` renderer: `add_special_tokens`, `labels`, `features`, `masks_padding`.
    """

    call: Callable[..., Any]
    purposes: tuple[Purpose, ...] = ("generate",)
    settings: Mapping[str, Any] | None = None


def load_target(path: str | Path = ".", name: str | None = None, *, offline: bool = False) -> Target:
    """Build a target of a configuration file.

    Args:
        path: the file, a `template-checks.toml` or a `pyproject.toml`, or the folder that it is in.
        name: the target; needed where the file has several.
        offline: refuse to fetch anything.

    Raises:
        UsageError: no such file or target, or a wrong configuration.
        TemplateChecksError: the tokenizer or the reference cannot be had.
    """
    file = Path(path)
    if file.is_dir():
        file = find_config(file) or file / FILE_NAME
    config = load_config(file)
    if name is None and len(config.target) > 1:
        raise UsageError("Several targets: name one.", where=str(file), hint=f"targets: {', '.join(config.target)}")
    chosen = name if name is not None else next(iter(config.target))
    if chosen not in config.target:
        raise UsageError(f"Unknown target {chosen!r}.", where=str(file), hint=suggest(chosen, config.target, "targets"))
    return build_target(chosen, config.target[chosen], file.parent, str(file), offline=offline)


def make_target(
    tokenizer: Any,
    renderers: Mapping[str, Callable[..., Any] | Function],
    *,
    name: str = "target",
    offline: bool = False,
    **settings: Any,
) -> Target:
    """Make a target in code: the tokenizer's chat template as the reference, and functions to compare with it.

    Args:
        tokenizer: a transformers tokenizer, or what `tokenizer` of a configuration names: a folder, a Hub id, ….
        renderers: functions by the names that reports call them. A plain function renders prompts (`generate`); one
            named `chat_template` takes the place of the tokenizer's template.
        name: the target's name in reports.
        offline: refuse to fetch anything.
        settings: further keys of a target in a configuration: `system`, `roles`, `stops`, `generation_config`, ….

    Raises:
        UsageError: a wrong setting, or a function that cannot be called with messages.
        TemplateChecksError: the tokenizer cannot be had.
    """
    functions = {key: (FunctionRenderer, _function_options(key, value)) for key, value in renderers.items()}
    loaded = tokenizer if isinstance(tokenizer, (str, Path)) else _wrapped(tokenizer)
    table = {
        "tokenizer": str(getattr(loaded, "source", loaded)),
        "renderers": {REFERENCE: {"type": "tokenizer"}, **{key: {"type": FunctionRenderer.type} for key in functions}},
        **settings,
    }
    config = read_config({"target": {name: table}}, "make_target").target[name]
    known = loaded if isinstance(loaded, Tokenizer) else None
    return stand_alone_target(name, config, functions, known, offline=offline)


def _function_options(key: str, value: Callable[..., Any] | Function) -> FunctionOptions:
    function = value if isinstance(value, Function) else Function(value)
    given = {"purposes": function.purposes, **(function.settings or {})}
    try:
        return function_options(function.call, given)
    except ValidationError as error:
        raise usage_error(error, FunctionOptions, f"make_target: renderers.{key}", given) from error


def _wrapped(tokenizer: Any) -> Tokenizer:
    if not hasattr(tokenizer, "apply_chat_template"):
        raise UsageError(
            f"The tokenizer is of type {type(tokenizer).__name__}.",
            where="make_target: tokenizer",
            hint="give a transformers tokenizer, a folder or a Hub id",
        )
    return Tokenizer(tokenizer, source=str(getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__))


def conversations(target: Target) -> SearchStrategy[Conversation]:
    """What a run draws for this target, as a Hypothesis strategy.

    Roles, tools and system prompt are those of the deployment; contents hold the target's own control tokens and
    literals.
    """
    from hypothesis.strategies import composite

    drawn = target_conversations(target)

    @composite
    def copied(draw: DrawFn) -> Conversation:
        """A copy: Hypothesis shows what it did not build itself as its `repr`, which can be pasted into code."""
        return replace(draw(drawn))

    return copied()


def render(target: Target, renderer: str, conversation: Conversation) -> Rendering:
    """What one renderer makes of a conversation: `.text`, `.ids`, `.labels`, `.pieces`.

    Raises:
        Unsupported: the renderer cannot express the conversation.
        RenderError: it broke.
        TemplateChecksError: there is no such renderer, or it could not be set up.
    """
    target.working(renderer)
    result = target.render(renderer, conversation, conversation.purpose)
    if isinstance(result, Rendering):
        return result
    raise result


def assert_check(target: Target, check: str, renderer: str, conversation: Conversation) -> None:
    """Assert that a check holds for a conversation and its prefixes; nothing is asserted where it is not exercised.

    What the target accepts does not fail. In a Hypothesis test the conversation is shrunk by Hypothesis.

    Raises:
        AssertionError: it does not hold; the text is what the command line prints.
        Unsupported: the renderer cannot express the conversation (`hypothesis.assume` or a skip is yours to choose).
        RenderError: it broke.
        UsageError: no such check or renderer, or a check that looks at the target and at no conversation.
    """
    __tracebackhide__ = True  # pytest shows the test's own line
    kind = target.working(renderer)
    [found] = get_checks((check,))
    if found.case is None:
        raise UsageError(f"{check} looks at no conversation.", hint=f"run(target, checks=({check!r},)) runs it")
    items = [Item(found, renderer, purpose) for purpose in found.purposes if purpose in kind.purposes]
    cases = [(item, case) for item in items for case in cases_of(item, target, conversation)]
    lines: dict[str, FindingLine] = {}
    for item, case in cases:
        if isinstance(case.result, RenderError):
            raise case.result
        if isinstance(case.result, Rendering):
            for line in _blocking(target, item, evaluate(item, case)):
                lines.setdefault(line.fingerprint, line)
    if lines:
        raise AssertionError(failure_text(list(lines.values()), []))
    if cases:
        _, longest = max(cases, key=lambda pair: pair[1].length)
        longest.rendering  # noqa: B018 — raises Unsupported


def _blocking(target: Target, item: Item, result: CheckResult) -> Iterator[FindingLine]:
    if isinstance(result, NotExercised):
        return
    for mismatch in result:
        finding = assemble(target, item, mismatch, fingerprint(item.check.name, item.renderer, mismatch))
        finding = apply_entries(finding, target.config.accepted, date.today())
        if finding.blocking:
            yield _not_kept(finding_line(finding, target.tokenizer))


def _not_kept(line: Line) -> Any:
    """Without the command that replays it: counterexamples of the Python API are kept nowhere."""
    return line.model_copy(update={"reproduce": None}) if isinstance(line, FindingLine) else line


def assert_same_tokens(target: Target, renderer: str, conversation: Conversation) -> None:
    """Assert that a renderer gives the reference's token ids for a conversation; see `assert_check`."""
    __tracebackhide__ = True
    assert_check(target, "same-tokens", renderer, conversation)


def assert_same_text(target: Target, renderer: str, conversation: Conversation) -> None:
    """Assert that a renderer gives the reference's text for a conversation; see `assert_check`."""
    __tracebackhide__ = True
    assert_check(target, "same-text", renderer, conversation)


@dataclass(frozen=True)
class RunResult:
    """What a run found."""

    record: Record

    @cached_property
    def defects(self) -> list[DefectLine]:
        """All defects, worst first."""
        return self.record.defects

    @cached_property
    def findings(self) -> list[FindingLine]:
        """All findings, as they came."""
        return self.record.findings

    @property
    def verdict(self) -> str:
        """The verdict in a sentence."""
        return self.record.footer.verdict if self.record.footer is not None else "the run was cut off"

    @property
    def exit_code(self) -> int:
        """That of `template-checks run`: 0 holds, 1 a defect blocks, 2 a stale entry, 3 something could not run."""
        return self.record.footer.exit_code if self.record.footer is not None else 3

    def assert_holds(self) -> None:
        """Assert that the exit code is 0.

        Raises:
            AssertionError: it is not; the text is what the command line prints.
        """
        __tracebackhide__ = True
        if self.exit_code:
            raise AssertionError(f"{self.verdict}\n\n{self}")

    def __str__(self) -> str:
        return printed(lambda console: show(self.record.printable(), console))


def run(
    *targets: Target, profile: str = "dev", seed: int | None = None, checks: tuple[str, ...] = (), jobs: int = 1
) -> RunResult:
    """Run all checks, or some, over targets, as `template-checks run` does.

    Args:
        targets: at least one.
        profile: how much to look at: dev, ci or signoff.
        seed: of the drawn conversations; None draws one, where the profile has none.
        checks: names; all for none.
        jobs: processes that share the drawn conversations of a thorough profile.

    Raises:
        UsageError: no target, two of one name, an unknown profile or check.
    """
    if not targets:
        raise UsageError("Nothing to run: give at least one target.")
    get_checks(checks)
    names = [target.name for target in targets]
    if len(set(names)) < len(names):
        raise UsageError(f"Targets of the same name: {', '.join(names)}.", hint="make_target(…, name=…) names one")
    chosen, used_seed = get_profile(profile, seed)
    lines: list[Line] = []
    request = Request(chosen, used_seed, checks=checks)
    execute(list(targets), request, Surroundings(write=lambda line: lines.append(_not_kept(line)), jobs=jobs))
    return RunResult(record_of(lines))
