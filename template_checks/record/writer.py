"""The record of a run: NDJSON lines of kind header, finding, outcome, coverage and footer.

Every report is a view of it. `record_schema.py` describes the lines as JSON Schema.
"""

from __future__ import annotations

import platform
import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from template_checks import __version__
from template_checks.checks.base import Mismatch
from template_checks.checks.findings import Finding, Outcome
from template_checks.config.schema import Accepted
from template_checks.config.target import Target, resolve
from template_checks.core.causes import Cause
from template_checks.core.display import visible
from template_checks.core.rendering import Artefact, Rendering, Stop
from template_checks.core.tokenizer import Tokenizer
from template_checks.divergence.alignment import text_under
from template_checks.engine.accepted import LedgerResult
from template_checks.engine.coverage import CONTENTS, Coverage
from template_checks.engine.profiles import Profile
from template_checks.sources.cache import sha256_file

Line = dict[str, Any]

VERSION = 1
"""Of the record's format."""

_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class Request:
    """What a run was asked to do, so that it can be done again.

    `words` name the configuration on the command line, `config` is its file, `checks` and `targets` are those that
    were selected, none for all.
    """

    words: tuple[str, ...]
    config: Path
    checks: tuple[str, ...]
    targets: tuple[str, ...]


def header(
    targets: list[Target], failed: dict[str, str], request: Request, profile: Profile, seed: int, started: str
) -> Line:
    """What the run is made of.

    Args:
        targets: those that could be built.
        failed: those that could not, and why.
        request: what was asked for.
        profile: how much is looked at.
        seed: of the drawn conversations.
        started: ISO 8601 time.
    """
    return {
        "kind": "header",
        "record": VERSION,
        "versions": versions(),
        "config": {"arguments": list(request.words), **_artefact(_config_artefact(request), request.config.parent)},
        "git": git_commit(request.config.parent),
        "checks": list(request.checks),
        "selected_targets": list(request.targets),
        "profile": profile.name,
        "draws": profile.draws,
        "seed": seed,
        "started": started,
        "targets": {target.name: _target(target, request.config.parent) for target in targets},
        "failed": failed,
    }


