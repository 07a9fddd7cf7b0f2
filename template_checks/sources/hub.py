"""Tokenizers from the Hugging Face Hub, pinned to the commit they were read at.

Files are in the Hub client's own cache and nowhere else. Ours keeps one small list for each commit: the names of all
files of the repository, written before anything is fetched. By it a snapshot that was fetched only in part is told
from a whole one, which older clients do not do.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from template_checks.core.errors import ArtefactError, TemplateChecksError
from template_checks.sources.cache import cache_folder, write_file
from template_checks.sources.files import Located, patterns

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SECONDS = 8.0
"""How long to wait for one answer: chosen so that a run without network fails within about ten seconds."""


def from_hub(repo: str, *, revision: str | None, trust_remote_code: bool, offline: bool) -> Located:
    """The folder that holds the tokenizer of `ORG/NAME`.

    A full commit that was fetched needs no network. Offline, a branch or tag is the commit it was when it was last
    fetched.

    Raises:
        ArtefactError: no such repository or revision, no network, or no tokenizer in it.
    """
    from huggingface_hub import constants

    wanted = patterns(trust_remote_code)
    known = "today"
    if offline or constants.HF_HUB_OFFLINE:
        folder, known = _offline(repo, revision, wanted), "on this machine"
    elif revision and _COMMIT.fullmatch(revision) and _is_fetched(repo, revision, wanted):
        folder = _offline(repo, revision, wanted)
    else:
        folder = _fetched(repo, revision, wanted)
    commit = folder.name
    return Located(folder, f"hub:{repo}@{commit}", _notes(repo, revision, commit, known))


def _notes(repo: str, revision: str | None, commit: str, known: str) -> tuple[str, ...]:
    if revision == commit:
        return ()
    asked = f"revision {revision!r}" if revision else "the default branch"
    return (f'{repo}: {asked} is commit {commit} {known}; pin it with revision = "{commit}"',)


def _fetched(repo: str, revision: str | None, wanted: list[str]) -> Path:
    """The snapshot of what the Hub serves now.

    The branch or tag is given to the client as it is, not the commit, so that the client finds it again offline.
    """
    commit, names = _commit(repo, revision)
    write_file(_list_of(repo, commit), json.dumps(names, ensure_ascii=False), what=f"{repo} at {commit}")
    try:
        folder = _snapshot(repo, revision, wanted, etag_timeout=_SECONDS)
    except Exception as error:
        raise _explain(repo, revision, error) from error
    if folder.name != commit:  # the branch moved, or the network went and the client fell back to an older snapshot
        raise ArtefactError(
            f"{repo} could not be fetched: it was commit {commit} first and {folder.name} then.",
            where=_where(),
            hint="try again",
        )
    _require_complete(repo, folder, wanted, hint="check the network and try again")
    return folder


def _offline(repo: str, revision: str | None, wanted: list[str]) -> Path:
    """The snapshot in the client's cache; nothing is asked of the network.

    Where another program fetched it, there is no list of its files, and it is taken as it is.
    """
    try:
        folder = _snapshot(repo, revision, wanted, local_files_only=True)
    except Exception as error:
        raise ArtefactError(
            f"{repo} is not on this machine, and the network is not to be used.",
            where=f"revision {revision or '(default branch)'}",
            hint="run once with network",
        ) from error
    _require_complete(repo, folder, wanted, hint="run once with network")
    return folder


def _is_fetched(repo: str, commit: str, wanted: list[str]) -> bool:
    """Whether a commit was fetched by this package, and is whole."""
    try:
        folder = _snapshot(repo, commit, wanted, local_files_only=True)
    except Exception:  # not there; what is wrong is said when it is fetched
        return False
    return _list_of(repo, commit).is_file() and not _missing(repo, folder, wanted)


def _snapshot(repo: str, revision: str | None, wanted: list[str], **options: Any) -> Path:
    """The client's folder for a revision; its name is the commit."""
    from huggingface_hub import snapshot_download

    with _no_progress_bars():
        return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted, **options))


def _commit(repo: str, revision: str | None) -> tuple[str, list[str]]:
    """Which commit a revision is now, and the names of its files.

    Asked for first, since it answers or fails within seconds.
    """
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(repo, revision=revision, timeout=_SECONDS)
    except Exception as error:  # the client's errors differ between its versions: requests, httpx, its own
        raise _explain(repo, revision, error) from error
    if not info.sha:
        raise ArtefactError(f"The Hub did not say which commit of {repo} it serves.", where=_where())
    return info.sha, [file.rfilename for file in info.siblings or ()]


def _list_of(repo: str, commit: str) -> Path:
    return cache_folder() / "hub" / f"{repo}@{commit}.json"


def _missing(repo: str, folder: Path, wanted: list[str]) -> list[str]:
    """Wanted files of the repository that the snapshot lacks; none where the repository's files are not known."""
    try:
        names = json.loads(_list_of(repo, folder.name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    needed = [name for name in names if any(fnmatch(name, pattern) for pattern in wanted)]
    return [name for name in needed if not (folder / name).is_file()]


def _require_complete(repo: str, folder: Path, wanted: list[str], *, hint: str) -> None:
    missing = _missing(repo, folder, wanted)
    if missing:
        raise ArtefactError(
            f"{repo} was fetched only in part: {', '.join(missing)} is missing.", where=str(folder), hint=hint
        )
    _require_files(folder, repo)


def _require_files(folder: Path, repo: str) -> None:
    if not any(path.name.startswith(("tokenizer", "vocab", "tekken")) for path in folder.glob("*")):
        raise ArtefactError(f"{repo} holds no tokenizer.", where=_where())


def _explain(repo: str, revision: str | None, error: Exception) -> TemplateChecksError:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        what, hint = f"{repo} is gated.", "ask for access on its page, then set HF_TOKEN"
    elif isinstance(error, errors.RevisionNotFoundError):
        what, hint = f"{repo} has no revision {revision!r}.", "check `revision`"
    elif isinstance(error, errors.RepositoryNotFoundError):
        what = f"{repo} is not on the Hub, or it is private."
        hint = "check the name; for a private repository set HF_TOKEN"
    elif isinstance(error, errors.HFValidationError):
        what, hint = f"{repo} is not a repository name: {_first_line(error)}", "write ORG/NAME"
    elif isinstance(error, PermissionError):
        what = f"{repo} cannot be kept: the Hub client's cache cannot be written ({error.strerror})."
        return ArtefactError(what, where=error.filename, hint="set HF_HUB_CACHE to a writable folder")
    else:
        what = f"{repo} could not be fetched: {_first_line(error)}"
        hint = "check the network; a revision that is a full commit is fetched once and then needs none"
    return ArtefactError(what, where=_where(), hint=hint)


def _first_line(error: Exception) -> str:
    """The reason in one line: the operating system's own words, which network clients wrap several times."""
    inner: BaseException | None = error
    reason: BaseException = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            reason = inner
        inner = inner.__cause__ or inner.__context__
    text = next(iter(str(reason).strip().splitlines()), "") or type(error).__name__
    return text[:300].rstrip(".") + "."


def _where() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    import huggingface_hub.utils

    utils: Any = huggingface_hub.utils  # it re-exports these without saying so
    if utils.are_progress_bars_disabled() or "HF_HUB_DISABLE_PROGRESS_BARS" in os.environ:
        yield  # the user has decided
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()
