"""template-checks.toml (or `[tool.template-checks]` in pyproject.toml) → validated configuration."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from template_checks.core.conversation import Conversation
from template_checks.core.errors import UsageError
from template_checks.core.suggest import suggest
from template_checks.renderers.base import RendererOptions
from template_checks.renderers.registry import get_renderer_type

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "template-checks.toml"


REQUIRED = ("same-text", "same-tokens", "content-verbatim", "stop-after-answer", "stop-served", "prefix-stable")
"""What the question is about: the same tokens in training and serving, and the stop."""

_ENTRY = "accepted_entry"
"""Type of the errors below: their text is a sentence of ours."""


def _wrong(what: str, hint: str = "") -> PydanticCustomError:
    return PydanticCustomError(_ENTRY, "{what}", {"what": what, "hint": hint})


def _said(text: str) -> str:
    if not text.strip():
        raise _wrong("The text is empty.")
    return text


def _read_date(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise _wrong(f"{value!r} is no date.", "a TOML date has no quotes: expires = 2026-12-31")


def _read_witness(value: Any) -> Conversation:
    """From messages, an object with messages and tools, or either as JSON text."""
    if isinstance(value, Conversation):
        return value
    try:
        return Conversation.from_list(json.loads(value) if isinstance(value, str) else value, "witness")
    except UsageError as error:
        where = (error.where or "").removeprefix("witness").removeprefix(", ")
        raise _wrong(f"The witness cannot be read{f' ({where})' if where else ''}: {error.what}") from error
    except (ValueError, TypeError) as error:
        raise _wrong(f"The witness cannot be read: {error}") from error


class Accepted(BaseModel):
    """A mismatch accepted on purpose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: str = Field(description="the finding's fingerprint, as a run prints it")
    reason: Annotated[str, AfterValidator(_said)] = Field(description="why it is accepted")
    check: str | None = Field(None, description="its check; must agree with the finding")
    renderer: str | None = Field(None, description="its renderer; must agree with the finding")
    owner: Annotated[str, AfterValidator(_said)] | None = Field(None, description="who answers for it")
    expires: Annotated[date, PlainValidator(_read_date)] | None = Field(
        None, description="the last day on which it is accepted, a date such as 2026-12-31"
    )
    witness: Annotated[Conversation, PlainValidator(_read_witness)] | None = Field(
        None, description="a conversation that shows it, as messages; examined first in every run"
    )

    @property
    def said(self) -> str:
        """In a sentence: by whom, until when and why."""
        by = f" by {self.owner}" if self.owner else ""
        until = f" until {self.expires}" if self.expires else ""
        return f"accepted{by}{until}: {self.reason}"

    @property
    def said_expired(self) -> str:
        """The same once it has expired."""
        by = f" by {self.owner}" if self.owner else ""
        return f"accepted until {self.expires}{by}, expired: {self.reason}"


def _once_each(entries: tuple[Accepted, ...]) -> tuple[Accepted, ...]:
    known: set[str] = set()
    for entry in entries:
        if entry.fingerprint in known:
            raise _wrong(f"The fingerprint {entry.fingerprint!r} is accepted twice.", "keep one of the two entries")
        known.add(entry.fingerprint)
    return entries


