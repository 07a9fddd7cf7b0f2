"""What the plug-in knows in one session. Imports nothing of this package: it is there in every pytest run."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FILE_NAME = "template-checks.toml"
MARKER = "template_checks"


@dataclass(frozen=True)
class Options:
    """The plug-in's options on pytest's command line."""

    targets: tuple[str, ...]
    checks: tuple[str, ...]
    profile: str
    seed: int | None
    record: Path | None
    advisory: bool

    @classmethod
    def of(cls, config: pytest.Config) -> Options:
        """Those of this session. Where only items are collected there is no record."""
        option = config.option
        record: Path | None = option.check_record
        if record is not None:
            record = None if option.collectonly else config.invocation_params.dir / record
        return cls(
            tuple(option.check_target),
            tuple(option.check_only),
            option.check_profile,
            option.check_seed,
            record,
            option.check_advisory,
        )


@dataclass
class State:
    """What the plug-in knows in one session.

    Under xdist the controller draws the seed, its workers receive it, collect and search, and give back an account.
    `folder` is where workers leave for one another what they found. `files` are the collected configuration files,
    `runs` and `accounts` those of `session`, which this module must not import.
    """

    options: Options
    is_worker: bool
    seed: int
    folder: str | None
    began: float = field(default_factory=time.time)
    files: list[Any] = field(default_factory=list)
    runs: list[Any] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    workers: list[Any] = field(default_factory=list)
    accounts: list[Any] = field(default_factory=list)
    recorded: bool = False

    @classmethod
    def of(cls, config: pytest.Config) -> State:
        """In a worker, with what the controller sent."""
        given = getattr(config, "workerinput", {}).get(MARKER, {})
        return cls(
            Options.of(config),
            hasattr(config, "workerinput"),
            given.get("seed", random.SystemRandom().randrange(2**32)),
            given.get("folder"),
        )


STATE = pytest.StashKey[State]()
