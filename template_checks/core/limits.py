"""Time and memory limits around code that comes from strangers and runs in this process (Jinja templates)."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from types import FrameType

from template_checks.core.errors import RenderError

SECONDS = 5.0
"""Processor time for one rendering: a template takes milliseconds, and a slow machine must not be refused."""

MEGABYTES = 1024
"""Memory by which the process may grow during one rendering."""

_MEASURED_EVERY = 0.2
"""Seconds after which the memory in use is measured again: reading it takes as long as many a template."""

MAX_TEXT = 10_000_000
"""Characters; a longer text is refused before it reaches a tokenizer."""

try:
    import resource
except ImportError:  # not a POSIX system: the time limit and the length limit remain
    resource = None  # type: ignore[assignment]


class TimeLimitError(RenderError):
    """The time limit was reached: one rendering more would cost as much again."""


@contextmanager
def limited() -> Iterator[None]:
    """Stop the body after `SECONDS`, and let this process grow by at most `MEGABYTES` meanwhile.

    Time is this process' own processor time: the timer of wall-clock time belongs to test runners. It works in the
    main thread, where signals arrive; the memory limit works on Linux.

    Raises:
        RenderError: a limit was reached.
    """
    timed = _catches_signals()
    memory = _memory_limits()
    if timed:
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, memory[1])
    try:
        yield
    except MemoryError as error:
        raise RenderError(f"the template needed more than {MEGABYTES} MB and was stopped") from error
    finally:
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_DATA, memory[0])
        if timed:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _catches_signals() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread() and _install()


@cache
def _install() -> bool:
    """Our handler, once; nobody else is known to use this signal."""
    signal.signal(signal.SIGVTALRM, _on_alarm)
    return True


def _on_alarm(_signal: int, _frame: FrameType | None) -> None:
    raise TimeLimitError(f"the template ran longer than {SECONDS:g} s and was stopped")


Limits = tuple[tuple[int, int], tuple[int, int]]


def _memory_limits() -> Limits | None:
    """The limits of private memory as they are and as the body gets them: so much more than the process uses now."""
    if resource is None or sys.platform != "linux":
        return None
    return _limits_at(int(time.monotonic() / _MEASURED_EVERY))


@lru_cache(maxsize=1)
def _limits_at(_moment: int) -> Limits:
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    ceiling = _data_in_use() + MEGABYTES * 1024 * 1024
    known = [limit for limit in (soft, hard, ceiling) if limit != resource.RLIM_INFINITY]
    return (soft, hard), (min(known), hard)


def _data_in_use() -> int:
    """Private writable memory of this process in bytes, its stack included."""
    return int(Path("/proc/self/statm").read_bytes().split()[5]) * resource.getpagesize()
