"""The lines of a record as typed models; its JSON Schema, the validation of a record that is read and the table in the
documents come from them.

A record is NDJSON: a header, then findings, outcomes and coverage as they come, then defects and a footer. Every line
has a `kind`. A record without footer belongs to a run that was cut off.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
    WithJsonSchema,
)

from template_checks.checks.base import Severity
from template_checks.checks.findings import OutcomeName
from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation, Purpose
from template_checks.core.errors import UsageError
from template_checks.core.ndjson import Count, RecordModel, Text
from template_checks.engine.accepted import EntryState
from template_checks.record.header import RECORD_VERSION, Header


def _read_conversation(value: Any) -> Conversation:
    if isinstance(value, Conversation):
        return value
    try:
        conversation = Conversation.from_list(value)
    except UsageError as error:
        raise ValueError(error.what) from error
    if conversation.to_data() != value:
        raise ValueError("it has another form than a run writes")
    return conversation


Fingerprint = Annotated[str, Field(pattern="^[0-9a-f]{8}$")]
Range = tuple[Count, Count]
ConversationData = Annotated[
    Conversation,
    PlainValidator(_read_conversation),
    PlainSerializer(lambda conversation: conversation.to_data()),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "object", "required": ["role", "content"]}},
                {
                    "type": "object",
                    "properties": {
                        "messages": {"type": "array", "items": {"type": "object"}},
                        "tools": {"type": "array", "items": {"type": "object"}},
                    },
                    "required": ["messages", "tools"],
                },
            ]
        }
    ),
]
"""Messages as OpenAI's interface has them, or an object with messages and tools."""


# Items


class AcceptedFacts(RecordModel):
    """An entry of the configuration that accepts a mismatch; `text` says it in a sentence."""

    reason: Text
    owner: Text | None
    expires: Text | None
    text: Text


class EntryFacts(AcceptedFacts):
    """An entry, named by the fingerprint that it accepts."""

    fingerprint: Text


def _item_id(check: str, renderer: str | None, purpose: str | None) -> str:
    return f"{check}[{renderer}-{purpose}]" if renderer else check


class ItemLine(RecordModel):
    """A line about one check × renderer × purpose; both are None for a check of the target."""

    target: Text
    check: Text
    renderer: Text | None
    purpose: Purpose | None

    @property
    def item_id(self) -> str:
        """The item as pytest names it: `same-tokens[web_ui-generate]`."""
        return _item_id(self.check, self.renderer, self.purpose)


class FindingLine(ItemLine):
    """One mismatch, shrunk, with everything that a view shows of it.

    Ranges are token positions, end exclusive. `compared_with` is the renderer that the check compares with, where it
    compares two. `scaffold` is the scaffold at fault, `source` the literal of an artefact that it comes from.
    """

    kind: Literal["finding"] = "finding"
    severity: Severity
    accepted: AcceptedFacts | None
    expired: AcceptedFacts | None
    fingerprint: Fingerprint
    cause: Annotated[Text, Field(json_schema_extra={"examples": [cause.value for cause in Cause]})]
    detail: tuple[Text, ...]
    scaffold: Text
    summary: Text
    position: Text
    source: Text | None
    conversation: ConversationData | None
    conversations_until_found: Count
    compared_with: Text | None
    expected_name: Text
    actual_name: Text
    expected_ids: tuple[int, ...] | None
    actual_ids: tuple[int, ...] | None
    expected_tokens: tuple[Text, ...] | None
    actual_tokens: tuple[Text, ...] | None
    expected_range: Range | None
    actual_range: Range | None
    same_text: bool
    reproduce: Text | None

    @property
    def blocking(self) -> bool:
        """Whether it decides the exit code."""
        return self.severity == "blocking" and self.accepted is None

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies it in a record: target, item, fingerprint."""
        return self.target, self.item_id, self.fingerprint

    @property
    def first_difference(self) -> int | None:
        """Position of the first token to look at."""
        return self.actual_range[0] if self.actual_range else None


class ShownFacts(RecordModel):
    """How many of an item's examples show a cause at a place: what the reach of a defect is counted from."""

    cause: Text
    place: Text
    examples: Count


class OutcomeLine(ItemLine):
    """How one item ended.

    `looked_at` counts the prefixes that the check looked at, `examples` those of them that exercised it; `blocking`,
    `advisory` and `accepted` count its findings; `more` further mismatches with the cause and place of a finding, which
    were not shrunk; `refused` prefixes that the renderer did not express and the reference did. `rendered_nothing`: the
    renderer refused all of them.
    """

    kind: Literal["outcome"] = "outcome"
    outcome: OutcomeName
    looked_at: Count
    examples: Count
    reason: Text | None
    findings: tuple[Fingerprint, ...]
    blocking: Count
    advisory: Count
    accepted: Count
    more: Count
    refused: Count
    rendered_nothing: bool
    shown: tuple[ShownFacts, ...]
    entries: tuple[EntryFacts, ...]


