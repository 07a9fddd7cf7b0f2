"""Typed objects that are written as lines of NDJSON: the lines of a record, of `seams` and of `museum`."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _without_surrogates(value: Any) -> Any:
    """JSON in UTF-8 cannot hold half surrogate pairs; where one stands, its escape does."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


Text = Annotated[str, BeforeValidator(_without_surrogates)]
Count = Annotated[int, Field(ge=0)]


class RecordModel(BaseModel):
    """Base of all parts of a record: immutable; keys that this version does not know are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_serialization_defaults_required=True)


def to_json(line: RecordModel) -> str:
    """One line of the file: ASCII, so that no encoding can spoil it."""
    return json.dumps(line.model_dump(), ensure_ascii=True)
