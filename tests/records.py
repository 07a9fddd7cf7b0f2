"""Records for tests: lines with defaults, records of lines, and records of real runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

from template_checks.config.examples import example_config
from template_checks.config.schema import load_config
from template_checks.core.conversation import Conversation
from template_checks.core.ndjson import RecordModel, to_json
from template_checks.engine.profiles import Profile
from template_checks.record.facts import Request
from template_checks.record.header import Header
from template_checks.record.models import LINE, DefectLine, FindingLine, Footer, LedgerLine, Line, OutcomeLine
from template_checks.record.reader import Record
from template_checks.record.runner import Surroundings, build_targets, execute
from template_checks.record.summary import RunSummary

M = TypeVar("M", bound=RecordModel)

_TARGET = {
    "tokenizer": "tokenizer",
    "reference": "training",
    "system": None,
    "artefacts": [],
    "stops": [],
    "repairs": [],
    "notes": [],
    "renderers": {
        "training": {"type": "xtuner", "purposes": ["train"], "artefacts": [], "notes": [], "facts": {}},
        "web_ui": {"type": "web-ui", "purposes": ["generate"], "artefacts": [], "notes": [], "facts": {}},
    },
    "broken": {},
}
_HEADER = {
    "versions": dict.fromkeys(
        ("template-checks", "python", "transformers", "tokenizers", "jinja2", "hypothesis"), "1.0"
    ),
    "config": {
        "name": "template-checks.toml",
        "sha256": "0" * 64,
        "path": "template-checks.toml",
        "arguments": ["template-checks.toml"],
    },
    "git": None,
    "command": "template-checks run template-checks.toml --profile dev --seed 7",
    "selected_checks": [],
    "selected_targets": [],
    "checks": [{"name": "same-tokens", "family": "agreement", "promise": "the same tokens"}],
    "profile": "dev",
    "draws": 10,
    "seed": 7,
    "started": "2026-01-02T03:04:05+00:00",
    "targets": {"bot": _TARGET},
    "failed": {},
}
_ITEM = {"target": "bot", "check": "same-tokens", "renderer": "web_ui", "purpose": "generate"}
_FINDING = {
    **_ITEM,
    "severity": "blocking",
    "accepted": None,
    "expired": None,
    "fingerprint": "0badcafe",
    "cause": "scaffold white space",
    "detail": [],
    "scaffold": "<s>",
    "summary": "one space too many",
    "position": "before message 1",
    "source": "web_demo.py:53",
    "conversation": [{"role": "user", "content": "hi"}],
    "conversations_until_found": 1,
    "compared_with": "training",
    "expected_name": "training",
    "actual_name": "web_ui",
    "expected_ids": [1, 3],
    "actual_ids": [1, 2, 3],
    "expected_tokens": ["<s>", '"hi"'],
    "actual_tokens": ["<s>", '"·"', '"hi"'],
    "expected_range": [1, 1],
    "actual_range": [1, 2],
    "same_text": False,
    "reproduce": "template-checks replay 0badcafe",
}
_OUTCOME = {
    **_ITEM,
    "outcome": "pass",
    "looked_at": 10,
    "examples": 10,
    "reason": None,
    "findings": [],
    "blocking": 0,
    "advisory": 0,
    "accepted": 0,
    "more": 0,
    "refused": 0,
    "rendered_nothing": False,
    "shown": [],
    "entries": [],
}
_LEDGER = {
    "target": "bot",
    "fingerprint": "0badcafe",
    "check": "same-tokens",
    "renderer": "web_ui",
    "state": "accepted",
    "stale": False,
    "where": "template-checks.toml: target.bot.accepted, entry 1",
    "reason": "trained so",
    "owner": None,
    "expires": None,
    "text": "still there",
}


def header(**overrides: Any) -> Header:
    """The header of a run of one target, `bot`, with the renderers `training` and `web_ui`."""
    return Header.model_validate({**_HEADER, **overrides})


def finding(**overrides: Any) -> FindingLine:
    """A blocking finding: one token too many."""
    if "fingerprint" in overrides:
        overrides.setdefault("reproduce", f"template-checks replay {overrides['fingerprint']}")
    return FindingLine.model_validate({**_FINDING, **overrides})


def outcome(*findings: FindingLine, **overrides: Any) -> OutcomeLine:
    """An item that passed; or, where it has findings, the item of the first of them, with their counts."""
    values: dict[str, Any] = dict(_OUTCOME)
    if findings:
        first = findings[0]
        values |= {key: getattr(first, key) for key in _ITEM}
        values |= {
            "outcome": "accepted" if all(one.accepted for one in findings) else "mismatch",
            "findings": [one.fingerprint for one in findings],
            "blocking": sum(one.blocking for one in findings),
            "advisory": sum(one.accepted is None and not one.blocking for one in findings),
            "accepted": sum(one.accepted is not None for one in findings),
        }
    return OutcomeLine.model_validate({**values, **overrides})


def ledger_entry(**overrides: Any) -> LedgerLine:
    """An entry that accepts the default finding."""
    return LedgerLine.model_validate({**_LEDGER, **overrides})


def footer(*lines: Line, **overrides: Any) -> Footer:
    """The footer that a run would write after these lines."""
    return altered(_summary(lines).footer(1.5), **overrides)


def record(*lines: Line, cut_off: bool = False) -> Record:
    """A record of these lines; header, defects and footer are made where they are not given.

    Args:
        lines: of the record, in any order of kinds.
        cut_off: leave out what is written at the end.
    """
    given = [line for line in lines if not isinstance(line, (Header, DefectLine, Footer))]
    head = next((line for line in lines if isinstance(line, Header)), None) or header()
    if cut_off:
        return Record((head, *given))
    defects: Iterable[Line] = [line for line in lines if isinstance(line, DefectLine)] or _summary(given).defects
    end = next((line for line in lines if isinstance(line, Footer)), None) or footer(head, *given)
    return Record((head, *given, *defects, end))


def _summary(lines: Iterable[Line]) -> RunSummary:
    summary = RunSummary()
    for line in lines:
        if isinstance(line, Header):
            summary.failed = line.failed
        summary.count(line)
    return summary


def altered(line: M, **changes: Any) -> M:
    """The same line with some values changed, validated again."""
    return type(line).model_validate({**line.model_dump(), **changes})


def with_lines(record: Record, change: Callable[[Line], Line | None]) -> Record:
    """The record with each line changed, or left out where that is None."""
    return Record(tuple(new for line in record.lines if (new := change(line)) is not None))


def as_data(record: Record) -> list[dict[str, Any]]:
    """The lines as a file holds them."""
    return [json.loads(to_json(line)) for line in record.lines]


def from_data(lines: Iterable[dict[str, Any]]) -> Record:
    """The record of such lines."""
    return Record(tuple(LINE.validate_python(line) for line in lines))


@cache
def example_record(name: str, profile: str = "dev", draws: int = 20) -> Record:
    """The record of a published example, from few conversations; made once in a process, since nobody can change it."""
    path = example_config(name)
    request = Request(Profile(profile, draws, None, ""), 7, ("--example", name), path)
    targets, failed = build_targets(load_config(path), request, offline=True)
    lines: list[Line] = []
    try:
        execute(targets, request, Surroundings(lines.append), failed)
    finally:
        for target in targets:
            target.close()
    return Record(tuple(lines))


def conversation(*turns: tuple[str, str]) -> Any:
    """Turns as a record holds them."""
    return Conversation.of(*turns).to_data()