class TargetConfig(BaseModel):
    """One `[target.NAME]` table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokenizer: str = Field(description="folder, Hub id, npm:PACKAGE@VERSION or modelscope:ORG/NAME")
    renderers: dict[str, Any] = Field(min_length=1, description="renderer name → its table")
    reference: str = Field("chat_template", description="the renderer the others are compared with")
    revision: str | None = Field(None, description="the tokenizer's commit, for the Hub and ModelScope")
    trust_remote_code: bool = Field(False, description="run the tokenizer's own Python code")
    repair_tokenizer: bool = Field(
        True, description="rename vocabulary entries to what the tokenizer's config declares"
    )
    generation_config: str | None = Field(
        None, description="the model's generation_config.json; default: the one beside the tokenizer"
    )
    system: str | None = Field(None, description="system prompt that every conversation of this deployment carries")
    roles: tuple[str, ...] = Field(
        ("system", "user", "assistant"), description="roles that generated conversations may use"
    )
    stops: tuple[int | str, ...] = Field((), description="stop tokens, by id or by the string of one token")
    stop_strings: tuple[str, ...] = Field((), description="stop strings that the server finds in text")
    conversations: str | None = Field(None, description="JSON Lines file of conversations that are always examined")
    required: tuple[str, ...] = Field(
        REQUIRED, description="checks that a sign-off must have exercised, where they apply"
    )
    accepted: Annotated[tuple[Accepted, ...], AfterValidator(_once_each)] = Field(
        (), description="mismatches accepted on purpose"
    )


class Config(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: dict[str, TargetConfig] = Field(min_length=1)


def find_config(folder: Path) -> Path | None:
    """The configuration file of `folder`, or None."""
    path = folder / FILE_NAME
    if path.is_file():
        return path
    project = folder / "pyproject.toml"
    if project.is_file() and "[tool.template-checks" in project.read_text(encoding="utf-8"):
        return project
    return None


def load_config(path: Path) -> Config:
    """Read and validate a configuration file.

    Raises:
        UsageError: missing, not TOML, unknown or wrong keys; says which, and the nearest known key.
    """
    if not path.is_file():
        raise UsageError(
            "The configuration file does not exist.",
            where=str(path),
            hint="`template-checks init` writes one; `template-checks run --example internlm2` needs none",
        )
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The configuration is not valid TOML: {error}", where=str(path)) from error
    if path.name == "pyproject.toml":
        data = data.get("tool", {}).get("template-checks", {})
    return read_config(data, str(path))


def read_config(data: Any, where: str) -> Config:
    """Validate the content of a configuration; `where` says in messages where it is from.

    Raises:
        UsageError: unknown, missing or wrong keys; says which, and the nearest known key.
    """
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise usage_error(error, Config, where, data) from error
    for name, target in config.target.items():
        if target.reference not in target.renderers:
            raise UsageError(
                f"reference = {target.reference!r} names no renderer of this target.",
                where=f"{where}: target.{name}.reference",
                hint="its renderers: " + ", ".join(target.renderers),
            )
    return config


def renderer_options(table: Any, where: str) -> RendererOptions:
    """Validate one renderer table against the options of its type.

    Raises:
        UsageError: no type, unknown type, unknown or wrong option.
    """
    if not isinstance(table, dict) or not isinstance(table.get("type"), str):
        raise UsageError(
            "A renderer needs a type.",
            where=where,
            hint='for example { type = "tokenizer" }; `template-checks renderers` lists the types',
        )
    options = get_renderer_type(table["type"], where).Options
    try:
        return options.model_validate(table)
    except ValidationError as error:
        raise usage_error(error, options, where, table) from error


def usage_error(error: ValidationError, model: type[BaseModel], where: str, data: Any) -> UsageError:
    """The first problem as a sentence, with the nearest known key; a mistyped key before the one missing for it."""
    first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    keys = [str(part) for part in first["loc"]]
    place = f"{where}: {_place(keys, data)}" if keys else where
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, keys[:-1])
        return UsageError(f"Unknown key {keys[-1]!r}.", where=place, hint=suggest(keys[-1], known, "known keys"))
    if first["type"] == "missing":
        return UsageError(f"The key {keys[-1]!r} is missing.", where=place)
    if first["type"] == _ENTRY:
        return UsageError(first["ctx"]["what"], where=place, hint=first["ctx"]["hint"] or None)
    return UsageError(f"{first['msg']} (got {first['input']!r}).", where=place)


def _place(keys: list[str], data: Any) -> str:
    """Dotted keys; an accepted entry by its number and fingerprint."""
    if len(keys) < 4 or keys[2] != "accepted":
        return ".".join(keys)
    entry = data[keys[0]][keys[1]][keys[2]][int(keys[3])]
    mark = entry.get("fingerprint") if isinstance(entry, dict) else None
    named = f"entry {int(keys[3]) + 1}" + (f" ({mark})" if mark else "")
    return ": ".join([f"{'.'.join(keys[:3])}, {named}", *([".".join(keys[4:])] if keys[4:] else [])])


def _known_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    if model is Config and path:
        model = Accepted if len(path) > 2 and path[2] == "accepted" else TargetConfig
    return list(model.model_fields)
