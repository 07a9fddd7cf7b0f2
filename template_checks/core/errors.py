"""What can go wrong, each with what happened, where, and how to fix it."""

from __future__ import annotations


class TemplateChecksError(Exception):
    """Something a user can fix. Printed as one message, never as a traceback.

    The three parts are kept apart, so that every view can lay them out.

    Args:
        what: one sentence: what is wrong.
        where: file, key or artefact it concerns.
        hint: how to fix it.
    """

    exit_code = 3

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where  {self.where}")
        if self.hint:
            lines.append(f"  hint   {self.hint}")
        return "\n".join(lines)


class UsageError(TemplateChecksError):
    """Wrong usage, wrong configuration or a stale accepted entry: exit code 2."""

    exit_code = 2


class ArtefactError(TemplateChecksError):
    """An artefact (tokenizer, template, script, download) cannot be read or does not work: exit code 3."""


class Unsupported(Exception):  # noqa: N818 — an outcome, not an error
    """This renderer cannot express this conversation; the text says why. An outcome, not a failure."""


class RenderError(Exception):
    """The adapter or its artefact broke while rendering one conversation. Becomes the outcome `error`."""
