"""Tokenizers from ModelScope, through its own client and cache."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any

from template_checks.core.errors import ArtefactError
from template_checks.sources.files import Located, patterns


def from_modelscope(repo: str, *, revision: str | None, trust_remote_code: bool, offline: bool) -> Located:
    """The folder that holds the tokenizer of `ORG/NAME`.

    Raises:
        ArtefactError: the modelscope package is missing, or its client fails.
    """
    try:
        client: Any = importlib.import_module("modelscope.hub.snapshot_download")
    except ImportError as error:
        raise ArtefactError(
            f"modelscope:{repo} needs the modelscope package ({error}).",
            hint="pip install 'template-checks[modelscope]'",
        ) from error
    for name in ("modelscope", "modelscope_hub"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        folder = client.snapshot_download(
            repo, revision=revision, local_files_only=offline, allow_patterns=patterns(trust_remote_code)
        )
    except Exception as error:  # its errors have no common base over its versions
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ArtefactError(
            f"modelscope:{repo} could not be fetched: {reason.rstrip('.')[:200]}.",
            where=f"revision {revision or '(default branch)'}",
            hint="check the name, the revision and the network",
        ) from error
    note = f"modelscope:{repo}: no revision is pinned; the default branch may change from run to run"
    return Located(Path(folder), f"modelscope:{repo}@{revision or 'default'}", () if revision else (note,))
