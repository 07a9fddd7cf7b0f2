"""Where fetched artefacts lie: fetched once, checksummed, and checked again each time they are used."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import platformdirs

from template_checks.core.errors import ArtefactError

VARIABLE = "TEMPLATE_CHECKS_CACHE"
SUMS = "SHA256SUMS.json"
_INCOMING = ".incoming-"
_ABANDONED = 24 * 3600.0  # seconds; no fetch takes that long


def cache_folder() -> Path:
    """The folder that holds what was fetched: $TEMPLATE_CHECKS_CACHE, or the user's cache folder."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("template-checks"))


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_text(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def fetch_once(key: str, fetch: Callable[[Path], None], *, what: str) -> Path:
    """The folder `key` of the cache, fetched if it is not there yet, verified if it is.

    Two processes may ask for the same key at once: each fetches into a folder of its own, the first to finish
    wins.

    Args:
        key: relative path with forward slashes, e.g. "npm/package@1.0.0".
        fetch: writes the files into the (empty) folder it is given.
        what: what is fetched, for messages.

    Raises:
        ArtefactError: the cache cannot be written, or a file in it is not what was fetched.
        ValueError: the key leaves the cache.
        BaseException: whatever `fetch` raises; nothing is left in the cache then.
    """
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or ".." in parts:
        raise ValueError(f"not a cache key: {key!r}")
    cache = cache_folder()
    folder = cache.joinpath(*parts)
    if _is_there(folder):
        _verify(folder, what)
        return folder
    with _writing(cache, what):
        incoming = _incoming(cache)
    try:
        fetch(incoming)
        with _writing(cache, what):
            _write_sums(incoming)
            _move(incoming, folder, what)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return folder


def write_file(path: Path, text: str, *, what: str) -> None:
    """Write a file of the cache at once or not at all, so that no other process reads half of it.

    Raises:
        ArtefactError: the cache cannot be written.
    """
    with _writing(cache_folder(), what):
        path.parent.mkdir(parents=True, exist_ok=True)
        incoming = path.with_name(f"{_INCOMING}{uuid.uuid4().hex}")
        incoming.write_text(text, encoding="utf-8")
        incoming.replace(path)


def _is_there(folder: Path) -> bool:
    try:
        return folder.exists()
    except OSError:  # not readable; writing to it will say so
        return False


@contextmanager
def _writing(cache: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtefactError(
            f"{what} cannot be kept: the cache folder cannot be written ({error.strerror or error}).",
            where=str(cache),
            hint=f"set {VARIABLE} to a writable folder",
        ) from error


def _incoming(cache: Path) -> Path:
    """An empty folder on the same file system as the rest of the cache, so that the rename is atomic."""
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob(f"{_INCOMING}*"):  # by a process that was killed
        with suppress(OSError):  # another process may be faster to remove it
            if time.time() - left.stat().st_mtime > _ABANDONED:
                shutil.rmtree(left)
    folder = cache / f"{_INCOMING}{uuid.uuid4().hex}"
    folder.mkdir()
    return folder


def _write_sums(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
    (folder / SUMS).write_text(json.dumps(sums, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _move(incoming: Path, folder: Path, what: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        incoming.rename(folder)
    except OSError:
        if not _is_there(folder):
            raise
        _verify(folder, what)  # another process was faster; use what it fetched


def _verify(folder: Path, what: str) -> None:
    hint = "delete the folder; it is fetched again on the next run"
    try:
        sums = json.loads((folder / SUMS).read_text(encoding="utf-8"))
        names = dict(sums.items())
    except (OSError, ValueError, AttributeError) as error:
        raise ArtefactError(
            f"{what} in the cache has no readable list of checksums.", where=str(folder / SUMS), hint=hint
        ) from error
    for name, expected in names.items():
        try:
            actual = sha256_file(folder / name)
        except OSError as error:
            raise ArtefactError(
                f"{what} in the cache has lost its file {name} ({error.strerror or error}).",
                where=str(folder),
                hint=hint,
            ) from error
        if actual != expected:
            raise ArtefactError(
                f"{what} in the cache has changed since it was fetched: {name} has another sha256.",
                where=str(folder),
                hint=hint,
            )
