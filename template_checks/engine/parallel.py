"""Shares the drawn conversations of a thorough profile among processes.

The draws are cut into parts, each of which starts from what the search knew before the first one, whoever examines it;
parts are merged in their order. So the result depends on the seed alone, and not on the number of processes.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from template_checks.checks.base import Mismatch
from template_checks.core.errors import TemplateChecksError
from template_checks.engine.coverage import Counts
from template_checks.engine.tally import Tally

PARTS_FROM = 1000
"""Draws from which on they are cut into parts. Below that, starting a process costs more than it saves."""
_PART = 250
"""Draws of one part: about a second of work, of which a dozen make up the profile `signoff`."""


_LENGTH = struct.Struct("!Q")
"""In front of each part in a pipe: how many bytes it has."""


@dataclass
class Part:
    """What some of the drawn conversations showed: (item, mismatch, fingerprint, conversations until then)."""

    examined: int
    tallies: dict[str, Tally]
    findings: list[tuple[str, Mismatch, str, int]]
    coverage: Counts


def run_parts(
    draws: int, jobs: int, examine: Callable[[range], Part], after_fork: Callable[[], None]
) -> Iterator[Part]:
    """The parts in their order, `jobs` of them at a time in processes of their own where there are several.

    Args:
        draws: how many conversations are drawn.
        jobs: how many processes; 1 uses this one.
        examine: examines the conversations of these numbers.
        after_fork: called first in each new process.

    Raises:
        TemplateChecksError: a process ended without a result.
    """
    ranges = [range(begin, min(begin + _PART, draws)) for begin in range(0, draws, _PART)]
    if jobs <= 1 or not hasattr(os, "fork"):
        yield from map(examine, ranges)
        return
    workers: list[tuple[int, BinaryIO]] = []
    try:
        for number in range(min(jobs, len(ranges))):
            workers.append(_start(ranges[number::jobs], examine, after_fork))
        for number in range(len(ranges)):
            yield _read_part(workers[number % jobs][1])
    finally:
        _end(workers)


def _end(workers: list[tuple[int, BinaryIO]]) -> None:
    """End all processes; another Ctrl-C meanwhile must not leave one behind."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if is_main else None
    for child, _ in workers:
        with suppress(OSError):
            os.kill(child, signal.SIGKILL)
    for child, pipe in workers:
        pipe.close()
        with suppress(OSError):
            os.waitpid(child, 0)
    if is_main:
        signal.signal(signal.SIGINT, before)


def _start(
    ranges: list[range], examine: Callable[[range], Part], after_fork: Callable[[], None]
) -> tuple[int, BinaryIO]:
    """Start a process that examines these parts one after the other; its number, and the pipe that they come from."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: those of the tokenizer do nothing now
        child = os.fork()
    if child:
        os.close(writing)
        return child, os.fdopen(reading, "rb")
    try:
        os.close(reading)
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        after_fork()
        with os.fdopen(writing, "wb") as pipe:
            for numbers in ranges:
                data = _examined(numbers, examine)
                pipe.write(_LENGTH.pack(len(data)) + data)
                pipe.flush()
    finally:
        os._exit(0)  # no finalizer of the parent's objects runs here


def _examined(numbers: range, examine: Callable[[range], Part]) -> bytes:
    """A part, or in words why there is none."""
    try:
        return pickle.dumps(examine(numbers))
    except TemplateChecksError as error:
        return pickle.dumps(str(error))
    except Exception as error:
        return pickle.dumps(f"{type(error).__name__}: {error}")


def _read_part(pipe: BinaryIO) -> Part:
    head = pipe.read(_LENGTH.size)
    data = pipe.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""
    part = pickle.loads(data) if head and data else "it was killed"
    if not isinstance(part, Part):
        raise TemplateChecksError(f"A process of the search failed: {part}", hint="--jobs 1 uses one process")
    return part
