"""What pytest runs: the items of a template-checks.toml, and what they say when they fail."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from template_checks.checks.findings import Item
from template_checks.checks.registry import get_checks
from template_checks.config.schema import TargetConfig, load_config
from template_checks.config.target import build_target
from template_checks.core.errors import TemplateChecksError, UsageError
from template_checks.core.suggest import suggest
from template_checks.engine.plan import plan
from template_checks.engine.profiles import get_profile
from template_checks.pytest.session import TargetRun
from template_checks.pytest.state import MARKER, STATE, State
from template_checks.record.models import FindingLine
from template_checks.views.failure import failure_text
from template_checks.views.terminal import ledger_text


class MismatchFound(Exception):  # noqa: N818 — the tool works; what it looks at does not
    """A check does not hold; the text is what the terminal view prints."""


def collect_targets(file: pytest.File, state: State) -> list[TargetNode]:
    """One node for each selected target of a configuration file."""
    options, first = state.options, state.files[0]
    if options.record is not None and first.path != file.path:
        raise UsageError(
            "A record is of one configuration, and several were collected.",
            where=f"{first.path}, {file.path}",
            hint=f"pytest {first.path} --check-record {options.record}",
        )
    get_profile(options.profile, options.seed)  # an unknown one is said before anything is loaded
    if not file.config.pluginmanager.is_registered(_Hooks):
        file.config.pluginmanager.register(_Hooks)
    with _noted(state, file.path.name):
        config = load_config(file.path)
    for name in options.targets:
        if name not in config.target:
            raise UsageError(f"Unknown target {name!r}.", hint=suggest(name, config.target, "targets"))
    names = options.targets or tuple(config.target)
    return [TargetNode.from_parent(file, name=name, settings=config.target[name]) for name in names]


@contextmanager
def _noted(state: State, name: str) -> Iterator[None]:
    """Note for the record that something could not be set up."""
    try:
        yield
    except Exception as error:
        state.failed[name] = str(error)
        raise


class TargetNode(pytest.Collector):
    """One target."""

    def __init__(self, *, settings: TargetConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings

    def collect(self) -> Iterator[pytest.Item]:
        """Its items; builds the target."""
        state = self.config.stash[STATE]
        selected = state.options.checks
        checks = get_checks(selected)
        with _noted(state, self.name):
            get_checks(self.settings.required)
            target = build_target(self.name, self.settings, self.path.parent, str(self.path))
        self.config.add_cleanup(target.close)
        run = TargetRun(self, target, plan(target, checks))
        state.runs.append(run)
        for item in run.items:
            yield CheckItem.from_parent(self, name=item.id, nodeid=f"{self.nodeid}::{item.id}", run=run, item=item)
        names = {check.name for check in checks}
        if any(not selected or entry.check in names for entry in target.config.accepted):
            yield AcceptedItem.from_parent(self, name="accepted-entries", run=run)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our errors without traceback."""
        return _said(excinfo) or super().repr_failure(excinfo)


def _said(excinfo: pytest.ExceptionInfo[BaseException]) -> str | None:
    """Our text, without a traceback; None for what is not ours."""
    ours = isinstance(excinfo.value, (MismatchFound, TemplateChecksError))
    return str(excinfo.value) if ours else None


class TargetItem(pytest.Item):
    """What the run of one target decides."""

    item: Item | None = None

    def __init__(self, *, run: TargetRun, **kwargs: Any) -> None:
        """Mark it: for `-m template_checks`, and for `--dist loadgroup` of xdist, so that one worker has a target."""
        super().__init__(**kwargs)
        self.run = run
        self.add_marker(MARKER)
        if self.config.pluginmanager.hasplugin("xdist"):
            self.add_marker(pytest.mark.xdist_group(run.target.name))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our text, without a traceback."""
        return _said(excinfo) or super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The configuration file, and the item's name under its target's."""
        return self.path, 0, f"{self.run.target.name}::{self.name}"


class CheckItem(TargetItem):
    """One check × renderer × purpose."""

    item: Item

    def __init__(self, *, item: Item, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.item = item

    def runtest(self) -> None:
        """Fail on a mismatch or an error; xfail where accepted; skip what was not exercised."""
        outcome, findings = self.run.of(self.item)
        name, reason = outcome.outcome, outcome.reason
        advisory = self.config.stash[STATE].options.advisory
        if outcome.blocking:
            shown = [line for line in findings if line.blocking or (advisory and line.accepted is None)]
            raise MismatchFound(failure_text(shown, [outcome]))
        if name == "error":
            raise TemplateChecksError(reason or "it could not run")
        if outcome.rendered_nothing:
            raise TemplateChecksError(f"{self.item.renderer} ({self.item.purpose}) rendered nothing: {reason}")
        if name == "accepted":
            pytest.xfail(reason or "accepted")
        if name in {"not-exercised", "unsupported"}:
            pytest.skip(f"{name}: {reason}")
        if findings and advisory:
            self.add_report_section("call", ADVISORY, _advisory(self.run.target.name, findings))


ADVISORY = "advisory"


def _advisory(target: str, findings: list[FindingLine]) -> str:
    return f"{target}\n{failure_text(findings, [])}"


class AcceptedItem(TargetItem):
    """Fails where an accepted mismatch is fixed or matches nothing: the entry must go."""

    def runtest(self) -> None:
        """Fail on stale entries."""
        stale = [line for line in self.run.result().ledger if line.stale]
        if stale:
            texts = [[f"✗ {line.fingerprint}", *map("  {}".format, ledger_text(line))] for line in stale]
            raise MismatchFound("\n\n".join("\n".join(text) for text in texts))


class _Hooks:
    """Hooks that only sessions with a template-checks.toml have."""

    @staticmethod
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """What is skipped is skipped in the file that the user wrote, and not in a line of this one."""
        report = yield
        if isinstance(item, CheckItem) and report.skipped and isinstance(report.longrepr, tuple):
            report.longrepr = (str(item.path), 1, report.longrepr[2])
        return report

    @staticmethod
    def pytest_terminal_summary(terminalreporter: Any) -> None:
        """Advisory findings, where they were asked for."""
        reports = terminalreporter.stats.get("passed", [])
        title = f"Captured {ADVISORY} call"
        texts = [text for report in reports for name, text in getattr(report, "sections", []) if name == title]
        if texts:
            terminalreporter.section("template-checks: advisory findings")
        for text in dict.fromkeys(texts):
            terminalreporter.write_line(text)