def versions() -> dict[str, str]:
    """Of this package, of Python and of what results depend on."""
    found = {"template-checks": __version__, "python": platform.python_version()}
    for package in ("transformers", "tokenizers", "jinja2", "hypothesis"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_commit(folder: Path) -> Line | None:
    """The commit that is checked out, and whether files differ from it; None where git knows of none."""
    git = ["git", "-C", str(folder)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.strip(), "changed": bool(changes.stdout.strip())}


def _config_artefact(request: Request) -> Artefact:
    return Artefact(request.config.name, sha256_file(request.config), request.config)


def _artefact(artefact: Artefact, folder: Path) -> Line:
    """With its path relative to the configuration, if it lies beside or below it."""
    path = None
    if artefact.path is not None:
        full, base = artefact.path.resolve(), folder.resolve()
        path = full.relative_to(base).as_posix() if full.is_relative_to(base) else str(full)
    return {"name": artefact.name, "sha256": artefact.sha256, "path": path}


def _stops(target: Target) -> list[Line]:
    """Every stop: who teaches it, who halts on it, what else is configured."""
    found: list[tuple[str, str | None, Stop]] = []
    for name, renderer in target.renderers.items():
        found += [("taught", name, stop) for stop in renderer.taught]
        found += [("served", name, stop) for stop in (renderer.served.stops if renderer.served else ())]
    known = {stop for _, _, stop in found}
    found += [("configured", None, stop) for stop in target.configured_stops() if stop not in known]
    return [
        {
            "role": role,
            "renderer": renderer,
            "text": _stop_text(stop, target.tokenizer),
            "id": resolve(stop, target.tokenizer),
            "source": stop.source,
            "by_text": stop.by_text,
        }
        for role, renderer, stop in found
    ]


def _stop_text(stop: Stop, tokenizer: Tokenizer) -> str:
    return visible(stop.text if stop.text is not None else tokenizer.token(stop.id or 0))


def _target(target: Target, folder: Path) -> Line:
    return {
        "tokenizer": target.tokenizer.source,
        "reference": target.config.reference,
        "system": target.config.system,
        "artefacts": [_artefact(artefact, folder) for artefact in target.artefacts],
        "stops": _stops(target),
        "repairs": list(target.tokenizer.repairs),
        "notes": list(target.tokenizer.notes),
        "renderers": {
            name: {
                "type": renderer.type,
                "purposes": sorted(renderer.purposes),
                "artefacts": [_artefact(artefact, folder) for artefact in renderer.artefacts],
                "notes": list(renderer.notes),
                "facts": renderer.describe(),
            }
            for name, renderer in target.renderers.items()
        },
        "broken": {name: str(error) for name, error in target.broken.items()},
    }


def finding_line(finding: Finding, tokenizer: Tokenizer, reproduce: str) -> Line:
    """A finding with everything a view shows of it."""
    mismatch = finding.mismatch
    left, right = mismatch.left, mismatch.right
    return {
        "kind": "finding",
        "target": finding.target,
        "check": finding.item.check.name,
        "renderer": finding.item.renderer,
        "purpose": finding.item.purpose,
        "severity": mismatch.severity,
        "accepted": _entry(finding.accepted, finding.accepted.said) if finding.accepted else None,
        "expired": _entry(finding.expired, finding.expired.said_expired) if finding.expired else None,
        "fingerprint": finding.fingerprint,
        "cause": mismatch.cause.value,
        "detail": list(mismatch.detail),
        "scaffold": mismatch.core,
        "summary": mismatch.summary,
        "place": mismatch.place,
        "location": finding.location,
        "conversation": mismatch.conversation.to_data() if mismatch.conversation else None,
        "conversations_until_found": finding.conversations,
        "expected_name": mismatch.left_name,
        "actual_name": mismatch.right_name,
        "expected_ids": list(left.ids) if left else None,
        "actual_ids": list(right.ids) if right else None,
        "expected_tokens": display_tokens(left, tokenizer) if left else None,
        "actual_tokens": display_tokens(right, tokenizer) if right else None,
        "expected_range": list(mismatch.expected) if mismatch.expected else None,
        "actual_range": list(mismatch.actual) if mismatch.actual else None,
        "first_difference": mismatch.actual.start if mismatch.actual else None,
        "same_text": _same_text(mismatch),
        "reproduce": reproduce if mismatch.conversation else None,
    }


def _same_text(mismatch: Mismatch) -> bool:
    """Do both sides' marked tokens cover the same text, so that only the ids differ?

    The cause alone does not say so: where a longer conversation merges the end of a prompt with what follows, that is
    a seam as well, and its text goes on.
    """
    left, right = mismatch.left, mismatch.right
    if mismatch.cause not in {Cause.SEAM, Cause.OTHER_TOKENS} or not (left and right):
        return False
    if mismatch.expected is None or mismatch.actual is None or not (left.has_text and right.has_text):
        return False
    want, have = text_under(left, mismatch.expected), text_under(right, mismatch.actual)
    return want is not None and have is not None and want[0] == have[0]


def outcome_line(outcome: Outcome) -> Line:
    """How one item ended."""
    return {
        "kind": "outcome",
        "target": outcome.target,
        "check": outcome.item.check.name,
        "renderer": outcome.item.renderer,
        "purpose": outcome.item.purpose,
        "outcome": outcome.outcome,
        "examples": outcome.examples,
        "reason": outcome.reason,
        "findings": list(outcome.findings),
        "blocking": outcome.blocking,
        "accepted": outcome.accepted,
        "more": outcome.more,
        "refused": outcome.refused,
        "entries": [{"fingerprint": entry.fingerprint, **_entry(entry, entry.said)} for entry in outcome.entries],
    }


def coverage_line(target: str, coverage: Coverage) -> Line:
    """What the conversations of one target covered."""
    return {
        "kind": "coverage",
        "target": target,
        "conversations": coverage.conversations,
        "prefixes": {purpose: coverage.prefixes[purpose] for purpose in ("train", "generate")},
        "roles": dict(coverage.roles.most_common()),
        "turns": {str(turns): coverage.turns[turns] for turns in sorted(coverage.turns)},
        "contents": {kind: coverage.contents[kind] for kind in CONTENTS},
        "scripts": dict(coverage.scripts.most_common()),
        "features": dict(sorted(coverage.features.items())),
    }


def ledger_line(target: str, judged: LedgerResult, file: str) -> Line:
    """What became of one accepted mismatch, which stands in `file`; part of the footer."""
    return {
        "target": target,
        "fingerprint": judged.entry.fingerprint,
        "check": judged.check,
        "renderer": judged.renderer,
        "state": judged.state,
        "where": f"{file}: target.{target}.accepted, entry {judged.number}",
        **_entry(judged.entry, judged.text),
    }


def _entry(entry: Accepted, text: str) -> Line:
    return {
        "reason": entry.reason,
        "owner": entry.owner,
        "expires": entry.expires.isoformat() if entry.expires else None,
        "text": text,
    }


def item_id(line: Line) -> str:
    """Of a finding or an outcome: its check, and what that looked at, as pytest names it."""
    return f"{line['check']}[{line['renderer']}-{line['purpose']}]" if line["renderer"] else str(line["check"])


def display_tokens(rendering: Rendering, tokenizer: Tokenizer) -> list[str]:
    """Each token as it is shown: control tokens by name, others as the text they cover, white space visible."""
    control = set(tokenizer.control_tokens.values())
    spans = rendering.token_spans
    shown = []
    for position, index in enumerate(rendering.ids):
        name = tokenizer.token(index)
        covered = rendering.text[slice(*spans[position])] if spans else ""
        if index in control or not covered or _BYTE_TOKEN.fullmatch(name):
            shown.append(visible(name))
        else:
            shown.append(f'"{visible(covered)}"')
    return shown
