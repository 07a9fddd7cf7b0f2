"""Time and memory limits around code that comes from strangers and runs in this process (Jinja templates)."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from template_checks.errors import RenderError

SECONDS = 5.0
MEGABYTES = 1024
MAX_TEXT = 10_000_000
"""Characters; a longer text is refused before it reaches a tokenizer."""

try:
    import resource
except ImportError:  # not a POSIX system: the time limit and the length limit remain
    resource = None  # type: ignore[assignment]


def _on_alarm(_signal: int, _frame: FrameType | None) -> None:
    raise RenderError(f"the template ran longer than {SECONDS:g} s and was stopped")


@contextmanager
def limited() -> Iterator[None]:
    """Stop the body after `SECONDS`, and let it allocate at most about `MEGABYTES` more.

    The time limit works in the main thread, where signals arrive; the memory limit on Linux.

    Raises:
        RenderError: a limit was reached.
    """
    timed = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    previous = signal.signal(signal.SIGALRM, _on_alarm) if timed else None
    if timed:
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
    old_limit = _limit_memory()
    try:
        yield
    except MemoryError as error:
        raise RenderError(f"the template needed more than {MEGABYTES} MB and was stopped") from error
    finally:
        if old_limit is not None:
            resource.setrlimit(resource.RLIMIT_DATA, old_limit)
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)


_ceiling: int | None = None


def _limit_memory() -> tuple[int, int] | None:
    """Lower the soft limit of private memory; the ceiling is set once, from what this process used then."""
    global _ceiling
    if resource is None or sys.platform != "linux":
        return None
    old = resource.getrlimit(resource.RLIMIT_DATA)
    if _ceiling is None:
        _ceiling = _data_in_use() + MEGABYTES * 1024 * 1024
    if old[0] == resource.RLIM_INFINITY or old[0] > _ceiling:
        hard = old[1]
        soft = _ceiling if hard == resource.RLIM_INFINITY else min(_ceiling, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    return old


def _data_in_use() -> int:
    """Private writable memory of this process in bytes."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
        for line in status:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0
