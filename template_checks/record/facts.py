"""The header of a record: what a run is made of."""

from __future__ import annotations

import platform
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from template_checks import __version__
from template_checks.checks.registry import all_checks, plugin_problems
from template_checks.config.target import Target, resolve
from template_checks.core.display import visible
from template_checks.core.rendering import Artefact, Stop
from template_checks.core.tokenizer import Tokenizer
from template_checks.engine.profiles import Profile
from template_checks.record.header import (
    ArtefactFacts,
    CheckFacts,
    ConfigFacts,
    GitFacts,
    Header,
    RendererFacts,
    StopFacts,
    TargetFacts,
)
from template_checks.sources.cache import sha256_file


@dataclass(frozen=True)
class Request:
    """What a run was asked to do, so that it can be done again.

    `arguments` name the configuration on the command line and `config` is its file; without a file the targets were
    made in code. `checks` and `targets` are those that were selected, none for all.
    """

    profile: Profile
    seed: int
    arguments: tuple[str, ...] = ()
    config: Path | None = None
    checks: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder that paths are relative to."""
        return self.config.parent if self.config is not None else Path.cwd()

    @property
    def command(self) -> str:
        """The command that draws the same conversations again; empty where there is no configuration file."""
        if self.config is None:
            return ""
        words = ["template-checks", "run", *(self.arguments or (str(self.config),))]
        words += ["--profile", self.profile.name, "--seed", str(self.seed)]
        for option, values in (("--target", self.targets), ("--check", self.checks)):
            words += [word for value in values for word in (option, value)]
        return shlex.join(words)


def header(targets: list[Target], failed: Mapping[str, str], request: Request, started: str) -> Header:
    """What the run is made of.

    Args:
        targets: those that could be built.
        failed: those that could not, and why.
        request: what was asked for.
        started: ISO 8601 time.
    """
    return Header(
        versions=versions(),
        config=_config(request),
        git=git_commit(request.folder),
        command=request.command,
        selected_checks=request.checks,
        selected_targets=request.targets,
        checks=tuple(
            CheckFacts(name=check.name, family=check.family, promise=check.promise) for check in all_checks().values()
        ),
        profile=request.profile.name,
        draws=request.profile.draws,
        seed=request.seed,
        started=started,
        targets={target.name: _target(target, request.folder) for target in targets},
        failed=dict(failed),
        notes=tuple(plugin_problems()),
    )


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of what results depend on."""
    found = {"template-checks": __version__, "python": platform.python_version()}
    for package in ("transformers", "tokenizers", "jinja2", "hypothesis"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_commit(folder: Path) -> GitFacts | None:
    """The commit that is checked out, and whether files differ from it; None where git knows of none."""
    git = ["git", "-C", str(folder)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return GitFacts(commit=commit.stdout.strip(), changed=bool(changes.stdout.strip()))


def _config(request: Request) -> ConfigFacts | None:
    if request.config is None:
        return None
    artefact = Artefact(request.config.name, sha256_file(request.config), request.config)
    return ConfigFacts(arguments=request.arguments, **dict(_artefact(artefact, request.folder)))


def _artefact(artefact: Artefact, folder: Path) -> ArtefactFacts:
    """With its path relative to the configuration, if it lies beside or below it."""
    path = None
    if artefact.path is not None:
        full, base = artefact.path.resolve(), folder.resolve()
        path = full.relative_to(base).as_posix() if full.is_relative_to(base) else str(full)
    return ArtefactFacts(name=artefact.name, sha256=artefact.sha256, path=path)


def _stops(target: Target) -> tuple[StopFacts, ...]:
    """Every stop: who teaches it, who halts on it, what else is configured."""
    found: list[tuple[str, str | None, Stop]] = []
    for name, renderer in target.renderers.items():
        found += [("taught", name, stop) for stop in renderer.taught]
        found += [("served", name, stop) for stop in (renderer.served.stops if renderer.served else ())]
    known = {stop for _, _, stop in found}
    found += [("configured", None, stop) for stop in target.configured_stops() if stop not in known]
    return tuple(
        StopFacts.model_validate(
            {
                "role": role,
                "renderer": renderer,
                "text": _stop_text(stop, target.tokenizer),
                "id": resolve(stop, target.tokenizer),
                "source": stop.source,
                "by_text": stop.by_text,
            }
        )
        for role, renderer, stop in found
    )


def _stop_text(stop: Stop, tokenizer: Tokenizer) -> str:
    return visible(stop.text if stop.text is not None else tokenizer.token(stop.id or 0))


def _target(target: Target, folder: Path) -> TargetFacts:
    return TargetFacts(
        tokenizer=target.tokenizer.source,
        reference=target.config.reference,
        system=target.config.system,
        artefacts=tuple(_artefact(artefact, folder) for artefact in target.artefacts),
        stops=_stops(target),
        repairs=tuple(target.tokenizer.repairs),
        notes=tuple(target.tokenizer.notes),
        renderers={
            name: RendererFacts(
                type=renderer.type,
                purposes=tuple(sorted(renderer.purposes)),
                artefacts=tuple(_artefact(artefact, folder) for artefact in renderer.artefacts),
                notes=tuple(renderer.notes),
                facts=renderer.describe(),
            )
            for name, renderer in target.renderers.items()
        },
        broken={name: str(error) for name, error in target.broken.items()},
    )
