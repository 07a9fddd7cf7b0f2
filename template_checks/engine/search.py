"""Runs checks over conversations: kept ones first, then fixed ones, then drawn ones; shrinks what it finds."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from template_checks.checks.base import CheckResult, Mismatch, NotExercised
from template_checks.checks.case import Case, RenderedPrefixes
from template_checks.checks.findings import Event, Finding, Item, Outcome, Progress
from template_checks.checks.fingerprint import fingerprint
from template_checks.checks.registry import get_checks
from template_checks.config.target import Target, lacking
from template_checks.core.conversation import Conversation, Purpose
from template_checks.core.display import shortened, visible
from template_checks.core.errors import RenderError
from template_checks.core.rendering import Rendering
from template_checks.engine.accepted import Ledger, LedgerResult
from template_checks.engine.assemble import assemble
from template_checks.engine.coverage import Coverage
from template_checks.engine.database import ExampleDatabase
from template_checks.engine.draw import draw, fixed, target_strings
from template_checks.engine.evaluate import evaluate, evaluate_target, find_mismatch
from template_checks.engine.parallel import PARTS_FROM, Part, run_parts
from template_checks.engine.plan import plan
from template_checks.engine.profiles import Profile
from template_checks.engine.shrink import shrink
from template_checks.engine.tally import Tally

_PROGRESS_EVERY = 20
_THOROUGH, _SPARSE = 48, 32
"""Sparse checks look at so many conversations first, among them each with tools and reasoning, then at one in many, and
there only at the shortest and the longest prefix."""


@dataclass(frozen=True)
class SearchOptions:
    """How a target is searched.

    `seed` is that of the drawn conversations. `database` keeps counterexamples; None keeps none. `jobs` processes share
    the drawn conversations of a thorough profile; the result is the same for any number of them.
    """

    profile: Profile
    seed: int
    database: ExampleDatabase | None = None
    jobs: int = 1


class Search:
    """One run over one target.

    Args:
        target: what is checked.
        items: what to check, from `plan`.
        options: how.
        emit: receives findings as they come, progress now and then, outcomes at the end.
        until: a finding for which it is true ends the search.
    """

    def __init__(
        self,
        target: Target,
        items: list[Item],
        options: SearchOptions,
        emit: Callable[[Event], None],
        until: Callable[[Finding], bool] = lambda _finding: False,
    ) -> None:
        self.target = target
        self.items = items
        self.options = options
        self.emit = emit
        self.until = until
        self.ended = False
        self.interrupted = False
        self.examined = 0
        self.coverage = Coverage(target.tokenizer)
        self.outcomes: dict[str, Outcome] = {}
        self.ledger = Ledger(target, items, plan(target, get_checks(())))
        self.tallies = {item.id: Tally() for item in items}
        for item in items:
            if item.renderer in target.renderers:
                self.tallies[item.id].unsupported = lacking(target.renderers[item.renderer], item.check.needs)
        self._accepted = {entry.fingerprint for entry in target.config.accepted}
        self._broke: dict[tuple[str, str], str] = {}
        self._seen: set[Conversation] = set()
        self._total = options.profile.draws

    def run(self) -> None:
        """Examine everything; an interrupt (Ctrl-C) ends the search, and what was found so far counts."""
        try:
            with _seldom_collected():
                self._check_target()
                known = [*self._known()]
                self._total += len(known)
                for conversation in known:
                    self.examine(conversation)
                self._draw()
        except KeyboardInterrupt:
            self.interrupted = True
        for item in self.items:
            nothing = self._rendered_nothing(item)
            self.outcomes[item.id] = self.tallies[item.id].outcome(self.target, item, rendered_nothing=nothing)
            self.emit(self.outcomes[item.id])

    def ledger_results(self) -> list[LedgerResult]:
        """What became of each accepted mismatch; an interrupted run judges none."""
        if self.interrupted:
            return []
        findings = {mark: finding for tally in self.tallies.values() for mark, finding in tally.findings.items()}
        return self.ledger.results(findings, self.outcomes)

    # Conversations

    @cached_property
    def _strings(self) -> list[str]:
        return target_strings(self.target)

    def _known(self) -> Iterator[Conversation]:
        yield from self.ledger.witnesses()
        if self.options.database is not None:
            yield from self.options.database.load(self.target.name)
        yield from fixed(self.target, self._strings)

    def _draw(self) -> None:
        draws, seed = self.options.profile.draws, self.options.seed
        if draws < PARTS_FROM:
            draw(self.target, self._strings, range(draws), seed, self.examine)
            return
        _ = self._strings  # known before the first process begins
        begin = self._branch(self.examined)  # parts are merged while others begin, and none may know of them
        for part in run_parts(draws, self.options.jobs, begin._part, self.target.after_fork):
            self._merge(part)
            self._say_progress()

    def _branch(self, examined: int) -> Search:
        """A search that knows what this one knows, and keeps what it finds to itself."""
        options = SearchOptions(self.options.profile, self.options.seed)
        branch = Search(self.target, self.items, options, lambda _: None)
        branch.tallies = {key: tally.branch() for key, tally in self.tallies.items()}
        branch.examined = examined
        branch._seen = set(self._seen)
        branch._broke = dict(self._broke)
        branch._strings = self._strings
        return branch

    def _part(self, numbers: range) -> Part:
        """Examine some of the drawn conversations, starting from what is known now."""
        found: list[tuple[str, Finding]] = []
        branch = self._branch(self.examined + numbers.start)
        branch.emit = lambda event: found.append((event.item.id, event)) if isinstance(event, Finding) else None
        draw(self.target, self._strings, numbers, self.options.seed, branch.examine)
        findings = [(key, finding.mismatch, finding.fingerprint, finding.conversations) for key, finding in found]
        for tally in branch.tallies.values():
            tally.findings = {}
        return Part(len(numbers), branch.tallies, findings, branch.coverage.counts())

    def _merge(self, part: Part) -> None:
        self.examined += part.examined
        self.coverage.merge(part.coverage)
        items = {item.id: item for item in self.items}
        for key, tally in part.tallies.items():
            self.tallies[key].merge(tally)
        for key, mismatch, mark, conversations in part.findings:
            if self.tallies[key].admits(mismatch, accepted=mark in self._accepted):
                self._keep(items[key], mismatch, mark, conversations)

    # Examination

    def _check_target(self) -> None:
        for item in self.items:
            if item.check.target is not None:
                self._note(item, self.tallies[item.id], evaluate_target(item, self.target), None)

    @cached_property
    def _case_items(self) -> dict[tuple[str, Purpose], list[tuple[Item, Tally]]]:
        """By renderer and purpose, the items whose renderer can express what their check needs."""
        groups: dict[tuple[str, Purpose], list[tuple[Item, Tally]]] = {}
        for item in self.items:
            renderer = self.target.renderers.get(item.renderer or "")
            if renderer is not None and item.purpose is not None and lacking(renderer, item.check.needs) is None:
                groups.setdefault((renderer.name, item.purpose), []).append((item, self.tallies[item.id]))
        return groups

    def examine(self, conversation: Conversation) -> None:
        """Look at one conversation and all its prefixes with every check, at each prefix once."""
        if self.ended:
            return
        rendered = RenderedPrefixes(self.target, conversation)
        self.examined += 1
        thorough = self.examined <= _THOROUGH or self.examined % _SPARSE == 0
        new = {length for length, prefix in rendered.prefixes.items() if prefix not in self._seen}
        self.coverage.add(conversation, [rendered.prefixes[length] for length in new])
        for (renderer, purpose), items in self._case_items.items():
            cases = rendered.cases(renderer, purpose)
            if not cases:
                continue
            unseen = [case for case in cases if case.length in new]
            ends = [*cases[:1], *cases[1:][-1:]] if thorough else []
            for item, tally in items:
                for case in ends if item.check.sparse else cases if item.check.ahead else unseen:
                    if not item.check.sparse or case.length in new:
                        self._examine_case(item, tally, case)
        self._seen.update(rendered.prefixes[length] for length in new)
        rendered.release()
        if self.examined % _PROGRESS_EVERY == 0:
            self._say_progress()

    def _say_progress(self) -> None:
        found = sum(len(tally.findings) for tally in self.tallies.values())
        self.emit(Progress(self.target.name, self.examined, max(self._total, self.examined), found))

    def _examine_case(self, item: Item, tally: Tally, case: Case) -> None:
        result = case.result
        if isinstance(result, Rendering):
            self._note(item, tally, evaluate(item, case), case)
        elif isinstance(result, RenderError):
            if tally.error is None:
                tally.error = self._explain_error(case, result)
        else:
            tally.unsupported = tally.unsupported or str(result)
            knows = case.conversation.features <= self.target.renderers[case.renderer].features
            tally.refused += knows and case.reference is not None

    def _note(self, item: Item, tally: Tally, result: CheckResult, case: Case | None) -> None:
        tally.looked_at += 1
        if isinstance(result, NotExercised):
            if result.never:
                tally.unsupported = result.reason
            else:
                tally.not_exercised = result.reason
            return
        for mismatch in tally.show(result):
            mark = fingerprint(item.check.name, item.renderer, mismatch)
            if tally.admits(mismatch, accepted=mark in self._accepted):
                seen_at = self.examined
                small = mismatch if case is None else self._shrunk(item, mismatch, mark, case)
                self._keep(item, small, mark, seen_at)

    def _keep(self, item: Item, mismatch: Mismatch, mark: str, conversations: int) -> None:
        finding = self.ledger.apply(assemble(self.target, item, mismatch, mark, conversations))
        self.tallies[item.id].add(finding)
        if self.options.database is not None:
            self.options.database.save(finding)
        self.emit(finding)
        self.ended = self.ended or self.until(finding)

    def _rendered_nothing(self, item: Item) -> bool:
        """Whether the renderer refused everything that the reference rendered for this purpose."""
        if item.renderer is None or not self.tallies[item.id].refused:
            return False
        side = (item.renderer, item.purpose)
        return not any(self.tallies[i.id].exercised for i in self.items if (i.renderer, i.purpose) == side)

    # Shrinking

    def _shrunk(self, item: Item, mismatch: Mismatch, mark: str, case: Case) -> Mismatch:
        best = mismatch

        def still_fails(candidate: Conversation) -> bool:
            nonlocal best
            again = find_mismatch(self.target, item, mark, candidate)
            if again is not None:
                best = again
            return again is not None

        shrink(mismatch.conversation or case.rendered.conversation, still_fails)
        return best

    def _explain_error(self, case: Case, error: RenderError) -> str:
        """The renderer broke: say on what, in its smallest form; once a renderer and message."""
        key = (case.renderer, str(error))
        if key not in self._broke:

            def still_fails(candidate: Conversation) -> bool:
                rendered = RenderedPrefixes(self.target, candidate, [case.renderer])
                return any(str(result) == key[1] for result in rendered.results.values())

            small = shrink(case.conversation, still_fails)
            shown = ", ".join(f"{m.role} “{shortened(visible(m.content), 30)}”" for m in small.messages)
            self._broke[key] = f"{error} — on {shown}"
        return self._broke[key]


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Collect garbage less often, and leave what is there already out of it: modules and tokenizer live on anyway.

    A search makes many objects that die without it (it took a sixth of the time).
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
