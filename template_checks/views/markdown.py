"""The record for a pull request, in GitHub-flavoured Markdown: no name or content in it is ever markup.

Whatever a record quotes stands in code, where Markdown finds no HTML, no mention, no link and no emoji.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from template_checks.core.display import on_one_line, printable
from template_checks.record.models import DefectLine, FindingLine, LedgerLine, NotTested
from template_checks.record.reader import Record
from template_checks.views.console import CUT_OFF
from template_checks.views.terminal import ledger_facts, sign, text_of

LIMIT = 60_000
"""Of the whole text, in UTF-16 units; GitHub takes 65,536."""

_BLOCK = 8_000
"""Of one defect: a long one must not push out the others."""

_NAME, _SENTENCE = 100, 400
_TICKS = 8
"""Longer runs of backticks are escaped: renderers limit the length of a fence, each in its own way."""

_WORD = r"(?:[A-Za-z]+(?:[_-][A-Za-z]+)*|\d{1,6})"
_PLAIN = re.compile(rf"(?!\d+\.){_WORD}(?:[,;:.]? {_WORD})*\.?")
"""A sentence in which nothing can be taken for markup: words and numbers, and punctuation between them."""

_LEGEND = "✓ pass, ✗ blocking, · advisory, a accepted, ! error, u unsupported, ? not exercised"


@dataclass(frozen=True)
class _Section:
    """A title, blocks of text, and what one of the blocks shows. Only whole blocks are left out, from the end."""

    title: str
    blocks: list[str]
    unit: str
    before: str = ""
    after: str = ""


def markdown(record: Record) -> str:
    """The whole record: verdict, matrix, defects worst first, accepted, not tested, reproduce."""
    head = _head(record)
    room = LIMIT - _units(head)
    sections = [_matrix(record), _defects(record), _accepted(record), _not_tested(record), _reproduce(record)]
    taken: dict[int, str] = {}
    for number, most in ((4, LIMIT), (0, 16_000), (2, 8_000), (3, 8_000), (1, LIMIT)):  # defects take what is left
        taken[number] = _fitting(sections[number], min(room, most))
        room -= _units(taken[number])
    return head + "".join(taken[number] for number in sorted(taken))


def _fitting(section: _Section, room: int) -> str:
    """The section with as many of its blocks as there is room for, and a word about the others."""
    if not section.blocks:
        return ""
    left_out = "… and {} more {}, left out here: the text would be too long. The record has all.\n\n"
    start = (f"### {section.title}\n\n" if section.title else "") + section.before
    room -= _units(start + section.after + left_out) + 20
    taken: list[str] = []
    for block in section.blocks:
        room -= _units(block)
        if room < 0:
            break
        taken.append(block)
    more = len(section.blocks) - len(taken)
    end = section.after if taken else ""
    gap = "" if not taken or taken[-1].endswith("\n\n") else "\n"
    return start + "".join(taken) + gap + end + (left_out.format(more, section.unit) if more else "")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def code(text: str, width: int = _NAME, *, cell: bool = False) -> str:
    """`text` as code within a line; in a cell of a table, also with its pipes escaped."""
    text, longest = _ticks(on_one_line(text, width))
    if cell:  # two backslashes before a pipe are read differently by different renderers
        text = re.sub(r"(?<=\\)\|", r"\\x7c", text).replace("|", r"\|")
    pad = " " if not text or text.startswith(("`", " ")) or text.endswith(("`", " ")) else ""
    fence = "`" * (longest + 1)
    return f"{fence}{pad}{text}{pad}{fence}"


def _ticks(text: str) -> tuple[str, int]:
    """`text`, and its longest run of backticks, which its fence has to be longer than."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    return (text, longest) if longest <= _TICKS else (text.replace("`", r"\x60"), 0)


def prose(text: str) -> str:
    """A sentence as it is, if nothing in it could be markup, else as code."""
    return text if len(text) <= _SENTENCE and _PLAIN.fullmatch(text) else code(text, _SENTENCE)


def fenced(text: str, language: str = "text") -> str:
    """`text` as a block of code; a long one is cut."""
    text, longest = _ticks(printable(text).strip("\n"))
    if len(text) > _BLOCK:
        text = (text[:_BLOCK].rpartition("\n")[0] or text[:_BLOCK]) + "\n… cut here: the record has all"
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}\n\n"


def _head(record: Record) -> str:
    footer = record.footer
    if footer is None:
        seen = f"{len(record.findings)} findings and {len(record.outcomes)} outcomes were written until then."
        return f"## ✗ template-checks: the run was cut off\n\n{CUT_OFF} {seen}\n\n"
    sign = "✗" if footer.exit_code else "✓"
    counts = ", ".join(f"{count} {name}" for name, count in footer.counts.items())
    found = f"{footer.blocking} blocking, {footer.advisory} advisory, {footer.accepted} accepted"
    text = f"## {sign} template-checks: {prose(footer.verdict)}\n\n"
    text += f"Defects: {found}. Outcomes: {counts}. Took {footer.seconds} s.\n\n"
    if footer.signoff is not None:
        reasons = "".join(f"- {prose(reason)}\n" for reason in footer.signoff.refused[:10])
        text += "Sign-off: granted\n\n" if footer.signoff.granted else f"Sign-off: refused\n\n{reasons}\n"
    return text


def _matrix(record: Record) -> _Section:
    tables = [_table(target, record) for target in dict.fromkeys(line.target for line in record.outcomes)]
    return _Section("", tables, "tables of targets", after=f"{_LEGEND}\n\n")


def _table(target: str, record: Record) -> str:
    outcomes = [line for line in record.outcomes if line.target == target]
    known = record.header.targets.get(target) if record.header is not None else None
    ended = [line.renderer for line in outcomes if line.renderer is not None]
    renderers = list(dict.fromkeys([*(known.renderer_names if known is not None else ()), *ended]))
    titles = [code(name, cell=True) for name in renderers] or ["outcome"]
    rows = [[code(target, cell=True), *titles], ["---"] * (len(titles) + 1)]
    for check in dict.fromkeys(line.check for line in outcomes):
        of_check = [line for line in outcomes if line.check == check]
        if all(line.outcome == "unsupported" for line in of_check):
            continue  # said once, under what was not tested
        cells = [" ".join(sign(line).plain for line in of_check if line.renderer == name) for name in renderers]
        if of_check[0].renderer is None:
            cells[:1] = [sign(of_check[0]).plain]
        rows.append([code(check, cell=True), *cells])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n"


def _defects(record: Record) -> _Section:
    several = len(record.targets) > 1
    blocks = [_defect(defect, record, name_target=several) for defect in record.defects if not defect.accepted]
    return _Section("Defects", blocks, "defects")


def _defect(defect: DefectLine, record: Record, *, name_target: bool) -> str:
    names = [defect.target if name_target or not defect.renderer else None, defect.renderer]
    owner = " ".join(code(name) for name in names if name)
    sign = "✗" if defect.blocking else "· advisory,"
    title = f"#### {sign} {owner}: {prose(defect.cause)} ({prose(defect.reach_text)})\n\n"
    return title + fenced(text_of(defect, record.findings_of(defect)))


def _accepted(record: Record) -> _Section:
    """By the ledger; where the run was cut off and there is none, by the findings. Entries that must go come first."""
    if record.footer is None:
        blocks = {
            line.fingerprint: f"- {_named(line, record)}: {prose(line.accepted.text)}\n"
            for line in record.findings
            if line.accepted is not None
        }
        return _Section("Accepted on purpose", list(blocks.values()), "entries")
    entries = [entry for entry in record.ledger if entry.state not in {"unselected", "expired"}]
    entries.sort(key=lambda entry: not entry.stale)
    return _Section("Accepted on purpose", [_entry(entry, record) for entry in entries], "entries")


def _entry(entry: LedgerLine, record: Record) -> str:
    facts = [prose(entry.text), *(f"{key} {prose(value)}" for key, value in ledger_facts(entry))]
    return f"- {'✗ ' if entry.stale else ''}{_named(entry, record)}: {'; '.join(facts)}\n"


def _named(line: LedgerLine | FindingLine, record: Record) -> str:
    target = line.target if len(record.targets) > 1 else None
    return " ".join(code(name) for name in (target, line.check, line.renderer, line.fingerprint) if name)


def _not_tested(record: Record) -> _Section:
    """What broke, what nothing reached and what is unsupported, each reason once; contents that were never drawn."""
    several = len(record.targets) > 1
    failed = record.header.failed.items() if record.header is not None else ()
    blocks = [f"- error: {code(name)} could not be built: {prose(reason)}\n" for name, reason in failed]
    blocks += [_note(note, name_target=several) for note in record.not_tested]
    for line in record.coverage:
        never = [name for name, count in line.contents.items() if not count]
        if never:
            where = f" for {code(line.target)}" if several else ""
            blocks.append(f"- no content{where} had: {', '.join(map(prose, never))}\n")
    return _Section("Not tested", blocks, "notes")


def _note(note: NotTested, *, name_target: bool) -> str:
    target = f"{code(note.target)}: " if name_target else ""
    checks = ", ".join(map(code, note.checks))
    where = f" ({', '.join(map(code, note.renderers))})" if note.renderers else ""
    return f"- {note.outcome}: {target}{checks}{where}: {prose(note.reason)}\n"


def _reproduce(record: Record) -> _Section:
    header = record.header
    if header is None:
        return _Section("Reproduce", [], "commands")
    made_with = code(", ".join(f"{name} {version}" for name, version in header.versions.items()), _SENTENCE)
    if header.command:
        text = f"In the folder of the configuration, with {made_with}:\n\n{fenced(header.command, 'sh')}"
    else:
        text = f"The targets were made in code, with {made_with}: no command repeats this run.\n\n"
    then = "After that, `template-checks replay ID` shows a finding again.\n\n"
    return _Section("Reproduce", [text + then], "commands")
