"""Does a record still hold? Its artefacts are hashed again, and its run can be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from template_checks.config.schema import Config
from template_checks.config.target import build_target, opened
from template_checks.core.errors import TemplateChecksError
from template_checks.record.facts import versions
from template_checks.record.header import ArtefactFacts, Header
from template_checks.record.reader import Record
from template_checks.sources.cache import sha256_file

GONE = "is gone"


@dataclass(frozen=True)
class ArtefactChange:
    """One artefact that is no longer what it was: its name, whose it is, and how it changed."""

    owner: str
    name: str
    how: str


@dataclass(frozen=True)
class Verification:
    """What became of a record's artefacts. `notes` change nothing: other versions of the tools, say."""

    artefacts: int
    changes: tuple[ArtefactChange, ...]
    notes: tuple[str, ...]

    @property
    def unchanged(self) -> int:
        """Number of recorded artefacts that are what they were."""
        return self.artefacts - sum(change.how != "is new" for change in self.changes)


def recorded(head: Header) -> Iterator[tuple[str, ArtefactFacts]]:
    """(owner, artefact) of everything a record depends on; the owner is a target, or target and renderer."""
    if head.config is not None:
        yield "configuration", head.config
    for name, target in head.targets.items():
        yield from ((name, artefact) for artefact in target.artefacts)
        for renderer, facts in target.renderers.items():
            yield from ((f"{name}, {renderer}", artefact) for artefact in facts.artefacts)


def verify_artefacts(head: Header, config: Config, path: Path, *, offline: bool) -> Verification:
    """Hash everything again: files where they lie, and what is read out of them by building the targets once more.

    Args:
        head: the record's header.
        config: the configuration as it is now.
        path: its file.
        offline: refuse to fetch anything.

    Raises:
        TemplateChecksError: no file changed, and yet a target cannot be built.
    """
    changes: dict[tuple[str, str], ArtefactChange] = {}
    for owner, artefact in recorded(head):
        how = _changed_file(artefact, path.parent)
        if how is not None:
            changes[owner, artefact.name] = ArtefactChange(owner, artefact.name, how)
    try:
        now = dict(_built(head, config, path, offline=offline))
    except TemplateChecksError:
        if not changes:
            raise
        now = {}  # a file that changed is why
    for owner, artefact in recorded(head):
        key = (owner, artefact.name)
        if now and key not in changes and owner != "configuration" and now.get(key) != artefact.sha256:
            how = "is a different one" if key in now else "is no longer used"
            changes[key] = ArtefactChange(owner, artefact.name, how)
    if not any(owner == "configuration" for owner, _ in changes):
        known = {(owner, artefact.name) for owner, artefact in recorded(head)}
        for owner, name in now:
            if (owner, name) not in known:
                changes[owner, name] = ArtefactChange(owner, name, "is new")
    return Verification(len([*recorded(head)]), tuple(changes.values()), tuple(_notes(head)))


def _changed_file(artefact: ArtefactFacts, folder: Path) -> str | None:
    if artefact.path is None:
        return None
    path = folder / artefact.path
    if not path.is_file():
        return GONE
    return None if sha256_file(path) == artefact.sha256 else "has changed"


def _built(head: Header, config: Config, path: Path, *, offline: bool) -> Iterator[tuple[tuple[str, str], str]]:
    """The artefacts that the targets have now: (owner, name) → sha256."""
    for name in head.targets:
        if name not in config.target:
            continue
        with opened(build_target(name, config.target[name], path.parent, str(path), offline=offline)) as target:
            for artefact in target.artefacts:
                yield (name, artefact.name), artefact.sha256
            for key, renderer in target.renderers.items():
                for artefact in renderer.artefacts:
                    yield (f"{name}, {key}", artefact.name), artefact.sha256


def _notes(head: Header) -> Iterator[str]:
    now = versions()
    for package, version in head.versions.items():
        if now.get(package) != version:
            yield f"{package} is {now.get(package)} here, was {version}"


def differences(old: Record, new: Record) -> list[str]:
    """Which items ended otherwise in a run that was repeated, and which findings are new or gone."""
    found = []
    before, after = _ends(old), _ends(new)
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            found.append(f"{key}: {before.get(key, 'not there')}, now {after.get(key, 'not there')}")
    was, now = ({(line.target, line.fingerprint) for line in record.findings} for record in (old, new))
    found += [f"{target}: finding {mark} is gone" for target, mark in sorted(was - now)]
    found += [f"{target}: finding {mark} is new" for target, mark in sorted(now - was)]
    return found


def _ends(record: Record) -> dict[str, str]:
    return {f"{line.target}: {line.item_id}": line.outcome for line in record.outcomes}
