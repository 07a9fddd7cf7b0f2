"""The record on a terminal: findings worst first, then what held and what was not tested."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from template_checks.core.causes import Cause
from template_checks.core.display import shortened, visible
from template_checks.record.writer import Line
from template_checks.views.token_diff import strip_lines

_ORDER = ("same-tokens", "same-text", "stop-served", "stop-after-answer")
"""Which check of a group is shown in full: the one whose strip says most."""

_ONCE = {cause.value for cause in (Cause.INJECTED_SYSTEM, Cause.DUPLICATED_BOS, Cause.MISSING_BOS, Cause.SEAM)}
"""Causes that a renderer has once, whichever check sees them: their findings are one group."""

_SIGNS = {
    "pass": ("✓", "green"),
    "mismatch": ("✗", "red"),
    "accepted": ("a", "yellow"),
    "error": ("!", "red"),
    "unsupported": ("u", "dim"),
    "not-exercised": ("?", "yellow"),
}


_LEDGER_SIGNS = {"accepted": ("a", "yellow"), "unexamined": ("?", "yellow")}
_LEDGER_ORDER = ("accepted", "unexamined", "contradicting", "unmatched", "fixed")
"""Of its states; what is neither accepted nor unexamined has to go or to change."""


def make_console(*, stderr: bool = False) -> Console:
    """A console: as wide as the terminal, 80 columns where there is none."""
    console = Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, soft_wrap=True, width=80, emoji=False)
    return console


def print_table(table: Table, console: Console) -> None:
    """Print a table; without the spaces that pad its last column where nobody sees colours."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as capture:
        console.print(table)
    console.file.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def text_of(group: list[Line]) -> str:
    """A group of findings as plain text of 80 columns."""
    from template_checks.views.console import printed  # which imports from here

    return printed(lambda console: show_finding(group, console))


def show(lines: Iterable[Line], console: Console) -> None:
    """Print a whole record. A record without footer is said to be cut off."""
    record = list(lines)
    header = next((line for line in record if line["kind"] == "header"), None)
    footer = next((line for line in record if line["kind"] == "footer"), None)
    if header:
        _show_header(header, console)
    several = len(header["targets"]) > 1 if header else False
    findings = [line for line in record if line["kind"] == "finding"]
    for group in grouped([line for line in findings if line["accepted"] is None]):
        show_finding(group, console, name_target=several)
    outcomes = [line for line in record if line["kind"] == "outcome"]
    for target in dict.fromkeys(line["target"] for line in outcomes):
        known = header["targets"].get(target, {}) if header else {}
        renderers = [*known.get("renderers", ()), *known.get("broken", ())]
        _show_matrix(target, renderers, [line for line in outcomes if line["target"] == target], console)
    if footer:
        _show_ledger(footer["ledger"], console, name_target=several)
    _show_footer(header, footer, console)


def _show_header(header: Line, console: Console) -> None:
    versions = header["versions"]
    console.print(
        f"[bold]template-checks {versions['template-checks']}[/]  transformers {versions['transformers']}, "
        f"tokenizers {versions['tokenizers']}, hypothesis {versions['hypothesis']}"
    )
    console.print(f"profile {header['profile']} ({header['draws']} drawn conversations), seed {header['seed']}")
    for name, target in header["targets"].items():
        console.print(
            f"\n[bold]{escape(name)}[/]  tokenizer {escape(target['tokenizer'])}, "
            f"reference {escape(target['reference'])}"
        )
        if target["repairs"]:
            console.print(f"  repaired  {escape(target['repairs'][0])}")
            if len(target["repairs"]) > 1:
                console.print(f"            … and {len(target['repairs']) - 1} more, in the record")
        for note in target["notes"]:
            console.print(f"  note      {escape(note)}")
        for renderer, facts in target["renderers"].items():
            for note in facts["notes"]:
                console.print(f"  note      {escape(renderer)}: {escape(note)}")
        for renderer, reason in target["broken"].items():
            console.print(f"  [red]error[/]     {escape(renderer)}: {escape(reason)}")
    for name, reason in header["failed"].items():
        console.print(f"\n[bold]{escape(name)}[/]\n  [red]error[/]  {escape(reason)}")
    console.print()


def grouped(findings: list[Line]) -> list[list[Line]]:
    """Findings of one renderer with one cause and place, the most telling first; worst groups first.

    What is accepted never stands in one group with what is not.
    """
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for finding in findings:
        scaffold = None if finding["cause"] in _ONCE else finding["scaffold"]
        key = (finding["target"], finding["renderer"], finding["cause"], scaffold, finding["accepted"] is None)
        groups.setdefault(key, []).append(finding)
    for group in groups.values():
        group.sort(key=_telling)
    return sorted(groups.values(), key=_order)


