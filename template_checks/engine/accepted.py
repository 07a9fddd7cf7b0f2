"""The ledger: mismatches accepted on purpose, and what a run learns of each: still there, fixed, expired, unknown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from template_checks.checks.base import NotExercised
from template_checks.checks.case import Case, RenderedPrefixes
from template_checks.checks.findings import Finding, Item, Outcome
from template_checks.checks.registry import all_checks
from template_checks.config.schema import Accepted
from template_checks.config.target import Target, lacking
from template_checks.core.conversation import Conversation
from template_checks.core.rendering import Rendering
from template_checks.core.suggest import did_you_mean
from template_checks.engine.evaluate import cases_of, evaluate, with_fingerprint

EntryState = Literal["accepted", "expired", "fixed", "unmatched", "contradicting", "unselected", "unexamined"]
"""`fixed`: its witness shows it no more. `unmatched`: it has no witness, and nothing showed it. `contradicting`: it
names another check or renderer than its finding's. `unselected`: this run left its check out. `unexamined`: something
broke or is unsupported, so nothing is known of it."""

_STALE = frozenset({"fixed", "unmatched", "contradicting"})


@dataclass(frozen=True)
class LedgerResult:
    """What a run says of one entry. `number` counts the target's entries from 1; `text` says it in a sentence."""

    entry: Accepted
    number: int
    state: EntryState
    text: str
    check: str | None
    renderer: str | None

    @property
    def stale(self) -> bool:
        """Whether the entry has to go or to change."""
        return self.state in _STALE


class Ledger:
    """The accepted mismatches of one target in one run.

    Args:
        target: whose.
        items: what the run checks.
        possible: what it could check with everything selected.
    """

    def __init__(self, target: Target, items: list[Item], possible: list[Item]) -> None:
        self.target = target
        self.entries = target.config.accepted
        self.today = date.today()
        self._items = {item.id for item in items}
        self._possible = [item for item in possible if not _is_beyond(item, target)]

    def witnesses(self) -> Iterator[Conversation]:
        """The conversations that show the accepted mismatches, or did."""
        for entry in self.entries:
            if entry.witness is not None:
                yield entry.witness

    def apply(self, finding: Finding) -> Finding:
        """The finding, with the entry of its own fingerprint, if there is one that agrees with it."""
        return apply_entries(finding, self.entries, self.today)

    def results(self, findings: Mapping[str, Finding], outcomes: Mapping[str, Outcome]) -> list[LedgerResult]:
        """What became of each entry.

        Args:
            findings: everything that the run found, by fingerprint.
            outcomes: how its items ended, by their ids.
        """
        found = []
        for number, entry in enumerate(self.entries, start=1):
            finding = findings.get(entry.fingerprint)
            if finding is None:
                state, text = self._unseen(entry, outcomes)
                found.append(LedgerResult(entry, number, state, text, entry.check, entry.renderer))
            else:
                state, text = self._seen(entry, finding)
                found.append(LedgerResult(entry, number, state, text, finding.item.check.name, finding.item.renderer))
        return found

    def _seen(self, entry: Accepted, finding: Finding) -> tuple[EntryState, str]:
        wrong = _contradiction(entry, finding.item)
        if wrong is not None:
            return "contradicting", f"contradicts its finding, so accepts nothing: {wrong}: correct this entry"
        if finding.expired is not None:
            return "expired", entry.said_expired
        if entry.witness is None:
            return "accepted", entry.said
        kind = (finding.item.check.name, finding.item.renderer)
        items = [item for item in self._possible if (item.check.name, item.renderer) == kind]
        shown, hindrance = self._replay(entry, items)
        note = "" if shown or hindrance else " (seen, but no longer with its witness)"
        return "accepted", entry.said + note

    def _unseen(self, entry: Accepted, outcomes: Mapping[str, Outcome]) -> tuple[EntryState, str]:
        items = [item for item in self._possible if _contradiction(entry, item) is None]
        if not items:
            return "unmatched", f"matches nothing: {self._why_nothing(entry)}: correct or remove this entry"
        if entry.witness is not None:
            prefixes = RenderedPrefixes(self.target, entry.witness, only=()).prefixes.values()
            purposes = {None, *(prefix.purpose for prefix in prefixes)}
            items = [item for item in items if item.purpose in purposes]
        if not self._items.issuperset(item.id for item in items):
            return "unselected", "not looked at: this run leaves its check out"
        if entry.witness is None:
            hindrance = _hindrance([outcomes[item.id] for item in items])
        else:
            _, hindrance = self._replay(entry, items)
        if hindrance is not None:
            return "unexamined", f"not looked at: {hindrance}"
        if entry.witness is None:
            return "unmatched", "matches nothing that this run found: correct or remove this entry"
        return "fixed", "fixed: remove this entry"

    def _replay(self, entry: Accepted, items: list[Item]) -> tuple[bool, str | None]:
        """Does its witness show it? And if not, what kept these items from looking?"""
        assert entry.witness is not None
        hindrance, idle = None, "its witness does not reach the check" if items else None
        for item in items:
            if item.renderer in self.target.broken:
                hindrance = self.target.broken[item.renderer].what
                continue
            if item.renderer is None:
                idle = None  # a check of the target needs no conversation
                continue
            for case in cases_of(item, self.target, entry.witness):
                if not isinstance(case.result, Rendering):
                    hindrance = str(case.result)
                    continue
                result = evaluate(item, case)
                if isinstance(result, NotExercised):
                    hindrance = hindrance or _why_no_reference(case)
                    continue
                idle = None
                if with_fingerprint(result, item, entry.fingerprint) is not None:
                    return True, None
        return False, hindrance or idle

    def _why_nothing(self, entry: Accepted) -> str:
        known = all_checks()
        if entry.check is not None and entry.check not in known:
            hint = did_you_mean(entry.check, known)
            return f"there is no check {entry.check!r}" + (f", {hint}" if hint else "")
        if entry.renderer is not None and entry.renderer not in self.target.config.renderers:
            return f"the target has no renderer {entry.renderer!r}"
        return f"{entry.check} does not look at {entry.renderer or 'any renderer of this target'}"


