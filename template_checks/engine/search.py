"""Runs checks over conversations: kept ones first, then fixed ones, then drawn ones; shrinks what it finds."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

from template_checks.checks.base import Check, CheckResult, Mismatch, NotExercised, Severity
from template_checks.checks.case import Case, RenderedPrefixes
from template_checks.checks.findings import Event, Finding, Item, Outcome, OutcomeName, Progress
from template_checks.checks.fingerprint import fingerprint
from template_checks.checks.registry import get_checks
from template_checks.config.target import Target, lacking
from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation
from template_checks.core.display import shortened, visible
from template_checks.core.errors import RenderError
from template_checks.core.rendering import Rendering
from template_checks.engine.accepted import Ledger, LedgerResult
from template_checks.engine.coverage import Coverage
from template_checks.engine.database import ExampleDatabase
from template_checks.engine.draw import draw, fixed, target_strings
from template_checks.engine.locate import locate
from template_checks.engine.profiles import Profile
from template_checks.engine.shrink import shrink
from template_checks.renderers.registry import get_renderer_type

_PROGRESS_EVERY = 20
_ALIKE = 5
"""Findings of one cause at one place, of which the others are only counted: one defect can show in many ways."""
_THOROUGH, _SPARSE = 48, 32
"""Sparse checks look at so many conversations first, among them each with tools and reasoning, then at one in many, and
there only at the shortest and the longest prefix."""


def plan(target: Target, checks: list[Check]) -> list[Item]:
    """Every check × renderer × purpose that applies, in the order of the checks."""
    items = []
    for check in checks:
        if check.per_target:
            items.append(Item(check, None, None))
            continue
        for name, renderer in target.renderers.items():
            if check.applies(target, renderer):
                items += [Item(check, name, purpose) for purpose in check.purposes if purpose in renderer.purposes]
        for name in target.broken:
            kind = get_renderer_type(target.config.renderers[name]["type"], target.name)
            items += [Item(check, name, purpose) for purpose in check.purposes if purpose in kind.purposes]
    return items


@dataclass
class _Tally:
    """What became of one item's cases."""

    exercised: int = 0
    not_exercised: str | None = None
    unsupported: str | None = None
    refused: int = 0
    error: str | None = None
    findings: dict[str, Finding] = field(default_factory=dict)
    kinds: Counter[tuple[Severity, Cause, tuple[str, ...]]] = field(default_factory=Counter)
    more: int = 0
    seen: set[tuple[Cause, tuple[str, ...]]] = field(default_factory=set)


