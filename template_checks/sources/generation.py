"""Stop ids from generation_config.json."""

from __future__ import annotations

from pathlib import Path

from template_checks.core.errors import ArtefactError
from template_checks.core.rendering import Artefact, Stop
from template_checks.sources.cache import sha256_file
from template_checks.sources.files import read_object

GENERATION_CONFIG = "generation_config.json"


def load_generation_config(
    path: Path | None, tokenizer_folder: Path | None
) -> tuple[tuple[Stop, ...] | None, Artefact | None]:
    """The stop ids of a generation config, with the file they come from.

    Args:
        path: the file as configured; None looks in the tokenizer's folder.
        tokenizer_folder: where the tokenizer was loaded from.

    Returns:
        stops and artefact; (None, None) where no file was named and the folder has none. A file without
        `eos_token_id` gives no stops: an empty tuple.

    Raises:
        ArtefactError: the named file is missing, not JSON, or its `eos_token_id` is no id or list of ids.
    """
    if path is None:
        path = tokenizer_folder / GENERATION_CONFIG if tokenizer_folder else None
        if path is None or not path.is_file():
            return None, None
    elif not path.is_file():
        raise ArtefactError("The generation config does not exist.", where=str(path))
    value = read_object(path).get("eos_token_id")
    ids = value if isinstance(value, list) else [] if value is None else [value]
    wrong = [item for item in ids if isinstance(item, bool) or not isinstance(item, int) or item < 0]
    if wrong:
        raise ArtefactError(
            f"eos_token_id is {value!r}: it must be a token id or a list of token ids.",
            where=f"{path}: eos_token_id",
        )
    stops = tuple(Stop(source=GENERATION_CONFIG, id=item) for item in dict.fromkeys(ids))
    return stops, Artefact(path.name, sha256_file(path), path)
