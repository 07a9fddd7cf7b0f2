"""Data that come with the package: in `fixtures` of a checkout, in `_fixtures` once installed."""

from __future__ import annotations

from pathlib import Path

from template_checks.config.schema import FILE_NAME
from template_checks.core.errors import UsageError
from template_checks.core.suggest import suggest


def shipped_folder(name: str) -> Path:
    """Where the examples, or the known_bugs of the museum, lie.

    Raises:
        UsageError: the installation lacks them.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "_fixtures" / name, package.parent / "fixtures" / name):
        if folder.is_dir():
            return folder
    raise UsageError(f"This installation has no {name}.", where=str(package), hint="reinstall template-checks")


def example_config(name: str) -> Path:
    """The configuration file of an example.

    Raises:
        UsageError: no such example.
    """
    folder = shipped_folder("examples")
    known = sorted(path.parent.name for path in folder.glob(f"*/{FILE_NAME}"))
    if name not in known:
        raise UsageError(f"Unknown example {name!r}.", hint=suggest(name, known, "examples"))
    return folder / name / FILE_NAME
