"""Two records side by side: which findings appeared, disappeared or stayed, and which items end otherwise."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.text import Text

from template_checks.record.writer import Line, item_id
from template_checks.views.console import Parts, harmless, on_one_line
from template_checks.views.terminal import grouped, show_finding

State = Literal["appeared", "disappeared", "unchanged", "unknown"]
"""`unknown`: only one record has it, and the run of the other was cut off, or did not get to look."""

_LOOKED = frozenset({"pass", "mismatch", "accepted"})
_ABSENT = "absent"
_LONGEST = 2_000


@dataclass(frozen=True)
class Change:
    """One finding, by target and fingerprint, in both records. Several items can show it; each has a line."""

    state: State
    old: tuple[Line, ...]
    new: tuple[Line, ...]

    @property
    def first(self) -> Line:
        """The finding as it is known last."""
        return (self.new or self.old)[0]

    @property
    def standing(self) -> tuple[str | None, str | None]:
        """What it is in the old record and in the new one: blocking, advisory or accepted."""
        return _standing(self.old), _standing(self.new)

    @property
    def blocks_now(self) -> bool:
        """Does it block in the new record, and is known not to have blocked in the old one?"""
        old, new = self.standing
        return new == "blocking" and old != "blocking" and self.state != "unknown"


@dataclass(frozen=True)
class Ending:
    """An item that ends otherwise; `absent` where a record does not have it."""

    target: str
    item: str
    old: str
    new: str


@dataclass(frozen=True)
class Comparison:
    """What two records differ in. `circumstances` are differences of what the runs were made of.

    `complete` is false where one of the runs did not get to its end: then nothing says that no finding appeared.
    """

    changes: tuple[Change, ...]
    endings: tuple[Ending, ...]
    circumstances: tuple[str, ...]
    cut_off: tuple[str, ...]

    def of(self, state: State) -> list[Change]:
        """The changes of one kind."""
        return [change for change in self.changes if change.state == state]

    @property
    def complete(self) -> bool:
        """Did both runs get to their ends?"""
        return not self.cut_off

    @property
    def exit_code(self) -> int:
        """1 if a blocking finding appeared, or one that was there became blocking; else 0."""
        return 1 if any(change.blocks_now for change in self.changes) else 0


def compare(old: Iterable[Line], new: Iterable[Line]) -> Comparison:
    """Compare two records. What a run that was cut off has not seen is unknown, and did not disappear."""
    before, after = Parts.of(old), Parts.of(new)
    was, now = _by_key(before), _by_key(after)
    looked = {_item(line) for line in after.outcomes if line["outcome"] in _LOOKED} if _ended(after) else set()
    changes = []
    for key in dict.fromkeys([*now, *was]):
        there, here = tuple(was.get(key, ())), tuple(now.get(key, ()))
        if there and here:
            state: State = "unchanged"
        elif here:
            state = "appeared" if _ended(before) else "unknown"
        else:  # gone only if the new run looked again
            state = "disappeared" if looked.issuperset(map(_item, there)) else "unknown"
        changes.append(Change(state, there, here))
    return Comparison(
        tuple(changes),
        tuple(_endings(before, after)),
        tuple(_circumstances(before.header, after.header)),
        tuple(name for name, parts in (("old", before), ("new", after)) if not _ended(parts)),
    )


def _by_key(parts: Parts) -> dict[tuple[str, str], list[Line]]:
    found: dict[tuple[str, str], list[Line]] = {}
    for line in parts.findings:
        found.setdefault((line["target"], line["fingerprint"]), []).append(line)
    return found


def _ended(parts: Parts) -> bool:
    return parts.footer is not None and not parts.footer["interrupted"]


def _item(line: Line) -> tuple[str, str]:
    return line["target"], item_id(line)


def _standing(lines: tuple[Line, ...]) -> str | None:
    """The worst that one of the items makes of it."""
    if not lines:
        return None
    kinds = {"accepted" if line["accepted"] is not None else line["severity"] for line in lines}
    return next(kind for kind in ("blocking", "advisory", "accepted") if kind in kinds)


def _endings(before: Parts, after: Parts) -> Iterable[Ending]:
    """Only of items that one of the records has an outcome of; what a run that was cut off lacks is no news."""
    was, now = ({_item(line): line["outcome"] for line in parts.outcomes} for parts in (before, after))
    for key in dict.fromkeys([*was, *now]):
        known = (key in was or _ended(before)) and (key in now or _ended(after))
        if known and was.get(key) != now.get(key):
            yield Ending(*key, was.get(key, _ABSENT), now.get(key, _ABSENT))


def _circumstances(old: Line | None, new: Line | None) -> Iterable[str]:
    """What the runs were made of and is not the same: a finding may have changed because of it."""
    was, now = _facts(old), _facts(new)
    for name in dict.fromkeys([*was, *now]):
        a, b = was.get(name), now.get(name)
        if a == b:
            continue
        if name.startswith("artefact "):
            yield f"{name} {'is new' if a is None else 'is gone' if b is None else 'changed'}"
        else:
            yield f"{name} {_ABSENT if a is None else a} → {_ABSENT if b is None else b}"


def _facts(header: Line | None) -> dict[str, str]:
    if header is None:
        return {}
    facts = {name: str(version) for name, version in header["versions"].items()}
    facts |= {"profile": header["profile"], "seed": str(header["seed"])}
    for target, known in header["targets"].items():
        owners = [known, *known["renderers"].values()]
        for artefact in (artefact for owner in owners for artefact in owner["artefacts"]):
            facts[f"artefact {target}: {artefact['name']}"] = artefact["sha256"]
    return facts


def show_comparison(comparison: Comparison, console: Console) -> int:
    """Print what changed, worst first, what appeared in full; returns the exit code."""
    for name in comparison.cut_off:
        console.print(Text(f"The {name} run was cut off or interrupted: what it did not see is unknown.", "bold red"))
    for circumstance in comparison.circumstances:
        _print_wrapped("changed  ", circumstance, console)
    if comparison.cut_off or comparison.circumstances:
        console.print()
    several = len({change.first["target"] for change in comparison.changes}) > 1
    groups = grouped([harmless(line) for change in comparison.of("appeared") for line in change.new])
    if groups:
        console.print(Text("Appeared\n", "bold red"))
    for group in groups:
        show_finding(group, console, name_target=several)
    altered = [change for change in comparison.of("unchanged") if change.standing[0] != change.standing[1]]
    _show_changes("Stayed, and is judged otherwise", altered, console)
    _show_changes(
        "Unknown: only one of the runs saw it, and the other did not get to look", comparison.of("unknown"), console
    )
    _show_changes("Disappeared", comparison.of("disappeared"), console)
    _show_endings(comparison.endings, console)
    _show_totals(comparison, console)
    return comparison.exit_code


def _show_changes(title: str, changes: list[Change], console: Console) -> None:
    if not changes:
        return
    console.print(Text(title, "bold"))
    for change in changes:
        first, (old, new) = change.first, change.standing
        standing = f"{old} → {new}" if old and new else f"{old or new}, in the {'old' if old else 'new'} record"
        items = ", ".join(dict.fromkeys(map(item_id, change.new or change.old)))
        sign, style = ("✗", "bold red") if change.blocks_now else (" ", "")
        text = f"{first['fingerprint']}  {first['target']}: {items}: {first['cause']} ({standing})"
        _print_wrapped(f"{sign} ", text, console, style)
    console.print()


def _show_endings(endings: Iterable[Ending], console: Console) -> None:
    """Items that end otherwise, those with the same change together."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for ending in endings:
        alike.setdefault((ending.target, ending.old, ending.new), []).append(ending.item)
    if alike:
        console.print(Text("Outcomes", "bold"))
    for (target, old, new), items in alike.items():
        _print_wrapped("  ", f"{old} → {new}  {target}: {', '.join(items)}", console)
    if alike:
        console.print()


def _print_wrapped(start: str, text: str, console: Console, style: str = "") -> None:
    """As wide as the console; further lines are indented as the first one's text."""
    room = max(30, console.width - len(start))
    lines = textwrap.wrap(on_one_line(text, _LONGEST), room, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        console.print(Text(f"{' ' * len(start) if number else start}{line}", style))


def _show_totals(comparison: Comparison, console: Console) -> None:
    counts = {state: len(comparison.of(state)) for state in ("appeared", "disappeared", "unchanged", "unknown")}
    console.print(Text(", ".join(f"{count} {state}" for state, count in counts.items())))
    blocking = sum(change.blocks_now for change in comparison.changes)
    if blocking:
        finding = "finding blocks that did not" if blocking == 1 else "findings block that did not"
        console.print(Text(f"Verdict: {blocking} {finding} before", "bold red"))
    elif comparison.complete:
        console.print(Text("Verdict: no blocking finding appeared", "bold green"))
    else:
        console.print(Text("Verdict: no blocking finding is known to have appeared", "bold red"))
