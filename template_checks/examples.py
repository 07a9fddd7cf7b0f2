"""The examples that come with the package: data in `fixtures/examples` of a checkout, `_examples` once installed."""

from __future__ import annotations

import difflib
from pathlib import Path

from template_checks.config import FILE_NAME
from template_checks.errors import UsageError


def examples_folder() -> Path:
    """Where the examples lie.

    Raises:
        UsageError: the installation lacks them.
    """
    package = Path(__file__).parent
    for folder in (package / "_examples", package.parent / "fixtures" / "examples"):
        if folder.is_dir():
            return folder
    raise UsageError("This installation has no examples.", where=str(package), hint="reinstall template-checks")


def example_config(name: str) -> Path:
    """The configuration file of an example.

    Raises:
        UsageError: no such example.
    """
    folder = examples_folder()
    known = sorted(path.parent.name for path in folder.glob(f"*/{FILE_NAME}"))
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = (f"did you mean {near[0]!r}? " if near else "") + "Examples: " + ", ".join(known)
        raise UsageError(f"Unknown example {name!r}.", hint=hint)
    return folder / name / FILE_NAME
