"""template-checks.toml (or `[tool.template-checks]` in pyproject.toml) → validated configuration."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from template_checks.errors import UsageError
from template_checks.renderers import RendererOptions, catalogue

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "template-checks.toml"


class Accepted(BaseModel):
    """A mismatch accepted on purpose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: str = Field(description="the finding's fingerprint, as a run prints it")
    reason: str = Field(min_length=1, description="why it is accepted")
    check: str | None = Field(None, description="for the reader; must agree with the finding")
    renderer: str | None = Field(None, description="for the reader; must agree with the finding")


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
    accepted: tuple[Accepted, ...] = Field((), description="mismatches accepted on purpose")


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
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise _usage_error(error, Config, str(path)) from error
    for name, target in config.target.items():
        if target.reference not in target.renderers:
            raise UsageError(
                f"reference = {target.reference!r} names no renderer of this target.",
                where=f"{path}: target.{name}.reference",
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
    options = catalogue.get(table["type"], where).Options
    try:
        return options.model_validate(table)
    except ValidationError as error:
        raise _usage_error(error, options, where) from error


def _usage_error(error: ValidationError, model: type[BaseModel], where: str) -> UsageError:
    """The first problem as a sentence, with the nearest known key; a mistyped key before the one missing for it."""
    first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    keys = [str(part) for part in first["loc"]]
    place = f"{where}: {'.'.join(keys)}" if keys else where
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, keys[:-1])
        near = difflib.get_close_matches(keys[-1], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "known keys: " + ", ".join(known)
        return UsageError(f"Unknown key {keys[-1]!r}.", where=place, hint=hint)
    if first["type"] == "missing":
        return UsageError(f"The key {keys[-1]!r} is missing.", where=place)
    return UsageError(f"{first['msg']} (got {first['input']!r}).", where=place)


def _known_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    if model is Config and path:
        model = Accepted if len(path) > 2 and path[2] == "accepted" else TargetConfig
    return list(model.model_fields)
