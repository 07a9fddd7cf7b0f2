"""pytest plugin: collects template-checks.toml, one item per target × check × renderer × purpose.

Imports nothing heavy: in a project without template-checks.toml it does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from template_checks.config import Config, TargetConfig
    from template_checks.findings import Event, Finding, Item, Outcome
    from template_checks.profiles import Profile
    from template_checks.record import Line
    from template_checks.target import Target

FILE_NAME = "template-checks.toml"
ADVISORY = "advisory"
MARK = "template_checks"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Three options and a seed."""
    group = parser.getgroup("template-checks")
    group.addoption(
        "--target",
        action="append",
        default=[],
        metavar="NAME",
        help="only this target of template-checks.toml",
    )
    group.addoption("--check", action="append", default=[], metavar="NAME", help="only this check")
    group.addoption("--check-profile", default="dev", metavar="NAME", help="how much to look at: dev, ci or signoff")
    group.addoption("--check-seed", type=int, default=None, metavar="N", help="seed of the drawn conversations")


def pytest_configure(config: pytest.Config) -> None:
    """Collect the root's file also where `testpaths` names other folders."""
    config.addinivalue_line("markers", f"{MARK}: a check of template-checks.toml")
    path = config.rootpath / FILE_NAME
    if config.args_source == pytest.Config.ArgsSource.TESTPATHS and path.is_file():
        config.args.append(str(path))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take template-checks.toml."""
    if file_path.name == FILE_NAME:
        collector: pytest.Collector = ChecksFile.from_parent(parent, path=file_path)
        return collector
    return None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Advisory findings fail nothing; they are shown at the end."""
    title = f"Captured {ADVISORY} call"
    texts = [
        content
        for report in terminalreporter.stats.get("passed", [])
        for name, content in getattr(report, "sections", [])
        if name == title
    ]
    if texts:
        terminalreporter.section("template-checks: advisory findings")
        for text in dict.fromkeys(texts):
            terminalreporter.write_line(text)


class MismatchFound(Exception):  # noqa: N818 — the tool works; what it looks at does not
    """A check does not hold; the text is what the terminal view prints."""


def _message(excinfo: pytest.ExceptionInfo[BaseException]) -> str | None:
    """Our errors without traceback; None for others."""
    from template_checks.errors import TemplateChecksError

    return str(excinfo.value) if isinstance(excinfo.value, TemplateChecksError) else None


class ChecksFile(pytest.File):
    """One configuration file."""

    def collect(self) -> Iterator[pytest.Collector]:
        """One node for each selected target."""
        from template_checks.config import load_config
        from template_checks.errors import UsageError

        wanted = self.config.option.target
        config: Config = load_config(self.path)
        for name in wanted:
            if name not in config.target:
                raise UsageError(f"Unknown target {name!r}.", hint="targets: " + ", ".join(config.target))
        for name in wanted or config.target:
            yield TargetNode.from_parent(self, name=name, settings=config.target[name])

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our errors without traceback."""
        return _message(excinfo) or super().repr_failure(excinfo)


class TargetNode(pytest.Collector):
    """One target."""

    def __init__(self, *, settings: TargetConfig, **kwargs: Any) -> None:
        """Nothing is built yet."""
        super().__init__(**kwargs)
        self.settings = settings

    def collect(self) -> Iterator[pytest.Item]:
        """Its items; builds the target."""
        from template_checks.checks import get_checks
        from template_checks.profiles import get_profile
        from template_checks.search import plan
        from template_checks.target import build_target

        option = self.config.option
        checks = get_checks(tuple(option.check))
        profile, seed = get_profile(option.check_profile, option.check_seed)
        target = build_target(self.name, self.settings, self.path.parent, str(self.path))
        self.config.add_cleanup(target.close)
        run = TargetRun(self, target, plan(target, checks), profile, seed)
        for item in run.items:
            yield CheckItem.from_parent(self, name=item.id, run=run, item=item)
        names = {check.name for check in checks}
        if any(not option.check or entry.check in names for entry in target.config.accepted):
            yield AcceptedItem.from_parent(self, name="accepted-entries", run=run)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our errors without traceback."""
        return _message(excinfo) or super().repr_failure(excinfo)


