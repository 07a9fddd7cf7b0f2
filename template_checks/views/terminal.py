"""The record on a terminal: defects worst first, then what held and what was not tested."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from template_checks.core.conversation import Conversation
from template_checks.core.display import shortened, visible
from template_checks.record.header import Header, TargetFacts
from template_checks.record.models import DefectLine, FindingLine, Footer, LedgerLine, NotTested, OutcomeLine
from template_checks.record.reader import Record
from template_checks.views.console import CUT_OFF, print_table, printed
from template_checks.views.token_diff import strip_lines

SIGNS = {
    "pass": ("✓", "green"),
    "mismatch": ("✗", "red"),
    "accepted": ("a", "yellow"),
    "error": ("!", "red"),
    "unsupported": ("u", "dim"),
    "not-exercised": ("?", "yellow"),
}
"""Sign and colour of each outcome."""

_STANDINGS = {
    "blocking": ("✗", "red", ""),
    "advisory": ("·", "yellow", "  advisory"),
    "accepted": ("a", "yellow", "  accepted"),
}
_LEDGER_SIGNS = {"accepted": ("a", "yellow"), "unexamined": ("?", "yellow")}
_LEDGER_ORDER = ("accepted", "unexamined", "contradicting", "unmatched", "fixed")
LEGEND = "✓ pass  ✗ blocking  · advisory  a accepted  ! error  u unsupported  ? not exercised"


def show(record: Record, console: Console) -> None:
    """Print a whole record. A record without footer is said to be cut off."""
    if record.header is not None:
        _show_header(record.header, console)
    several = record.header is not None and len(record.header.targets) > 1
    for defect in record.defects:
        if not defect.accepted:
            show_defect(defect, record.findings_of(defect), console, name_target=several)
    for target in dict.fromkeys(line.target for line in record.outcomes):
        _show_matrix(target, record, console)
        _show_not_tested([note for note in record.not_tested if note.target == target], console)
    _show_ledger(record.ledger, console, name_target=several)
    _show_footer(record.footer, console)


def text_of(defect: DefectLine, findings: Sequence[FindingLine]) -> str:
    """A defect as plain text of 80 columns."""
    return printed(lambda console: show_defect(defect, findings, console))


def _show_header(header: Header, console: Console) -> None:
    versions = header.versions
    line = Text(f"template-checks {versions['template-checks']}", style="bold")
    line.append(
        f"  transformers {versions['transformers']}, tokenizers {versions['tokenizers']}, "
        f"hypothesis {versions['hypothesis']}",
        style="not bold",
    )
    console.print(line)
    console.print(Text(f"profile {header.profile} ({header.draws} drawn conversations), seed {header.seed}"))
    for note in header.notes:
        console.print(Text(f"note: {note}"))
    for name, target in header.targets.items():
        _show_target(name, target, console)
    for name, reason in header.failed.items():
        console.print(Text(f"\n{name}", style="bold"))
        console.print(Text("  error", style="red").append(f"  {reason}", style="default"))
    console.print()


def _show_target(name: str, target: TargetFacts, console: Console) -> None:
    title = Text(f"\n{name}", style="bold")
    console.print(title.append(f"  tokenizer {target.tokenizer}, reference {target.reference}", style="not bold"))
    if target.repairs:
        console.print(Text(f"  repaired  {target.repairs[0]}"))
        if len(target.repairs) > 1:
            console.print(Text(f"            … and {len(target.repairs) - 1} more, in the record"))
    notes = [*target.notes, *(f"{key}: {note}" for key, facts in target.renderers.items() for note in facts.notes)]
    for note in notes:
        console.print(Text(f"  note      {note}"))
    for renderer, reason in target.broken.items():
        console.print(Text("  error", style="red").append(f"     {renderer}: {reason}", style="default"))


# Findings


def show_defect(
    defect: DefectLine, findings: Sequence[FindingLine], console: Console, *, name_target: bool = False
) -> None:
    """One defect: its most telling finding in full, the others as a line."""
    finding = findings[0]
    sign, colour, state = _STANDINGS[defect.standing]
    title = Text(f"{sign} {finding.check}", style=f"bold {colour}")
    target = f"{defect.target}: " if name_target and defect.renderer else ""
    title.append(f"   {target}{subject(finding)}{state}", style="default")
    if finding.purpose:
        title.append(f"    {finding.purpose}{_shrunk(finding)}", style="dim")
    console.print(title)
    console.print()
    show_evidence(finding, console)
    _show_facts(defect, findings, console)
    console.print()


def subject(finding: FindingLine) -> str:
    """Whose finding it is, and what it differs from."""
    name = finding.renderer or finding.target
    return f"{name} differs from {finding.compared_with}" if finding.compared_with else name


def _shrunk(finding: FindingLine) -> str:
    if finding.conversation is None:
        return ""
    count = len(finding.conversation.messages)
    return f" · shrunk to {count} message{'' if count == 1 else 's'}"


def show_evidence(finding: FindingLine, console: Console) -> None:
    """The conversation of a finding, and its tokens around the difference."""
    if finding.conversation is not None:
        show_conversation(finding.conversation, console)
        console.print()
    if finding.first_difference is not None:
        name = "First difference" if finding.expected_ids else "Seen at"
        console.print(Text(f"  {name}: token {finding.first_difference} · {finding.position}"))
        if finding.same_text:
            console.print(Text("  Same text, different tokens."))
        console.print()
        for line in strip_lines(finding, console.width):
            console.print(Text(line), no_wrap=True, crop=False)
        console.print()


def show_conversation(conversation: Conversation, console: Console, *, indent: int = 2) -> None:
    """A conversation, a message a line, white space visible."""
    width = max(len(message.role) for message in conversation.messages)
    for message in conversation.messages:
        content = shortened(visible(message.content), max(20, console.width - width - indent - 6))
        line = Text(f'{" " * indent}{visible(message.role):<{width}}  "{content}"')
        if message.parts:
            line.append(f"  in {len(message.parts)} part{'' if len(message.parts) == 1 else 's'}")
        for key, value in message.to_dict().items():
            if key not in {"role", "content"}:
                line.append(f"  {key}={value!r}")
        console.print(line)
    if conversation.tools:
        names = [tool.get("function", tool).get("name", "?") for tool in conversation.tool_list()]
        console.print(Text(f"{' ' * indent}tools: {', '.join(map(str, names))}"))


def _show_facts(defect: DefectLine, findings: Sequence[FindingLine], console: Console) -> None:
    finding = findings[0]
    facts = [("Likely cause", f"{finding.cause}: {finding.summary}")]
    if finding.source:
        facts.append(("Comes from", finding.source))
    if defect.reach:
        facts.append(("Reach", defect.reach_text))
    facts += [("Ledger", entry.text) for entry in (finding.accepted, finding.expired) if entry is not None]
    others = dict.fromkeys(ref.item_id for ref in defect.findings if ref.item_id != finding.item_id)
    if others:
        facts.append(("Also fails", ", ".join(others)))
    if finding.reproduce:
        facts.append(("Reproduce", finding.reproduce))
    else:
        facts.append(("Fingerprint", finding.fingerprint))
    show_facts(facts, console)


def show_facts(facts: Sequence[tuple[str, str]], console: Console) -> None:
    """Names and values in two columns; values wrap within theirs."""
    indent = 17
    for name, value in facts:
        lines = textwrap.wrap(value, max(30, console.width - indent), break_on_hyphens=False) or [""]
        console.print(Text(f"  {name:<{indent - 2}}{lines[0]}"))
        for line in lines[1:]:
            console.print(Text(" " * indent + line))


# Outcomes


def _show_matrix(target: str, record: Record, console: Console) -> None:
    outcomes = [line for line in record.outcomes if line.target == target]
    known = record.header.targets.get(target) if record.header is not None else None
    renderers = known.renderer_names if known is not None else []
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(Text(target, style="bold"))
    for renderer in renderers:
        table.add_column(Text(renderer, style="bold"))
    for check in dict.fromkeys(line.check for line in outcomes):
        rows = [line for line in outcomes if line.check == check]
        if all(line.outcome == "unsupported" for line in rows):
            continue  # the notes below say it in one line
        if rows[0].renderer is None:
            table.add_row(Text(check), sign(rows[0]))
        else:
            cells = [Text(" ").join(sign(line) for line in rows if line.renderer == name) for name in renderers]
            table.add_row(Text(check), *cells)
    print_table(table, console)
    console.print()


def sign(line: OutcomeLine) -> Text:
    """How an item ended: a sign, and how many findings of each kind it has."""
    text = Text(f"{line.purpose} " if line.purpose else "")
    if line.outcome != "mismatch":
        return text.append(*SIGNS[line.outcome])
    for standing, count in (("blocking", line.blocking), ("advisory", line.advisory), ("accepted", line.accepted)):
        mark, colour, _ = _STANDINGS[standing]
        if count:
            text.append(f"{mark}{count}", colour)
    return text.append(f"+{line.more}" if line.more else "", "dim")


def _show_not_tested(notes: Sequence[NotTested], console: Console) -> None:
    """What kept checks from passing, once for all that it kept."""
    indent = 15
    for note in notes:
        where = f" ({', '.join(note.renderers)})" if note.renderers else ""
        wrapped = textwrap.wrap(
            f"{', '.join(note.checks)}{where}: {note.reason}",
            max(30, console.width - indent),
            break_on_hyphens=False,
            break_long_words=False,
        )
        for number, text in enumerate(wrapped):
            console.print(Text(f"{note.outcome if number == 0 else '':<{indent}}{text}"))
    if notes:
        console.print()


# The end


def _show_ledger(ledger: Sequence[LedgerLine], console: Console, *, name_target: bool) -> None:
    """The accepted entries, those that have to go or to change last and loud; not what this run left out."""
    shown = [entry for entry in ledger if entry.state not in {"unselected", "expired"}]  # expired: with its finding
    if shown:
        console.print(Text("Ledger: mismatches accepted on purpose", style="bold"))
    for entry in sorted(shown, key=lambda entry: _LEDGER_ORDER.index(entry.state)):
        mark, style = _LEDGER_SIGNS.get(entry.state, ("✗", "bold red"))
        names = [entry.target if name_target else None, entry.check, entry.renderer, entry.fingerprint]
        console.print(Text(f"{mark} {'   '.join(filter(None, names))}", style=style))
        for line in ledger_text(entry, console.width - 2):
            console.print(Text(f"  {line}", style="bold red" if style == "bold red" else ""))
    if shown:
        console.print()


def ledger_text(entry: LedgerLine, width: int = 78) -> list[str]:
    """What became of an accepted entry; if it has to go or to change, also where it is and its reason."""
    facts = [entry.text, *(f"{key:<8}{value}" for key, value in ledger_facts(entry))]
    return [line for fact in facts for line in textwrap.wrap(fact, max(30, width), break_on_hyphens=False)]


def ledger_facts(entry: LedgerLine) -> list[tuple[str, str]]:
    """Where an entry that is not simply accepted can be found, and what it says."""
    if entry.state == "accepted":
        return []
    named = (("where", entry.where), ("reason", entry.reason), ("owner", entry.owner), ("expires", entry.expires))
    return [(key, value) for key, value in named if value is not None]


def _show_footer(footer: Footer | None, console: Console) -> None:
    if footer is None:
        console.print(Text(CUT_OFF, style="bold red"))
        return
    words = ", ".join(f"{count} {name}" for name, count in footer.counts.items() if count)
    console.print(Text(LEGEND, style="dim"))
    console.print(Text(f"{words}   in {footer.seconds} s"))
    console.print(Text(f"Verdict: {footer.verdict}", style="bold red" if footer.exit_code else "bold green"))
