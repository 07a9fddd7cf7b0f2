"""The first line of a record as typed models: what a run is made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from template_checks.core.conversation import Purpose
from template_checks.core.ndjson import Count, RecordModel, Text

RECORD_VERSION: Literal[2] = 2
"""Version of the record's format. Version 1 (template-checks 0.1.0) had no defects."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ArtefactFacts(RecordModel):
    """A file that the run depends on. `path` is relative to the configuration where it is beside or below it."""

    name: Text
    sha256: Sha256
    path: Text | None


class ConfigFacts(ArtefactFacts):
    """The configuration, and the arguments that name it on the command line."""

    arguments: tuple[Text, ...]


class GitFacts(RecordModel):
    """The commit that was checked out, and whether files differed from it."""

    commit: Text
    changed: bool


class StopFacts(RecordModel):
    """One stop: who teaches it, who halts on it, or where else it is configured."""

    role: Literal["taught", "served", "configured"]
    renderer: Text | None
    text: Text
    id: int | None
    source: Text
    by_text: bool


class RendererFacts(RecordModel):
    """One renderer: what it is made of, and what was extracted from it."""

    type: Text
    purposes: tuple[Purpose, ...]
    artefacts: tuple[ArtefactFacts, ...]
    notes: tuple[Text, ...]
    facts: dict[str, Any]


class TargetFacts(RecordModel):
    """One target as it was built; `broken` holds renderers that could not be set up, with the reason."""

    tokenizer: Text
    reference: Text
    system: Text | None
    artefacts: tuple[ArtefactFacts, ...]
    stops: tuple[StopFacts, ...]
    repairs: tuple[Text, ...]
    notes: tuple[Text, ...]
    renderers: dict[Text, RendererFacts]
    broken: dict[Text, Text]

    @property
    def renderer_names(self) -> list[str]:
        """Names of all renderers, the broken ones last."""
        return [*self.renderers, *self.broken]


class CheckFacts(RecordModel):
    """A check as it was installed when the run was made."""

    name: Text
    family: Text
    promise: Text


class Header(RecordModel):
    """What the run is made of. `command` draws the same conversations again; without `config` the targets were made in
    code, and it is empty. `notes` name packages whose checks are missing."""

    kind: Literal["header"] = "header"
    record: Literal[2] = RECORD_VERSION
    versions: dict[Text, Text]
    config: ConfigFacts | None
    git: GitFacts | None
    command: Text
    selected_checks: tuple[Text, ...]
    selected_targets: tuple[Text, ...]
    checks: tuple[CheckFacts, ...]
    profile: Text
    draws: Count
    seed: int
    started: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    targets: dict[Text, TargetFacts]
    failed: dict[Text, Text]
    notes: tuple[Text, ...] = ()

    @property
    def target_names(self) -> list[str]:
        """Names of all targets, those that could not be built last."""
        return [*self.targets, *self.failed]
