"""Tokenizers from the Hugging Face Hub, pinned to the commit they were read at."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from template_checks.core.errors import ArtefactError, TemplateChecksError
from template_checks.sources.cache import cache_folder, fetch_once
from template_checks.sources.files import Located, patterns

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SECONDS = 8.0


def from_hub(repo: str, *, revision: str | None, trust_remote_code: bool, offline: bool) -> Located:
    """The folder that holds the tokenizer of `ORG/NAME`.

    A full commit that is in the cache needs no network.

    Raises:
        ArtefactError: no such repository or revision, no network, or no tokenizer in it.
    """
    from huggingface_hub import constants

    if revision and _COMMIT.fullmatch(revision) and (cache_folder() / _key(repo, revision, trust_remote_code)).exists():
        commit = revision
    elif offline or constants.HF_HUB_OFFLINE:
        return _offline(repo, revision, trust_remote_code)
    else:
        commit = _commit(repo, revision)

    def fetch(into: Path) -> None:
        _download(repo, commit, into, trust_remote_code)

    folder = fetch_once(_key(repo, commit, trust_remote_code), fetch, what=f"{repo} at {commit}")
    return Located(folder, f"hub:{repo}@{commit}", _notes(repo, revision, commit))


def _key(repo: str, commit: str, trust_remote_code: bool) -> str:
    return f"hub/{repo}@{commit}" + ("+code" if trust_remote_code else "")


def _notes(repo: str, revision: str | None, commit: str) -> tuple[str, ...]:
    if revision == commit:
        return ()
    asked = f"revision {revision!r}" if revision else "the default branch"
    return (f'{repo}: {asked} is commit {commit} today; pin it with revision = "{commit}"',)


def _commit(repo: str, revision: str | None) -> str:
    """Which commit a revision is now. Asked for first, since it answers or fails within seconds."""
    from huggingface_hub import HfApi

    try:
        commit = HfApi().model_info(repo, revision=revision, timeout=_SECONDS).sha
    except Exception as error:  # the client's errors differ between its versions: requests, httpx, its own
        raise _explain(repo, revision, error) from error
    if not commit:
        raise ArtefactError(f"The Hub did not say which commit of {repo} it serves.", where=_where())
    return commit


def _download(repo: str, commit: str, into: Path, trust_remote_code: bool) -> None:
    from huggingface_hub import snapshot_download

    try:
        with _no_progress_bars():
            snapshot_download(
                repo,
                revision=commit,
                local_dir=into,
                allow_patterns=patterns(trust_remote_code),
                etag_timeout=_SECONDS,
            )
    except Exception as error:
        raise _explain(repo, commit, error) from error
    shutil.rmtree(into / ".cache", ignore_errors=True)  # the client's bookkeeping, different on every run
    _require_files(into, repo)


def _offline(repo: str, revision: str | None, trust_remote_code: bool) -> Located:
    """What the Hub client's own cache holds; nothing is asked of the network."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                repo, revision=revision, local_files_only=True, allow_patterns=patterns(trust_remote_code)
            )
        )
    except Exception as error:
        raise ArtefactError(
            f"{repo} is not on this machine, and the network is not to be used.",
            where=f"revision {revision or '(default branch)'}",
            hint="run once with network, with the commit as revision",
        ) from error
    _require_files(folder, repo)
    return Located(folder, f"hub:{repo}@{folder.name}", _notes(repo, revision, folder.name))


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
