"""What a run finds as lines of its record."""

from __future__ import annotations

from typing import Any

from template_checks.checks.base import Side
from template_checks.checks.findings import Finding, Outcome
from template_checks.checks.registry import exists_everywhere
from template_checks.config.schema import Accepted
from template_checks.core.rendering import Rendering
from template_checks.core.tokenizer import Tokenizer
from template_checks.engine.accepted import LedgerResult
from template_checks.engine.coverage import CONTENTS, Coverage
from template_checks.record.models import (
    AcceptedFacts,
    CoverageLine,
    EntryFacts,
    FindingLine,
    LedgerLine,
    OutcomeLine,
    PrefixCounts,
    RenderingFacts,
    ShownFacts,
)
from template_checks.record.tokens import display_tokens, same_text


def finding_line(finding: Finding, tokenizer: Tokenizer) -> FindingLine:
    """A finding with everything a view shows of it."""
    mismatch = finding.mismatch
    check, expected, actual = finding.item.check, mismatch.expected, mismatch.actual
    return FindingLine(
        target=finding.target,
        check=check.name,
        renderer=finding.item.renderer,
        purpose=finding.item.purpose,
        severity=mismatch.severity,
        accepted=_accepted(finding.accepted, finding.accepted.said) if finding.accepted else None,
        expired=_accepted(finding.expired, finding.expired.said_expired) if finding.expired else None,
        fingerprint=finding.fingerprint,
        cause=mismatch.cause.value,
        detail=mismatch.detail,
        scaffold=mismatch.scaffold,
        summary=mismatch.summary,
        position=mismatch.position,
        source=finding.source,
        conversation=mismatch.conversation,
        conversations_until_found=finding.conversations,
        compared_with=expected.name if expected is not None and check.compares else None,
        same_text=same_text(mismatch),
        reproduce=_reproduce(finding) if mismatch.conversation else None,
        **_side("expected", expected, tokenizer),
        **_side("actual", actual, tokenizer),
    )


def _reproduce(finding: Finding) -> str:
    """The command that shows a finding again; only pytest knows a check that a conftest.py adds."""
    check = finding.item.check
    if exists_everywhere(check):
        return f"template-checks replay {finding.fingerprint}"
    return f"pytest --check-only {check.name}"


def _side(name: str, side: Side | None, tokenizer: Tokenizer) -> dict[str, Any]:
    """The fields of one side of a mismatch."""
    return {
        f"{name}_name": side.name if side else "",
        f"{name}_ids": side.rendering.ids if side else None,
        f"{name}_tokens": display_tokens(side.rendering, tokenizer) if side else None,
        f"{name}_range": tuple(side.tokens) if side else None,
    }


def outcome_line(outcome: Outcome) -> OutcomeLine:
    """How one item ended."""
    open_findings = [finding for finding in outcome.findings if finding.accepted is None]
    blocking = sum(finding.blocking for finding in open_findings)
    return OutcomeLine(
        target=outcome.target,
        check=outcome.item.check.name,
        renderer=outcome.item.renderer,
        purpose=outcome.item.purpose,
        outcome=outcome.name,
        looked_at=outcome.looked_at,
        examples=outcome.examples,
        reason=outcome.reason,
        findings=tuple(finding.fingerprint for finding in outcome.findings),
        blocking=blocking,
        advisory=len(open_findings) - blocking,
        accepted=len(outcome.findings) - len(open_findings),
        more=outcome.more,
        refused=outcome.refused,
        rendered_nothing=outcome.rendered_nothing,
        shown=tuple(
            ShownFacts(cause=cause.value, place=place, examples=count)
            for (cause, place), count in sorted(outcome.shown.items())
        ),
        entries=tuple(
            EntryFacts(fingerprint=entry.fingerprint, **dict(_accepted(entry, entry.said))) for entry in outcome.entries
        ),
    )


def coverage_line(target: str, coverage: Coverage) -> CoverageLine:
    """What the conversations of one target covered."""
    return CoverageLine(
        target=target,
        conversations=coverage.conversations,
        prefixes=PrefixCounts(train=coverage.prefixes["train"], generate=coverage.prefixes["generate"]),
        roles=dict(coverage.roles.most_common()),
        turns={str(turns): coverage.turns[turns] for turns in sorted(coverage.turns)},
        contents={kind: coverage.contents[kind] for kind in CONTENTS},
        scripts=dict(coverage.scripts.most_common()),
        features=dict(sorted(coverage.features.items())),
    )


def ledger_line(target: str, result: LedgerResult, file: str) -> LedgerLine:
    """What became of one accepted mismatch, whose entry is in `file`; part of the footer."""
    return LedgerLine(
        target=target,
        fingerprint=result.entry.fingerprint,
        check=result.check,
        renderer=result.renderer,
        state=result.state,
        stale=result.stale,
        where=f"{file}: target.{target}.accepted, entry {result.number}",
        **dict(_accepted(result.entry, result.text)),
    )


def rendering_facts(name: str, purpose: str, result: Rendering | str, tokenizer: Tokenizer) -> RenderingFacts:
    """What one renderer makes of a conversation, or why it makes nothing of it."""
    if isinstance(result, str):
        return RenderingFacts(renderer=name, purpose=purpose, error=result)
    return RenderingFacts(
        renderer=name,
        purpose=purpose,
        text=result.text if result.has_text else None,
        ids=result.ids,
        labels=result.labels,
        tokens=tuple(display_tokens(result, tokenizer)),
    )


def _accepted(entry: Accepted, text: str) -> AcceptedFacts:
    expires = entry.expires.isoformat() if entry.expires else None
    return AcceptedFacts(reason=entry.reason, owner=entry.owner, expires=expires, text=text)
