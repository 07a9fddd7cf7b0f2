"""What there is: checks and renderer types, as lists and as pages."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from template_checks.checks.base import Check
from template_checks.renderers.base import Renderer
from template_checks.views.console import print_table


def _table() -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    return table


def show_checks(checks: Iterable[Check], console: Console) -> None:
    """All checks by family, with their promises."""
    family = None
    table = _table()
    for check in checks:
        if check.family != family:
            family = check.family
            table.add_row(Text(family, style="bold"), "")
        table.add_row(Text(f"  {check.name}"), Text(check.promise))
    print_table(table, console)


def show_check(check: Check, console: Console) -> None:
    """The page of one check."""
    console.print(Text(check.name, style="bold"), Text(f"(family {check.family})"))
    console.print(Text(f"\nPromise: {check.promise}"))
    for paragraph in check.page.split("\n\n") if check.page != check.promise else ():
        console.print(Text("\n" + textwrap.fill(paragraph, console.width)))
    purposes = ", ".join(check.purposes) or "once for the target"
    console.print(Text(f"\nPurposes: {purposes}"))
    if check.variants:
        console.print(Text(f"Compares with: {', '.join(check.variants)}"))


def show_renderers(summaries: Mapping[str, str], console: Console) -> None:
    """All renderer types, with what they adapt."""
    table = _table()
    for name, summary in summaries.items():
        table.add_row(Text(name, style="bold"), Text(summary))
    print_table(table, console)


def show_renderer(name: str, kind: type[Renderer], console: Console) -> None:
    """The options of one renderer type."""
    console.print(Text(name, style="bold"), Text(kind.summary))
    console.print(
        Text(f"purposes: {', '.join(sorted(kind.purposes))}; labels: {'yes' if kind.gives_labels else 'no'}\n")
    )
    table = _table()
    table.add_column()
    for row in _options(kind):
        table.add_row(*map(Text, row))
    print_table(table, console)


def _options(kind: type[Renderer]) -> Iterable[Sequence[str]]:
    for key, field in kind.Options.model_fields.items():
        if key != "type":
            value = field.get_default(call_default_factory=True)
            required = "required" if field.is_required() else "optional" if value is None else f"default {value!r}"
            yield key, required, field.description or ""
