"""Entry points: which are ours, which package the others come from, and what is wrong with one."""

from __future__ import annotations

from importlib.metadata import EntryPoint

from template_checks.core.errors import TemplateChecksError

OURS = "template_checks"

LOADING_ERRORS = (Exception, SystemExit)
"""What somebody else's module may raise while it is imported. Ctrl-C is not among it."""


def is_ours(module: str) -> bool:
    """Whether a module, or the value of an entry point, is of this package."""
    return module.partition(":")[0].split(".")[0].strip() == OURS


def package_of(entry: EntryPoint) -> str:
    """The distribution that an entry point comes from, with its version: what to reinstall, correct or remove."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unknown package"


def reason(error: BaseException) -> str:
    """An exception in one line; of our own errors only what they say."""
    said = error.what if isinstance(error, TemplateChecksError) else f"{type(error).__name__}: {error}"
    return " ".join(said.split()).removesuffix(":")
