"""The record for a pull request, in GitHub-flavoured Markdown: no name or content in it is ever markup.

Whatever a record quotes stands in code, where Markdown finds no HTML, no mention, no link and no emoji.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import get_args

from template_checks.checks.findings import OutcomeName
from template_checks.record.writer import Line
from template_checks.views.console import CUT_OFF, STALE, Parts, on_one_line, printable, printed
from template_checks.views.terminal import grouped, show_finding, sign

LIMIT = 60_000
"""Of the whole text, in UTF-16 units; GitHub takes 65,536."""

_BLOCK = 8_000
"""Of one finding: a long one must not push out the others."""

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


def markdown(lines: Iterable[Line]) -> str:
    """The whole record: verdict, matrix, findings worst first, accepted, not tested, reproduce."""
    parts = Parts.of(lines)
    sections = [_matrix(parts), _findings(parts), _accepted(parts), _not_tested(parts), _reproduce(parts)]
    head = _head(parts)
    room = LIMIT - _units(head)
    taken: dict[int, str] = {}
    for number, most in ((4, LIMIT), (0, 16_000), (2, 8_000), (3, 8_000), (1, LIMIT)):  # findings take what is left
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


def _head(parts: Parts) -> str:
    footer = parts.footer
    if footer is None:
        seen = f"{len(parts.findings)} findings and {len(parts.outcomes)} outcomes were written until then."
        return f"## ✗ template-checks: the run was cut off\n\n{CUT_OFF} {seen}\n\n"
    sign = "✗" if footer["exit_code"] else "✓"
    counts = ", ".join(f"{footer['counts'][name]} {name}" for name in get_args(OutcomeName))
    found = ", ".join(f"{footer[name]} {name}" for name in ("blocking", "advisory", "accepted"))
    text = f"## {sign} template-checks: {prose(footer['verdict'])}\n\n"
    text += f"Findings: {found}. Outcomes: {counts}. Took {footer['seconds']} s.\n\n"
    signoff = footer.get("signoff")
    if signoff:
        reasons = "".join(f"- {prose(reason)}\n" for reason in signoff["refused"][:10])
        text += "Sign-off: granted\n\n" if signoff["granted"] else f"Sign-off: refused\n\n{reasons}\n"
    return text


def _matrix(parts: Parts) -> _Section:
    tables = [_table(target, parts) for target in dict.fromkeys(line["target"] for line in parts.outcomes)]
    return _Section("", tables, "tables of targets", after=f"{_LEGEND}\n\n")


def _table(target: str, parts: Parts) -> str:
    outcomes = [line for line in parts.outcomes if line["target"] == target]
    known = parts.header["targets"].get(target, {}) if parts.header else {}
    renderers = list(dict.fromkeys([*known.get("renderers", ()), *known.get("broken", ())]))
    renderers += [
        name for name in dict.fromkeys(line["renderer"] for line in outcomes) if name not in [None, *renderers]
    ]
    titles = [code(name, cell=True) for name in renderers] or ["outcome"]
    rows = [[code(target, cell=True), *titles], ["---"] * (len(titles) + 1)]
    for check in dict.fromkeys(line["check"] for line in outcomes):
        of_check = [line for line in outcomes if line["check"] == check]
        if all(line["outcome"] == "unsupported" for line in of_check):
            continue  # said once, under what was not tested
        cells = [" ".join(sign(line).plain for line in of_check if line["renderer"] == name) for name in renderers]
        if of_check[0]["renderer"] is None:
            cells[:1] = [sign(of_check[0]).plain]
        rows.append([code(check, cell=True), *cells])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n"


def _findings(parts: Parts) -> _Section:
    groups = grouped([line for line in parts.findings if line["accepted"] is None])
    several = len(parts.targets) > 1
    return _Section("Findings", [_finding(group, name_target=several) for group in groups], "groups of findings")


def _finding(group: list[Line], *, name_target: bool) -> str:
    first = group[0]
    names = [first["target"] if name_target or not first["renderer"] else None, first["renderer"]]
    owner = " ".join(code(name) for name in names if name)
    sign = "✗" if first["severity"] == "blocking" else "· advisory,"
    counts = f"{len(group)} finding{'' if len(group) == 1 else 's'}"
    return f"#### {sign} {owner}: {prose(first['cause'])} ({counts})\n\n" + fenced(
        printed(lambda console: show_finding(group, console))
    )


def _accepted(parts: Parts) -> _Section:
    """By the ledger; where the run was cut off and there is none, by the findings. Entries that must go come first."""
    if parts.footer is None:
        texts = {line["fingerprint"]: (line, line["accepted"]["text"]) for line in parts.findings if line["accepted"]}
        blocks = [f"- {_named(line, parts)}: {prose(text)}\n" for line, text in texts.values()]
        return _Section("Accepted on purpose", blocks, "entries")
    entries = [entry for entry in parts.ledger if entry["state"] not in {"unselected", "expired"}]
    entries.sort(key=lambda entry: entry["state"] not in STALE)
    return _Section("Accepted on purpose", [_entry(entry, parts) for entry in entries], "entries")


def _entry(entry: Line, parts: Parts) -> str:
    keys = () if entry["state"] == "accepted" else ("where", "reason", "owner", "expires")
    facts = [prose(entry["text"]), *(f"{key} {prose(entry[key])}" for key in keys if entry[key] is not None)]
    return f"- {'✗ ' if entry['state'] in STALE else ''}{_named(entry, parts)}: {'; '.join(facts)}\n"


def _named(line: Line, parts: Parts) -> str:
    target = line["target"] if len(parts.targets) > 1 else None
    return " ".join(code(name) for name in (target, line["check"], line["renderer"], line["fingerprint"]) if name)


def _not_tested(parts: Parts) -> _Section:
    """What broke, what nothing reached and what is unsupported, each reason once; contents that were never drawn."""
    blocks = [f"- error: {code(name)} could not be built: {prose(reason)}\n" for name, reason in parts.failed.items()]
    for outcome in ("error", "not-exercised", "unsupported"):
        lines = [line for line in parts.outcomes if line["outcome"] == outcome]
        lines.sort(key=lambda line: (line["target"], line["reason"] or ""))
        for (target, reason), alike in groupby(lines, key=lambda line: (line["target"], line["reason"] or "no reason")):
            blocks.append(_note(outcome, target if len(parts.targets) > 1 else None, reason, list(alike)))
    for line in parts.coverage:
        never = [name for name, count in line["contents"].items() if not count]
        if never:
            where = f" for {code(line['target'])}" if len(parts.targets) > 1 else ""
            blocks.append(f"- no content{where} had: {', '.join(map(prose, never))}\n")
    return _Section("Not tested", blocks, "notes")


def _note(outcome: str, target: str | None, reason: str, lines: list[Line]) -> str:
    checks = ", ".join(code(check) for check in dict.fromkeys(line["check"] for line in lines))
    renderers = ", ".join(code(name) for name in dict.fromkeys(line["renderer"] for line in lines) if name)
    where = f" ({renderers})" if renderers else ""
    return f"- {outcome}: {f'{code(target)}: ' if target else ''}{checks}{where}: {prose(reason)}\n"


def _reproduce(parts: Parts) -> _Section:
    if parts.header is None:
        return _Section("Reproduce", [], "commands")
    header = parts.header
    config = header.get("config", {"arguments": [], "name": ""})
    words = list(config["arguments"]) if config["arguments"][:1] == ["--example"] else [config["name"]]
    for option, values in (("--target", header.get("selected_targets", ())), ("--check", header.get("checks", ()))):
        words += [word for value in values for word in (option, value)]
    words = ["template-checks", "run", *filter(None, words), "--profile", header["profile"], "--seed", header["seed"]]
    made_with = ", ".join(f"{name} {version}" for name, version in header["versions"].items())
    text = f"In the folder of the configuration, with {code(made_with, _SENTENCE)}:\n\n"
    then = "After that, `template-checks replay ID` shows a finding again.\n\n"
    return _Section("Reproduce", [text + fenced(shlex.join(map(str, words)), "sh") + then], "commands")