def _order(group: list[Line]) -> tuple[Any, ...]:
    """Worst first, then by target and renderer, then by where the rendering parts."""
    first = group[0]
    return _worst(group), first["target"], first["renderer"] or "", first["first_difference"] or 0


def _telling(finding: Line) -> tuple[int, int, int, str]:
    rank = _ORDER.index(finding["check"]) if finding["check"] in _ORDER else len(_ORDER)
    severity = 0 if finding["severity"] == "blocking" else 1
    return severity, rank, len(_messages(finding["conversation"] or ())), finding["purpose"] or ""


def _worst(group: list[Line]) -> int:
    if any(finding["severity"] == "blocking" and finding["accepted"] is None for finding in group):
        return 0
    return 1 if any(finding["accepted"] is None for finding in group) else 2


def show_finding(group: list[Line], console: Console, *, name_target: bool = False, shrunk: bool = True) -> None:
    """One group: the first finding in full, the others as a line."""
    finding = group[0]
    sign, colour = ("✗", "red") if finding["severity"] == "blocking" else ("·", "yellow")
    state = "" if finding["severity"] == "blocking" else "  advisory"
    if finding["accepted"] is not None:
        sign, colour, state = "a", "yellow", "  accepted"
    subject = finding["renderer"] or finding["target"]
    if finding["expected_name"] and finding["check"] in {"same-text", "same-tokens"}:
        subject += f" differs from {finding['expected_name']}"
    title = Text(f"{sign} {finding['check']}", style=f"bold {colour}")
    title.append(
        f"   {finding['target'] + ': ' if name_target and finding['renderer'] else ''}{subject}{state}", style="default"
    )
    if finding["purpose"]:
        title.append(f"    {finding['purpose']}{_shrunk(finding) if shrunk else ''}", style="dim")
    console.print(title)
    console.print()
    if finding["conversation"] is not None:
        show_conversation(finding["conversation"], console)
        console.print()
    if finding["first_difference"] is not None:
        name = "First difference" if finding["expected_ids"] else "BugResult at"
        console.print(Text(f"  {name}: token {finding['first_difference']} · {finding['place']}"))
        if finding["same_text"]:
            console.print(Text("  Same text, different tokens."))
        console.print()
        for line in strip_lines(finding, console.width):
            console.print(Text(line), no_wrap=True, crop=False)
        console.print()
    _show_facts(group, console)
    console.print()


def _shrunk(finding: Line) -> str:
    if finding["conversation"] is None:
        return ""
    count = len(_messages(finding["conversation"]))
    return f" · shrunk to {count} message{'' if count == 1 else 's'}"


def _messages(conversation: Any) -> list[Line]:
    """Of a conversation as a record holds it: its messages, or an object with `messages` and `tools`."""
    messages: list[Line] = conversation["messages"] if isinstance(conversation, dict) else conversation
    return messages


def show_conversation(conversation: Any, console: Console, *, indent: int = 2) -> None:
    """A conversation as a record holds it, a message a line, white space visible."""
    messages = _messages(conversation)
    width = max(len(message["role"]) for message in messages)
    for message in messages:
        parts = message["content"] if isinstance(message["content"], list) else None
        text = "".join(part["text"] for part in parts) if parts is not None else message["content"]
        content = shortened(visible(text), max(20, console.width - width - indent - 6))
        line = Text(f'{" " * indent}{message["role"]:<{width}}  "{content}"')
        if parts is not None:
            line.append(f"  in {len(parts)} part{'' if len(parts) == 1 else 's'}")
        for key, value in message.items():
            if key not in {"role", "content"}:
                line.append(f"  {key}={value!r}")
        console.print(line)
    if isinstance(conversation, dict):
        names = [tool.get("function", tool).get("name", "?") for tool in conversation.get("tools", ())]
        console.print(Text(f"{' ' * indent}tools: {', '.join(map(str, names))}"))


def _show_facts(group: list[Line], console: Console) -> None:
    finding = group[0]
    facts = [("Likely cause", f"{finding['cause']}: {finding['summary']}")]
    if finding["location"]:
        facts.append(("Comes from", finding["location"]))
    if finding["accepted"] is not None:
        facts.append(("Ledger", finding["accepted"]["text"]))
    if finding["expired"] is not None:
        facts.append(("Ledger", finding["expired"]["text"]))
    others = [f"{other['check']}[{other['renderer']}-{other['purpose']}]" for other in group[1:]]
    if others:
        facts.append(("Also fails", ", ".join(dict.fromkeys(others))))
    if finding["reproduce"]:
        facts.append(("Reproduce", finding["reproduce"]))
    else:
        facts.append(("Fingerprint", finding["fingerprint"]))
    for name, value in facts:
        indent = 17
        lines = textwrap.wrap(value, max(30, console.width - indent), break_on_hyphens=False) or [""]
        console.print(Text(f"  {name:<{indent - 2}}{lines[0]}"))
        for line in lines[1:]:
            console.print(Text(" " * indent + line))


