"""A line on a terminal's standard error while something takes long; nothing elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.status import Status
from rich.text import Text

from template_checks.checks.findings import Progress
from template_checks.core.display import printable
from template_checks.record.summary import several
from template_checks.views.console import make_console

_LATE = 1.0
"""Seconds after which one wants to know that something goes on."""


@contextmanager
def run_progress(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Share done of a target; from its second event on also rate and time left, which its set-up is no part of."""
    with late_status(quiet=quiet, after=0.0) as say:
        say("starting")
        first: dict[str, tuple[float, int]] = {}

        def on_progress(event: Progress) -> None:
            now = time.monotonic()
            begin, before = first.setdefault(event.target, (now, event.conversations))
            text = f"{event.target}: {event.conversations} of about {event.total} conversations"
            if now > begin and event.conversations > before:
                rate = (event.conversations - before) / (now - begin)
                left = max(event.total - event.conversations, 0) / rate
                text += f", {rate:.0f} a second, {left:.0f} s left"
            say(f"{text}, {several(event.findings, 'finding', 'findings')}")

        yield on_progress


@contextmanager
def late_status(*, quiet: bool, after: float = _LATE) -> Iterator[Callable[[str], None]]:
    """A line that appears once `after` seconds are over."""
    console = make_console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _text: None
        return
    start = time.monotonic()
    with ExitStack() as stack:
        status: Status | None = None

        def say(text: str) -> None:
            nonlocal status
            shown = Text(printable(text))
            if status is not None:
                status.update(shown)
            elif time.monotonic() - start >= after:
                status = stack.enter_context(console.status(shown))

        yield say
