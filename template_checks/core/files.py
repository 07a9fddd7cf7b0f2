"""Files that are replaced: the old one stays until the new one is whole."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Write `data` beside `path`, sync it and rename it over `path`; mode and owner of an old file are kept.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _take_after(Path(name), path)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _take_after(new: Path, old: Path) -> None:
    try:
        known = old.stat()
    except OSError:
        umask = os.umask(0)
        os.umask(umask)
        new.chmod(0o666 & ~umask)
        return
    new.chmod(known.st_mode & 0o7777)
    with suppress(OSError, AttributeError):  # not ours to give away, or another system
        os.chown(new, known.st_uid, known.st_gid)