def apply_entries(finding: Finding, entries: Iterable[Accepted], today: date) -> Finding:
    """The finding, with the entry of its own fingerprint, if there is one that agrees with it."""
    for entry in entries:
        if entry.fingerprint == finding.fingerprint and _contradiction(entry, finding.item) is None:
            if entry.expires is not None and entry.expires < today:
                return replace(finding, expired=entry)
            return replace(finding, accepted=entry)
    return finding


def _contradiction(entry: Accepted, item: Item) -> str | None:
    for key, said, actual in (("check", entry.check, item.check.name), ("renderer", entry.renderer, item.renderer)):
        if said is not None and said != actual:
            return f"it says {key} = {said!r}, the finding's is {actual!r}"
    return None


def _is_beyond(item: Item, target: Target) -> bool:
    """Has its renderer none of the features that its check needs?"""
    renderer = target.renderers.get(item.renderer or "")
    return renderer is not None and lacking(renderer, item.check.needs) is not None


def _hindrance(outcomes: list[Outcome]) -> str | None:
    """What kept items from being looked at.

    Items that nothing reached count only where nothing reached any; unsupported ones only among those of one check,
    since every target has checks that its renderers have nothing to do with.
    """
    one_check = len({outcome.item.check.name for outcome in outcomes}) == 1
    for outcome in outcomes:
        if outcome.name == "error" or (outcome.name == "unsupported" and one_check):
            return f"{outcome.name}: {outcome.reason}"
    if all(outcome.name in {"not-exercised", "unsupported"} for outcome in outcomes):
        return outcomes[0].reason or "not-exercised"
    return None


def _why_no_reference(case: Case) -> str | None:
    key = (case.target.config.reference, case.length)
    result = case.rendered.results.get(key)
    return None if result is None or isinstance(result, Rendering) else str(result)
