"""The JSON Schema of a record's lines. Each line of the NDJSON is one object that it describes."""

from __future__ import annotations

from typing import Any, get_args

from template_checks.checks.base import Severity
from template_checks.checks.findings import OutcomeName
from template_checks.core.causes import Cause
from template_checks.engine.accepted import State
from template_checks.engine.coverage import CONTENTS
from template_checks.record.writer import VERSION

Schema = dict[str, Any]


def _object(**properties: Schema) -> Schema:
    """An object with exactly these keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _one_of(*values: object) -> Schema:
    return {"enum": list(values)}


_TEXT: Schema = {"type": "string"}
_BOOLEAN: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_FINGERPRINT: Schema = {"type": "string", "pattern": "^[0-9a-f]{8}$"}
_PURPOSE = _one_of("train", "generate")
_RANGE = {"type": "array", "items": _COUNT, "minItems": 2, "maxItems": 2}
_ARTEFACT = _object(name=_TEXT, sha256=_SHA256, path=_or_null(_TEXT))
_ENTRY = {"reason": _TEXT, "owner": _or_null(_TEXT), "expires": _or_null(_TEXT), "text": _TEXT}
_CONVERSATION: Schema = {
    "anyOf": [
        _list({"type": "object", "required": ["role", "content"]}),
        _object(messages=_list({"type": "object"}), tools=_list({"type": "object"})),
    ]
}

_STOP = _object(
    role=_one_of("taught", "served", "configured"),
    renderer=_or_null(_TEXT),
    text=_TEXT,
    id=_or_null({"type": "integer"}),
    source=_TEXT,
    by_text=_BOOLEAN,
)

_RENDERER = _object(
    type=_TEXT,
    purposes=_list(_PURPOSE),
    artefacts=_list(_ARTEFACT),
    notes=_list(_TEXT),
    facts={"type": "object"},
)

_TARGET = _object(
    tokenizer=_TEXT,
    reference=_TEXT,
    system=_or_null(_TEXT),
    artefacts=_list(_ARTEFACT),
    stops=_list(_STOP),
    repairs=_list(_TEXT),
    notes=_list(_TEXT),
    renderers=_map(_RENDERER),
    broken=_map(_TEXT),
)

_HEADER = _object(
    kind=_one_of("header"),
    record=_one_of(VERSION),
    versions=_map(_TEXT),
    config=_object(arguments=_list(_TEXT), name=_TEXT, sha256=_SHA256, path=_or_null(_TEXT)),
    git=_or_null(_object(commit=_TEXT, changed=_BOOLEAN)),
    checks=_list(_TEXT),
    selected_targets=_list(_TEXT),
    profile=_TEXT,
    draws=_COUNT,
    seed={"type": "integer"},
    started={"type": "string", "format": "date-time"},
    targets=_map(_TARGET),
    failed=_map(_TEXT),
)

_FINDING = _object(
    kind=_one_of("finding"),
    target=_TEXT,
    check=_TEXT,
    renderer=_or_null(_TEXT),
    purpose=_or_null(_PURPOSE),
    severity=_one_of(*get_args(Severity)),
    accepted=_or_null(_object(**_ENTRY)),
    expired=_or_null(_object(**_ENTRY)),
    fingerprint=_FINGERPRINT,
    cause=_one_of(*(cause.value for cause in Cause)),
    detail=_list(_TEXT),
    scaffold=_TEXT,
    summary=_TEXT,
    place=_TEXT,
    location=_or_null(_TEXT),
    conversation=_or_null(_CONVERSATION),
    conversations_until_found=_COUNT,
    expected_name=_TEXT,
    actual_name=_TEXT,
    expected_ids=_or_null(_list({"type": "integer"})),
    actual_ids=_or_null(_list({"type": "integer"})),
    expected_tokens=_or_null(_list(_TEXT)),
    actual_tokens=_or_null(_list(_TEXT)),
    expected_range=_or_null(_RANGE),
    actual_range=_or_null(_RANGE),
    first_difference=_or_null(_COUNT),
    same_text=_BOOLEAN,
    reproduce=_or_null(_TEXT),
)

_OUTCOME = _object(
    kind=_one_of("outcome"),
    target=_TEXT,
    check=_TEXT,
    renderer=_or_null(_TEXT),
    purpose=_or_null(_PURPOSE),
    outcome=_one_of(*get_args(OutcomeName)),
    examples=_COUNT,
    reason=_or_null(_TEXT),
    findings=_list(_FINGERPRINT),
    blocking=_COUNT,
    accepted=_COUNT,
    more=_COUNT,
    refused=_COUNT,
    entries=_list(_object(fingerprint=_FINGERPRINT, **_ENTRY)),
)

_COVERAGE = _object(
    kind=_one_of("coverage"),
    target=_TEXT,
    conversations=_COUNT,
    prefixes=_object(train=_COUNT, generate=_COUNT),
    roles=_map(_COUNT),
    turns=_map(_COUNT),
    contents=_object(**dict.fromkeys(CONTENTS, _COUNT)),
    scripts=_map(_COUNT),
    features=_map(_COUNT),
)

_LEDGER = _object(
    target=_TEXT,
    fingerprint=_TEXT,
    check=_or_null(_TEXT),
    renderer=_or_null(_TEXT),
    state=_one_of(*get_args(State)),
    where=_TEXT,
    **_ENTRY,
)

_FOOTER = _object(
    kind=_one_of("footer"),
    counts=_object(**dict.fromkeys(get_args(OutcomeName), _COUNT)),
    blocking=_COUNT,
    advisory=_COUNT,
    accepted=_COUNT,
    stale=_COUNT,
    ledger=_list(_LEDGER),
    interrupted=_BOOLEAN,
    verdict=_TEXT,
    signoff=_or_null(_object(granted=_BOOLEAN, refused=_list(_TEXT))),
    exit_code=_one_of(0, 1, 2, 3),
    seconds={"type": "number", "minimum": 0},
)

SCHEMA: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": f"A line of a template-checks record, version {VERSION}",
    "description": "The record is NDJSON: a header, then findings, outcomes and coverage as they come, then a footer. "
    "A record without footer belongs to a run that was cut off.",
    "oneOf": [_HEADER, _FINDING, _OUTCOME, _COVERAGE, _FOOTER],
}
