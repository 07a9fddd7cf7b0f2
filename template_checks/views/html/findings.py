"""Defects as the report shows them: each finding with its conversation, its tokens and what is known of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from template_checks.core.conversation import Conversation, Message
from template_checks.record.models import DefectLine, FindingLine
from template_checks.record.reader import Record
from template_checks.views.html.texts import Excerpt, excerpt
from template_checks.views.html.token_diff import Strip, StripLimits, strip_of
from template_checks.views.terminal import subject

OPEN = 10
"""Defects that are open from the start: as many as one reads before one chooses."""
_MANY = 25
"""Findings that are shown at length; those after them are cut short, so that the file stays small."""
_FIELDS, _TOOLS = 20, 40
"""Further fields of a message, and names of tools."""

FindingKey = tuple[str, str, str]
"""Target, item, fingerprint."""


@dataclass(frozen=True)
class Limits:
    """How much is shown of one finding: characters of a content, messages at either end, tokens."""

    content: int
    first: int
    last: int
    strip: StripLimits


_AT_LENGTH = Limits(600, 8, 4, StripLimits(4, 12, 6))
_SHORT = Limits(160, 3, 2, StripLimits(3, 6, 3))


@dataclass(frozen=True)
class MessageView:
    """One message: number, role, content, and every further field as JSON."""

    number: int
    role: str
    content: Excerpt
    parts: int
    fields: tuple[tuple[str, Excerpt], ...]


@dataclass(frozen=True)
class FindingView:
    """One finding. `messages` are the first and the last ones of `length`, `left_out` counts those between them."""

    number: str
    finding: FindingLine
    length: int
    messages: tuple[MessageView, ...]
    tools: tuple[str, ...]
    strip: Strip | None

    @property
    def left_out(self) -> int:
        """Number of messages that are not shown."""
        return self.length - len(self.messages)

    @property
    def standing(self) -> str:
        """How much it matters, in a word."""
        return "accepted" if self.finding.accepted is not None else self.finding.severity

    @property
    def sign(self) -> str:
        """Sign of the standing, as on a terminal."""
        return STANDING_SIGNS[self.standing]

    @property
    def subject(self) -> str:
        """Whose it is, and what it differs from."""
        return subject(self.finding)


STANDING_SIGNS = {"blocking": "✗", "advisory": "·", "accepted": "a"}


@dataclass(frozen=True)
class DefectView:
    """A defect and its findings. `open` says that it is shown from the start."""

    defect: DefectLine
    first: FindingView
    others: tuple[FindingView, ...]
    open: bool

    @property
    def number(self) -> str:
        """Its number in the report."""
        return self.first.number

    @property
    def sign(self) -> str:
        """Sign of the standing, as on a terminal."""
        return STANDING_SIGNS[self.defect.standing]


def defect_views(record: Record) -> Iterator[DefectView]:
    """All defects of a record, worst first, numbered from 1; findings after the first of one are 1.1, 1.2 and so on."""
    stops = _stop_ids(record)
    shown = 0
    for place, defect in enumerate(record.defects, start=1):
        views = []
        for nested, finding in enumerate(record.findings_of(defect)):
            number = f"{place}.{nested}" if nested else str(place)
            limits = _AT_LENGTH if shown < _MANY else _SHORT
            views.append(_finding_view(number, finding, stops.get(finding.target, ()), limits))
            shown += 1
        yield DefectView(defect, views[0], tuple(views[1:]), place <= OPEN and not defect.accepted)


def numbers_of(defects: Collection[DefectView]) -> dict[FindingKey, str]:
    """The number of each finding in the report."""
    numbers: dict[FindingKey, str] = {}
    for defect in defects:
        for view in (defect.first, *defect.others):
            finding = view.finding
            numbers.setdefault((finding.target, finding.item_id, finding.fingerprint), view.number)
    return numbers


def _stop_ids(record: Record) -> Mapping[str, Collection[int]]:
    """The ids of the stop tokens of each target."""
    targets = record.header.targets if record.header is not None else {}
    return {name: {stop.id for stop in target.stops if stop.id is not None} for name, target in targets.items()}


def _finding_view(number: str, finding: FindingLine, stops: Collection[int], limits: Limits) -> FindingView:
    conversation = finding.conversation
    return FindingView(
        number,
        finding,
        len(conversation.messages) if conversation is not None else 0,
        tuple(_message_views(conversation, limits)) if conversation is not None else (),
        tuple(_tool_names(conversation)) if conversation is not None else (),
        strip_of(finding, stops, limits.strip),
    )


def _message_views(conversation: Conversation, limits: Limits) -> Iterator[MessageView]:
    kept = list(enumerate(conversation.messages, start=1))
    if len(kept) > limits.first + limits.last + 1:
        kept = kept[: limits.first] + kept[-limits.last :]
    for number, message in kept:
        yield _message_view(number, message, limits.content)


def _message_view(number: int, message: Message, room: int) -> MessageView:
    fields = tuple((key, excerpt(value, room)) for key, value in message.extra[:_FIELDS])
    return MessageView(number, message.role, excerpt(message.content, room), len(message.parts), fields)


def _tool_names(conversation: Conversation) -> Iterator[str]:
    for tool in conversation.tool_list()[:_TOOLS]:
        yield str(tool.get("function", tool).get("name", "?"))
