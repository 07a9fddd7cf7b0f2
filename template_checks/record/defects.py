"""Defects: findings of one renderer that have one cause at one place. People count these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from template_checks.checks.findings import defect_place
from template_checks.record.models import DefectLine, FindingLine, FindingRef, OutcomeLine, Reach

_ORDER = ("same-tokens", "same-text", "stop-served", "stop-after-answer")
"""Which check's finding tells most: the one whose tokens show the difference and its surroundings."""


def find_defects(findings: Iterable[FindingLine], outcomes: Iterable[OutcomeLine] = ()) -> list[DefectLine]:
    """Group findings, worst first; what is accepted never shares a defect with what is not.

    Args:
        findings: of a record, in any order.
        outcomes: of the same record; without them nothing is known of the reach.
    """
    groups: dict[tuple[str, str | None, str, str, bool], list[FindingLine]] = {}
    for finding in findings:
        place = defect_place(finding.cause, finding.scaffold)
        key = (finding.target, finding.renderer, finding.cause, place, finding.accepted is None)
        groups.setdefault(key, []).append(finding)
    for group in groups.values():
        group.sort(key=_telling)
    ended = list(outcomes)
    return [_defect(group, ended) for group in sorted(groups.values(), key=_order)]


def findings_of(defect: DefectLine, findings: Iterable[FindingLine]) -> list[FindingLine]:
    """Those of the findings that a defect has, the most telling first; of several with one key the first."""
    known: dict[tuple[str, str, str], FindingLine] = {}
    for finding in findings:
        known.setdefault(finding.key, finding)
    return [known[ref.target_key(defect.target)] for ref in defect.findings]


def _telling(finding: FindingLine) -> tuple[bool, int, int, str]:
    rank = _ORDER.index(finding.check) if finding.check in _ORDER else len(_ORDER)
    length = len(finding.conversation.messages) if finding.conversation is not None else 0
    return finding.severity != "blocking", rank, length, finding.purpose or ""


def _order(group: list[FindingLine]) -> tuple[int, str, str, int]:
    """Worst first, then by target and renderer, then by where the renderings part."""
    first = group[0]
    worst = 0 if any(finding.blocking for finding in group) else 1 if first.accepted is None else 2
    return worst, first.target, first.renderer or "", first.first_difference or 0


def _defect(group: list[FindingLine], outcomes: list[OutcomeLine]) -> DefectLine:
    first = group[0]
    reach = tuple(_reach(group, outcomes))
    return DefectLine(
        id=first.fingerprint,
        target=first.target,
        renderer=first.renderer,
        cause=first.cause,
        severity="blocking" if any(finding.severity == "blocking" for finding in group) else "advisory",
        accepted=first.accepted is not None,
        source=first.source,
        summary=first.summary,
        reach=reach,
        reach_text=reach_text(reach) if first.conversation is not None else "the target",
        findings=tuple(
            FindingRef(check=f.check, renderer=f.renderer, purpose=f.purpose, fingerprint=f.fingerprint) for f in group
        ),
    )


def _reach(group: list[FindingLine], outcomes: list[OutcomeLine]) -> Iterator[Reach]:
    """By purpose, the item of the group with the largest share of prefixes, of those it looked at, that show it."""
    first = group[0]
    place = defect_place(first.cause, first.scaffold)
    items = {(finding.target, finding.item_id) for finding in group}
    for purpose in ("generate", "train"):
        best: Reach | None = None
        for outcome in outcomes:
            if (outcome.target, outcome.item_id) not in items or outcome.purpose != purpose or not outcome.looked_at:
                continue
            shown = sum(s.examples for s in outcome.shown if (s.cause, s.place) == (first.cause, place))
            here = Reach(purpose=outcome.purpose, shown=shown, examined=outcome.looked_at)
            if shown and (best is None or shown * best.examined > best.shown * here.examined):
                best = here
        if best is not None:
            yield best


def reach_text(reach: Iterable[Reach]) -> str:
    """The larger share in words: `every prompt`, `3 in 100 answers`."""
    known = list(reach)
    if not known:
        return "reach not known"
    most = max(known, key=lambda one: one.shown / one.examined)
    noun = "prompt" if most.purpose == "generate" else "answer"
    if most.shown >= most.examined:
        return f"every {noun}"
    for base in (100, 1000):
        count = round(base * most.shown / most.examined)
        if count >= 1:
            return f"{min(count, base - 1)} in {base} {noun}s"
    return f"1 in {round(most.examined / most.shown)} {noun}s"
