"""Counterexamples kept between runs, one small JSON file each, in `.template-checks/` beside where one works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from template_checks.checks.findings import Counterexample, Finding
from template_checks.core.conversation import Conversation, Purpose
from template_checks.core.errors import TemplateChecksError, UsageError
from template_checks.core.files import replace_file
from template_checks.engine.shrink import size

FOLDER = ".template-checks"


class KeptExample(BaseModel):
    """A counterexample as its file holds it. `config` names the run's configuration on the command line."""

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    config: list[str]
    target: str
    check: str
    renderer: str | None
    purpose: Purpose | None
    conversation: Any


class ExampleDatabase:
    """Reads and writes counterexamples.

    Args:
        folder: where `.template-checks` lies or will be made.
        config: how the run's configuration is named on the command line, so that `replay` finds it again.
    """

    def __init__(self, folder: Path, config: list[str]) -> None:
        self.folder = folder / FOLDER / "counterexamples"
        self.config = config
        self.problem: str | None = None

    def save(self, finding: Finding) -> None:
        """Keep a finding; a folder that cannot be written is noted, not fatal."""
        conversation = finding.mismatch.conversation
        kept = KeptExample(
            fingerprint=finding.fingerprint,
            config=self.config,
            target=finding.target,
            check=finding.item.check.name,
            renderer=finding.item.renderer,
            purpose=finding.item.purpose,
            conversation=conversation.to_data() if conversation is not None else None,
        )
        path = self.folder / finding.target / f"{finding.fingerprint}.json"
        try:
            known = _read(path)[0].conversation if path.exists() else None
            if known is not None and conversation is not None and size(known) < size(conversation):
                return  # a smaller one is kept already
            _write(path, kept)
        except (OSError, UsageError) as error:
            self.problem = f"counterexamples are not kept: {error}"

    def load(self, target: str) -> list[Conversation]:
        """The conversations of the target's counterexamples. Files that cannot be read are left out and noted."""
        found = []
        for path in sorted((self.folder / target).glob("*.json")):
            try:
                kept = _read(path)[0]
            except TemplateChecksError as error:
                self.problem = f"{error.what} ({path})"
                continue
            if kept.conversation is not None:
                found.append(kept.conversation)
        return found

    def find(self, fingerprint: str, target: str | None = None) -> tuple[Counterexample, list[str]]:
        """One counterexample by its fingerprint (or its first digits) and the configuration it came from.

        Where several targets have it, the latest, unless `target` says which.

        Raises:
            UsageError: none, or several.
        """
        paths = sorted(self.folder.glob(f"*/{fingerprint}*.json")) if fingerprint.isalnum() else []
        paths = [path for path in paths if target is None or path.parent.name == target]
        if not paths:
            known = sorted(path.stem for path in self.folder.glob("*/*.json"))
            raise UsageError(
                f"No counterexample {fingerprint!r} is kept here.",
                where=str(self.folder),
                hint=("kept: " + ", ".join(known)) if known else "run `template-checks run` in this folder first",
            )
        if len({path.stem for path in paths}) > 1:
            raise UsageError(f"{fingerprint!r} names several: " + ", ".join(path.stem for path in paths))
        return _read(max(paths, key=lambda path: path.stat().st_mtime))


def _write(path: Path, kept: KeptExample) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ignore = path.parents[2] / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="ascii")
    replace_file(path, json.dumps(kept.model_dump(), ensure_ascii=True, indent=1).encode("ascii"))


def _read(path: Path) -> tuple[Counterexample, list[str]]:
    try:
        kept = KeptExample.model_validate(json.loads(path.read_text(encoding="utf-8")))
        conversation = None if kept.conversation is None else Conversation.from_list(kept.conversation, str(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"A kept counterexample cannot be read: {error}", where=str(path)) from error
    return (
        Counterexample(kept.fingerprint, kept.target, kept.check, kept.renderer, kept.purpose, conversation),
        kept.config,
    )
