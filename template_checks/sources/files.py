"""Files a tokenizer is made of, and reading them with messages a user can act on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from template_checks.core.errors import ArtefactError
from template_checks.core.rendering import Artefact
from template_checks.sources.cache import SUMS, sha256_file

PATTERNS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
    "generation_config.json",
    "config.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tekken.json",
    "*.model",
    "*.tiktoken",
)
"""What is fetched. `config.json` is among them because transformers finds the tokenizer's class by it."""

CODE_PATTERNS = ("*.py",)
"""Fetched in addition when remote code is trusted."""


@dataclass(frozen=True)
class Located:
    """A folder on disk that holds a tokenizer; `name` is what its files are called in records."""

    folder: Path
    name: str
    notes: tuple[str, ...] = ()


def patterns(trust_remote_code: bool) -> list[str]:
    """Patterns of the files to fetch."""
    return [*PATTERNS, *(CODE_PATTERNS if trust_remote_code else ())]


def artefacts(located: Located, trust_remote_code: bool) -> tuple[Artefact, ...]:
    """The files in a folder that a tokenizer can be read from, generation_config.json apart, by sha256.

    Raises:
        ArtefactError: a file cannot be read.
    """
    wanted = [p for p in patterns(trust_remote_code) if p != "generation_config.json"]
    found = []
    for path in sorted(p for p in [*located.folder.glob("*"), *located.folder.glob("*/*.jinja")] if p.is_file()):
        relative = path.relative_to(located.folder).as_posix()
        if relative != SUMS and any(fnmatch(relative, pattern) for pattern in wanted):
            try:
                found.append(Artefact(f"{located.name}/{relative}", sha256_file(path), path))
            except OSError as error:
                raise unreadable(path, error) from error
    return tuple(found)


def unreadable(path: Path, error: Exception) -> ArtefactError:
    """The error for a file that is there but cannot be read."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ArtefactError(f"{path.name} cannot be read: {reason}.", where=str(path))


def read_text(path: Path) -> str:
    """A UTF-8 text file.

    Raises:
        ArtefactError: it is missing, cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file whose top level is an object.

    Raises:
        ArtefactError: it is missing, cannot be read, is not JSON (names line and column) or not an object.
    """
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ArtefactError(
            f"{path.name} is not JSON: {error.msg}.", where=f"{path}:{error.lineno}:{error.colno}"
        ) from error
    except RecursionError as error:
        raise ArtefactError(f"{path.name} is nested too deeply to be read.", where=str(path)) from error
    if not isinstance(value, dict):
        raise ArtefactError(
            f"{path.name} holds a JSON {type(value).__name__} where an object is expected.", where=str(path)
        )
    return value