class Search:
    """One run over one target.

    Args:
        target: what is checked.
        items: what to check, from `plan`.
        profile: how much to look at.
        seed: of the drawn conversations.
        store: where counterexamples are kept; None keeps none.
        emit: receives findings as they come, progress now and then, outcomes at the end.
        until: a finding for which it is true ends the search.
    """

    def __init__(
        self,
        target: Target,
        items: list[Item],
        profile: Profile,
        seed: int,
        store: ExampleDatabase | None,
        emit: Callable[[Event], None],
        until: Callable[[Finding], bool] = lambda _finding: False,
    ) -> None:
        """Nothing runs yet."""
        self.target = target
        self.items = items
        self.profile = profile
        self.seed = seed
        self.store = store
        self.emit = emit
        self.until = until
        self.ended = False
        self.tallies = {item.id: _Tally() for item in items}
        self._case_items = []
        for item in items:
            if item.renderer is None or item.renderer in target.broken:
                continue
            tally = self.tallies[item.id]
            tally.unsupported = lacking(target.renderers[item.renderer], item.check.needs)
            if tally.unsupported is None:
                self._case_items.append((item, tally))
        self.examined = 0
        self.interrupted = False
        self.ledger = Ledger(target, items, plan(target, get_checks(())))
        self.outcomes: dict[str, Outcome] = {}
        self._accepted = {entry.fingerprint for entry in target.config.accepted}
        self._broke: dict[tuple[str, str], str] = {}
        self._seen: set[Conversation] = set()
        self.coverage = Coverage(target.tokenizer)

    def run(self) -> None:
        """Examine everything; an interrupt (Ctrl-C) ends the search, and what was found so far counts."""
        try:
            with _seldom_collected():
                self._check_target()
                for conversation in self._fixed():
                    self.examine(conversation)
                draw(self.target, self._own, self.profile.draws, self.seed, self.examine)
        except KeyboardInterrupt:
            self.interrupted = True
        for item in self.items:
            self.outcomes[item.id] = self._outcome(item)
            self.emit(self.outcomes[item.id])

    def judged(self) -> list[LedgerResult]:
        """What became of each accepted mismatch; an interrupted run judges none."""
        if self.interrupted:
            return []
        findings = {mark: finding for tally in self.tallies.values() for mark, finding in tally.findings.items()}
        return self.ledger.judge(findings, self.outcomes)

    # Conversations

    @cached_property
    def _own(self) -> list[str]:
        return target_strings(self.target)

    def _fixed(self) -> Iterator[Conversation]:
        yield from self.ledger.witnesses()
        if self.store is not None:
            yield from self.store.load(self.target.name)
        yield from fixed(self.target, self._own)

    # Examination

    def _check_target(self) -> None:
        for item in self.items:
            if item.check.target is not None:
                self._note(item, self.tallies[item.id], item.check.target(self.target), None)

    def examine(self, conversation: Conversation) -> None:
        """Look at one conversation and all its prefixes with every check, at each prefix once."""
        if self.ended:
            return
        exchange = RenderedPrefixes(self.target, conversation)
        self.examined += 1
        thorough = self.examined <= _THOROUGH or self.examined % _SPARSE == 0
        new = {length for length, prefix in exchange.prefixes.items() if prefix not in self._seen}
        self.coverage.add(conversation, [exchange.prefixes[length] for length in new])
        for item, tally in self._case_items:
            assert item.renderer is not None
            assert item.purpose is not None
            cases = exchange.cases(item.renderer, item.purpose)
            if item.check.sparse:
                cases = [*cases[:1], *cases[1:][-1:]] if thorough else []
            for case in cases:
                if item.check.ahead or case.length in new:
                    self._examine_case(item, tally, case)
        self._seen.update(exchange.prefixes[length] for length in new)
        exchange.release()
        if self.examined % _PROGRESS_EVERY == 0:
            found = sum(len(tally.findings) for tally in self.tallies.values())
            self.emit(Progress(self.target.name, self.examined, found))

    def _examine_case(self, item: Item, tally: _Tally, case: Case) -> None:
        result = case.result
        if isinstance(result, Rendering):
            assert item.check.case is not None
            self._note(item, tally, item.check.case(case), case)
        elif isinstance(result, RenderError):
            if tally.error is None:
                tally.error = self._explain_error(case, result)
        else:
            tally.unsupported = tally.unsupported or str(result)
            knows = case.conversation.features <= self.target.renderers[case.renderer].features
            tally.refused += knows and case.reference is not None

    def _note(self, item: Item, tally: _Tally, verdict: CheckResult, case: Case | None) -> None:
        if isinstance(verdict, NotExercised):
            if verdict.never:
                tally.unsupported = verdict.reason
            else:
                tally.not_exercised = verdict.reason
            return
        tally.exercised += 1
        for mismatch in verdict:
            if (mismatch.cause, mismatch.detail) in tally.seen:
                continue
            tally.seen.add((mismatch.cause, mismatch.detail))
            mark = fingerprint(item.check.name, item.renderer, mismatch)
            kind = (mismatch.severity, mismatch.cause, mismatch.detail[:1])
            if tally.kinds[kind] >= _ALIKE and mark not in self._accepted:
                tally.more += 1
                continue
            finding = self._found(item, mismatch, mark, case)
            tally.kinds[kind] += finding.accepted is None  # what is accepted hides nothing

    def _found(self, item: Item, mismatch: Mismatch, mark: str, case: Case | None) -> Finding:
        seen_at = self.examined
        if case is not None:
            mismatch = self._shrunk(item, mismatch, mark, case)
        finding = Finding(
            self.target.name,
            item,
            mismatch,
            mark,
            seen_at,
            locate(self.target, item.renderer, mismatch),
        )
        finding = self.ledger.settled(finding)
        self.tallies[item.id].findings[mark] = finding
        if self.store is not None:
            self.store.save(finding)
        self.emit(finding)
        self.ended = self.ended or self.until(finding)
        return finding

    # Shrinking

    def _shrunk(self, item: Item, mismatch: Mismatch, mark: str, case: Case) -> Mismatch:
        best = mismatch

        def still(candidate: Conversation) -> bool:
            nonlocal best
            again = find_mismatch(self.target, item, candidate, mark)
            if again is not None:
                best = again
            return again is not None

        shrink(mismatch.conversation or case.exchange.conversation, still)
        return best

    def _explain_error(self, case: Case, error: RenderError) -> str:
        """The renderer broke: say on what, in its smallest form; once a renderer and message."""
        key = (case.renderer, str(error))
        if key not in self._broke:

            def still(candidate: Conversation) -> bool:
                exchange = RenderedPrefixes(self.target, candidate, [case.renderer])
                return any(str(result) == key[1] for result in exchange.results.values())

            small = shrink(case.conversation, still)
            shown = ", ".join(f"{m.role} “{shortened(visible(m.content), 30)}”" for m in small.messages)
            self._broke[key] = f"{error} — on {shown}"
        return self._broke[key]

    def _outcome(self, item: Item) -> Outcome:
        tally = self.tallies[item.id]
        entries = tuple(finding.accepted for finding in tally.findings.values() if finding.accepted is not None)
        reason: str | None = None
        name: OutcomeName
        if item.renderer in self.target.broken:
            name, reason = "error", self.target.broken[item.renderer].what
        elif any(finding.accepted is None for finding in tally.findings.values()):
            name = "mismatch"
        elif tally.error is not None:
            name, reason = "error", tally.error
        elif tally.findings:
            name, reason = "accepted", "; ".join(entry.said for entry in entries)
        elif tally.exercised:
            name = "pass"
            if tally.refused:
                reason = f"{tally.refused} refused that the reference renders: {tally.unsupported}"
        elif tally.unsupported and not tally.not_exercised:
            name, reason = "unsupported", tally.unsupported
        else:
            name, reason = "not-exercised", tally.not_exercised or "no conversation reached it"
        blocking = sum(finding.blocking for finding in tally.findings.values())
        marks = tuple(tally.findings)
        return Outcome(
            self.target.name,
            item,
            name,
            tally.exercised,
            reason,
            marks,
            blocking,
            len(entries),
            entries,
            tally.more,
            tally.refused,
        )


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Collect garbage less often: a search makes many objects that die without it (it took a sixth of the time)."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def find_again(target: Target, item: Item, mark: str, conversation: Conversation | None) -> Mismatch | None:
    """The mismatch with this fingerprint, in this conversation or (of a check that needs none) in the target."""
    if conversation is not None:
        return find_mismatch(target, item, conversation, mark)
    verdict = item.check.target(target) if item.check.target is not None else []
    found = [] if isinstance(verdict, NotExercised) else verdict
    return next((m for m in found if fingerprint(item.check.name, None, m) == mark), None)


def find_mismatch(target: Target, item: Item, conversation: Conversation, mark: str) -> Mismatch | None:
    """The mismatch with this fingerprint in one conversation or a prefix of it, if it is there."""
    if item.renderer is None or item.purpose is None or item.check.case is None:
        return None
    only = None if item.check.wide else {item.renderer, target.config.reference}
    exchange = RenderedPrefixes(target, conversation, only)
    for case in exchange.cases(item.renderer, item.purpose):
        if not isinstance(case.result, Rendering):
            continue
        verdict = item.check.case(case)
        for mismatch in [] if isinstance(verdict, NotExercised) else verdict:
            if fingerprint(item.check.name, item.renderer, mismatch) == mark:
                return mismatch if mismatch.conversation is not None else replace(mismatch, conversation=conversation)
    return None