class PrefixCounts(RecordModel):
    """Distinct prefixes that were rendered, by purpose."""

    train: Count
    generate: Count


class CoverageLine(RecordModel):
    """What the conversations of one target covered."""

    kind: Literal["coverage"] = "coverage"
    target: Text
    conversations: Count
    prefixes: PrefixCounts
    roles: dict[Text, Count]
    turns: dict[Text, Count]
    contents: dict[Text, Count]
    scripts: dict[Text, Count]
    features: dict[Text, Count]


# Defects


class Reach(RecordModel):
    """The share of examined renderings of one purpose that show a defect."""

    purpose: Purpose
    shown: Count
    examined: Count


class FindingRef(RecordModel):
    """One finding of a defect."""

    check: Text
    renderer: Text | None
    purpose: Purpose | None
    fingerprint: Fingerprint

    @property
    def item_id(self) -> str:
        """The item as pytest names it."""
        return _item_id(self.check, self.renderer, self.purpose)

    def target_key(self, target: str) -> tuple[str, str, str]:
        """The key of the finding that it refers to, which is this target's."""
        return target, self.item_id, self.fingerprint


class DefectLine(RecordModel):
    """All findings of one renderer that have one cause at one place, the most telling first; its `id` is that one's
    fingerprint. `reach_text` says the reach in words."""

    kind: Literal["defect"] = "defect"
    id: Fingerprint
    target: Text
    renderer: Text | None
    cause: Text
    severity: Severity
    accepted: bool
    source: Text | None
    summary: Text
    reach: tuple[Reach, ...]
    reach_text: Text
    findings: Annotated[tuple[FindingRef, ...], Field(min_length=1)]

    @property
    def blocking(self) -> bool:
        """Whether it decides the exit code."""
        return self.severity == "blocking" and not self.accepted

    @property
    def standing(self) -> Literal["blocking", "advisory", "accepted"]:
        """How much it matters, in a word."""
        return "accepted" if self.accepted else self.severity


# Footer


class LedgerLine(AcceptedFacts):
    """What became of one accepted mismatch; `where` is its entry in the configuration. `stale` ones have to go or to
    change."""

    target: Text
    fingerprint: Text
    check: Text | None
    renderer: Text | None
    state: EntryState
    stale: bool
    where: Text


class NotTested(RecordModel):
    """What kept checks from being tested, or a renderer from rendering, once for all that it kept."""

    target: Text
    outcome: Literal["error", "not-exercised", "unsupported", "refused"]
    checks: tuple[Text, ...]
    renderers: tuple[Text, ...]
    reason: Text


class SignOff(RecordModel):
    """Whether the sign-off is granted, or why not."""

    granted: bool
    refused: tuple[Text, ...]


class Footer(RecordModel):
    """What the run comes to. `blocking`, `advisory` and `accepted` count defects, `counts` outcomes."""

    kind: Literal["footer"] = "footer"
    counts: dict[OutcomeName, Count]
    findings: Count
    blocking: Count
    advisory: Count
    accepted: Count
    stale: Count
    ledger: tuple[LedgerLine, ...]
    not_tested: tuple[NotTested, ...]
    interrupted: bool
    verdict: Text
    signoff: SignOff | None
    exit_code: Literal[0, 1, 2, 3]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class RenderingFacts(RecordModel):
    """What one renderer makes of a conversation: text, ids and labels, or an `error`. No line of a record: what
    `render --format json` prints."""

    renderer: Text
    purpose: Text
    text: Text | None = None
    ids: tuple[int, ...] | None = None
    labels: tuple[int, ...] | None = None
    tokens: tuple[Text, ...] | None = None
    error: Text | None = None


Line = Header | FindingLine | OutcomeLine | CoverageLine | DefectLine | Footer
AnyLine = Annotated[Line, Field(discriminator="kind")]
LINE: TypeAdapter[Line] = TypeAdapter(AnyLine)


class TargetLines(RecordModel):
    """What the search over one target wrote, and what became of its accepted mismatches."""

    lines: tuple[AnyLine, ...] = ()
    ledger: tuple[LedgerLine, ...] = ()
    interrupted: bool = False


def schema() -> dict[str, Any]:
    """The JSON Schema of a record's lines."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of a template-checks record, version {RECORD_VERSION}",
        "description": "The record is NDJSON: a header, then findings, outcomes and coverage as they come, then "
        "defects and a footer. A record without footer belongs to a run that was cut off.",
        **LINE.json_schema(mode="serialization"),
    }