def _show_matrix(target: str, renderers: list[str], outcomes: list[Line], console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(Text(target, style="bold"))
    for renderer in renderers:
        table.add_column(Text(renderer, style="bold"))
    for check in dict.fromkeys(line["check"] for line in outcomes):
        rows = [line for line in outcomes if line["check"] == check]
        if all(line["outcome"] == "unsupported" for line in rows):
            continue  # the notes below say it in one line
        if rows[0]["renderer"] is None:
            table.add_row(Text(check), sign(rows[0]))
        else:
            cells = [
                Text(" ").join(sign(line) for line in rows if line["renderer"] == renderer) for renderer in renderers
            ]
            table.add_row(Text(check), *cells)
    print_table(table, console)
    console.print()
    for outcome in ("error", "not-exercised", "unsupported"):
        notes: dict[str, list[Line]] = {}
        for line in outcomes:
            if line["outcome"] == outcome:
                notes.setdefault(line["reason"], []).append(line)
        for reason, lines in notes.items():
            _show_note(outcome, reason, lines, console)
    refused: dict[str, list[Line]] = {}
    for line in outcomes:
        if line["outcome"] == "pass" and line["refused"]:
            refused.setdefault(line["reason"], []).append(line)
    for reason, lines in refused.items():
        _show_note("refused", reason, lines, console)
    if any(line["reason"] for line in outcomes if line["outcome"] != "accepted"):
        console.print()


def _show_note(outcome: str, reason: str, lines: list[Line], console: Console) -> None:
    """What kept checks from passing, once for all that it kept."""
    renderers = dict.fromkeys(line["renderer"] for line in lines if line["renderer"])
    where = f" ({', '.join(renderers)})" if renderers else ""
    checks = ", ".join(dict.fromkeys(line["check"] for line in lines))
    indent = 15
    wrapped = textwrap.wrap(
        f"{checks}{where}: {reason}", max(30, console.width - indent), break_on_hyphens=False, break_long_words=False
    )
    for number, text in enumerate(wrapped):
        console.print(Text(f"{outcome if number == 0 else '':<{indent}}{text}"))


def sign(line: Line) -> Text:
    """How an item ended: a sign, and how many findings of each kind it has."""
    text = Text(f"{line['purpose']} " if line["purpose"] else "")
    if line["outcome"] != "mismatch":
        return text.append(*_SIGNS[line["outcome"]])
    advisory = len(line["findings"]) - line["blocking"] - line["accepted"]
    counts = [("✗", "red", line["blocking"]), ("·", "yellow", advisory), ("a", "yellow", line["accepted"])]
    for sign, colour, count in counts:
        if count:
            text.append(f"{sign}{count}", colour)
    return text.append(f"+{line['more']}" if line["more"] else "", "dim")


def _show_ledger(ledger: list[Line], console: Console, *, name_target: bool) -> None:
    """The entries of the ledger, those that have to go or to change last and loud; not what this run left out."""
    shown = [entry for entry in ledger if entry["state"] not in {"unselected", "expired"}]  # expired: with its finding
    if shown:
        console.print(Text("Ledger: mismatches accepted on purpose", style="bold"))
    for entry in sorted(shown, key=lambda entry: _LEDGER_ORDER.index(entry["state"])):
        sign, style = _LEDGER_SIGNS.get(entry["state"], ("✗", "bold red"))
        names = [entry["target"] if name_target else None, entry["check"], entry["renderer"], entry["fingerprint"]]
        console.print(Text(f"{sign} {'   '.join(filter(None, names))}", style=style))
        for line in ledger_text(entry, console.width - 2):
            console.print(Text(f"  {line}", style="bold red" if style == "bold red" else ""))
    if shown:
        console.print()


def ledger_text(entry: Line, width: int = 78) -> list[str]:
    """What became of an entry of the ledger; if it has to go or to change, also where it stands and its reason."""
    facts = [entry["text"]]
    if entry["state"] != "accepted":
        facts += [f"{key:<8}{entry[key]}" for key in ("where", "reason", "owner", "expires") if entry[key] is not None]
    return [line for fact in facts for line in textwrap.wrap(fact, max(30, width), break_on_hyphens=False)]


def _show_footer(header: Line | None, footer: Line | None, console: Console) -> None:
    if footer is None:
        console.print(Text("This record has no footer: the run was cut off.", style="bold red"))
        return
    counts = footer["counts"]
    words = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    console.print(
        Text("✓ pass  ✗ blocking  · advisory  a accepted  ! error  u unsupported  ? not exercised", style="dim")
    )
    console.print(Text(f"{words}   in {footer['seconds']} s"))
    style = "bold red" if footer["exit_code"] else "bold green"
    console.print(Text(f"Verdict: {footer['verdict']}", style=style))