class TargetRun:
    """One search over one target, made when the first of its items runs, for all its selected items.

    For all items of the plan where the accepted entries are selected: what nobody looked for is not fixed.
    """

    def __init__(self, node: TargetNode, target: Target, items: list[Item], profile: Profile, seed: int) -> None:
        """Nothing runs yet."""
        self.node = node
        self.target = target
        self.items = items
        self.profile = profile
        self.seed = seed
        self._outcomes: dict[str, Outcome] | None = None
        self.findings: dict[str, list[Finding]] = {}
        self.stale: list[Line] = []

    def outcomes(self, session: pytest.Session) -> dict[str, Outcome]:
        """Outcome by item id."""
        if self._outcomes is None:
            items = [node.item for node in session.items if isinstance(node, CheckItem) and node.run is self]
            whole = any(isinstance(node, AcceptedItem) and node.run is self for node in session.items)
            self._outcomes = self._search(self.items if whole else items)
        return self._outcomes

    def _search(self, items: list[Item]) -> dict[str, Outcome]:
        from template_checks.findings import Finding, Outcome
        from template_checks.record import ledger_line
        from template_checks.search import Search
        from template_checks.store import Store

        outcomes: dict[str, Outcome] = {}

        def emit(event: Event) -> None:
            if isinstance(event, Finding):
                self.findings.setdefault(event.item.id, []).append(event)
            elif isinstance(event, Outcome):
                outcomes[event.item.id] = event

        store = Store(self.node.config.rootpath, [str(self.node.path)])
        search = Search(self.target, items, self.profile, self.seed, store, emit)
        search.run()
        if search.interrupted:
            raise KeyboardInterrupt
        file = self.node.path.name
        self.stale = [ledger_line(self.target.name, judged, file) for judged in search.judged() if judged.stale]
        return outcomes


class CheckItem(pytest.Item):
    """One check × renderer × purpose."""

    def __init__(self, *, run: TargetRun, item: Item, **kwargs: Any) -> None:
        """Mark it, so that `-m template_checks` selects."""
        super().__init__(**kwargs)
        self.add_marker(MARK)
        self.run = run
        self.item = item

    def runtest(self) -> None:
        """Fail on a mismatch or an error; xfail where accepted; skip what was not exercised."""
        from template_checks.errors import TemplateChecksError

        outcome = self.run.outcomes(self.session)[self.item.id]
        findings = self.run.findings.get(self.item.id, [])
        if any(finding.blocking for finding in findings):
            raise MismatchFound(self._text([f for f in findings if f.accepted is None]))
        if outcome.outcome == "error":
            raise TemplateChecksError(outcome.reason or "it could not run")
        if outcome.outcome == "accepted":
            pytest.xfail(outcome.reason or "accepted")
        if outcome.outcome in {"not-exercised", "unsupported"}:
            pytest.skip(f"{outcome.outcome}: {outcome.reason}")
        if findings:
            self.add_report_section("call", ADVISORY, self._text(findings))

    def _text(self, findings: list[Finding]) -> str:
        from template_checks.record import finding_line
        from template_checks.views.terminal import grouped, text_of

        lines = [
            finding_line(f, self.run.target.tokenizer, f"template-checks replay {f.fingerprint}") for f in findings
        ]
        return "\n".join(text_of(group) for group in grouped(lines))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our text, without a traceback."""
        from template_checks.errors import TemplateChecksError

        if isinstance(excinfo.value, (MismatchFound, TemplateChecksError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where and what."""
        return self.path, 0, f"{self.parent.name if self.parent else ''}::{self.name}"


class AcceptedItem(pytest.Item):
    """Fails where an accepted mismatch is fixed or matches nothing: the entry must go."""

    def __init__(self, *, run: TargetRun, **kwargs: Any) -> None:
        """Look at the same run."""
        super().__init__(**kwargs)
        self.add_marker(MARK)
        self.run = run

    def runtest(self) -> None:
        """Fail on stale entries."""
        from template_checks.views.terminal import ledger_text

        self.run.outcomes(self.session)
        if self.run.stale:
            texts = [[f"✗ {line['fingerprint']}", *map("  {}".format, ledger_text(line))] for line in self.run.stale]
            raise MismatchFound("\n\n".join("\n".join(text) for text in texts))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our text, without a traceback."""
        if isinstance(excinfo.value, MismatchFound):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where and what."""
        return self.path, 0, f"{self.parent.name if self.parent else ''}::{self.name}"
