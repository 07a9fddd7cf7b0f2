"""The nearest known name to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`; None where none is near."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or nothing where no known name is near."""
    near = nearest(name, known)
    return f"did you mean {near!r}?" if near is not None else ""


def suggest(name: str, known: Iterable[str], title: str) -> str:
    """A hint for an unknown name: the nearest one, or else all of them after `title`."""
    names = list(known)
    return did_you_mean(name, names) or f"{title}: {', '.join(names)}"
