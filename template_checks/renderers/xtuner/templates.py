"""XTuner's prompt templates: their keys, their placeholders, and where a filled-in value lands."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from template_checks.core.errors import UsageError
from template_checks.core.suggest import did_you_mean, suggest
from template_checks.sources.cache import sha256_text

KEYS = ("SYSTEM", "INSTRUCTION", "SUFFIX", "SUFFIX_AS_EOS", "SEP", "STOP_WORDS")

_PLACEHOLDERS = {"SYSTEM": ("system",), "INSTRUCTION": ("input", "round")}


@dataclass(frozen=True)
class FormatString:
    """A template string that XTuner fills by `str.format`, and where the value of `main` lands in it."""

    template: str
    main: str
    parts: tuple[tuple[str, str | None], ...]
    plain: bool
    """No conversions, format specifications, attributes or indices: positions can be told."""

    @classmethod
    def parse(cls, template: str, main: str) -> FormatString:
        """Split into literals and fields, escapes resolved.

        Raises:
            ValueError: not a format string (an unpaired brace).
        """
        parts, plain = [], True
        for literal, name, spec, conversion in string.Formatter().parse(template):
            parts.append((literal, name))
            if name is not None:
                plain = plain and not spec and not conversion and name.isidentifier()
        return cls(template, main, tuple(parts), plain)

    @property
    def fields(self) -> list[str]:
        """Names of the placeholders, attributes and indices cut off."""
        names = (name for _, name in self.parts if name is not None)
        return [name.split(".")[0].split("[")[0] for name in names]

    def fill(self, value: str, **others: int) -> tuple[str, int | None]:
        """The filled text, by `str.format` itself, and where `value` starts.

        The position is None where `value` occurs there twice, altered, or not at all.
        """
        text = self.template.format(**{self.main: value}, **others)
        if not self.plain or self.fields.count(self.main) != 1:
            return text, None
        position = 0
        for literal, name in self.parts:
            position += len(literal)
            if name == self.main:
                break
            position += 0 if name is None else len(str(others[name]))
        return text, position

    @property
    def absent(self) -> bool:
        """The value has no place in this template at all."""
        return self.main not in self.fields


@dataclass(frozen=True)
class PromptTemplate:
    """One entry of `PROMPT_TEMPLATE`.

    `values` holds the keys that are given; `where` is the source of each; `ignored` are keys that
    XTuner does not know and passes over.
    """

    name: str
    values: Mapping[str, Any]
    where: Mapping[str, str]
    ignored: tuple[str, ...] = ()
    instruction: FormatString = field(init=False)
    system: FormatString | None = field(init=False)

    def __post_init__(self) -> None:
        system = self.values.get("SYSTEM")
        object.__setattr__(self, "instruction", FormatString.parse(self.values["INSTRUCTION"], "input"))
        object.__setattr__(self, "system", None if system is None else FormatString.parse(system, "system"))

    @property
    def suffix(self) -> str:
        """SUFFIX, or the empty text."""
        return str(self.values.get("SUFFIX", ""))

    @property
    def suffix_as_eos(self) -> bool:
        """SUFFIX_AS_EOS: then no EOS follows an output and no BOS a separator."""
        return bool(self.values.get("SUFFIX_AS_EOS", False))

    @property
    def sep(self) -> str:
        """SEP, or the empty text."""
        return str(self.values.get("SEP", ""))

    @property
    def stop_words(self) -> tuple[str, ...]:
        """STOP_WORDS, as `xtuner chat` uses them."""
        return tuple(self.values.get("STOP_WORDS", ()))

    @property
    def sha256(self) -> str:
        """Of the template's values in canonical JSON."""
        return sha256_text(json.dumps(dict(self.values), ensure_ascii=False, sort_keys=True))


def prompt_template(
    name: str, values: Mapping[str, Any], where: Mapping[str, str], *, place: str, strict: bool
) -> PromptTemplate:
    """Validate a template's keys, types and placeholders.

    Args:
        name: for messages and source_literals.
        values: as written.
        where: place of each key.
        place: of the template as a whole, for messages.
        strict: an unknown key is an error; otherwise it is ignored, as XTuner ignores it.

    Raises:
        UsageError: names the key and what is wrong with it.
    """
    unknown = [key for key in values if key not in KEYS]
    if unknown and strict:
        raise UsageError(
            f"Unknown key {unknown[0]!r} in the XTuner template.",
            where=place,
            hint=suggest(unknown[0].upper(), KEYS, "known keys"),
        )
    if "INSTRUCTION" not in values:
        raise UsageError(
            "The XTuner template has no INSTRUCTION.",
            where=place,
            hint='the text around a user message, e.g. INSTRUCTION = "<|user|>{input}<|assistant|>"',
        )
    known = {key: values[key] for key in KEYS if key in values}
    for key, value in known.items():
        _check_type(key, value, where.get(key, place))
    for key in _PLACEHOLDERS:
        if key in known:
            _check_placeholders(key, known[key], where.get(key, place))
    return PromptTemplate(name, known, {key: where.get(key, place) for key in known}, tuple(unknown))


def _check_type(key: str, value: Any, place: str) -> None:
    if key == "SUFFIX_AS_EOS":
        fits, expected = isinstance(value, bool), "true or false"
    elif key == "STOP_WORDS":
        fits = isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
        expected = "a list of texts"
    else:
        fits, expected = isinstance(value, str), "text"
    if not fits:
        raise UsageError(f"{key} of an XTuner template must be {expected}, not {value!r}.", where=place)


def _check_placeholders(key: str, value: str, place: str) -> None:
    allowed = _PLACEHOLDERS[key]
    spelled = " and ".join(f"{{{name}}}" for name in allowed)
    twice = "write a literal brace twice: {{ or }}"
    try:
        fields = FormatString.parse(value, allowed[0]).fields
    except ValueError as error:
        raise UsageError(f"{key} is not a format string: {error}.", where=place, hint=twice) from error
    for name in fields:
        if name not in allowed:
            near = did_you_mean(f"{{{name}}}", [f"{{{other}}}" for other in allowed])
            raise UsageError(
                f"{key} has a placeholder {{{name}}} that XTuner does not fill when it trains.",
                where=place,
                hint=f"{near} XTuner fills {spelled} here; {twice}".lstrip(),
            )
    try:
        value.format(**{name: 1 if name == "round" else "text" for name in allowed})
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UsageError(
            f"{key} cannot be filled: str.format raises {type(error).__name__}: {error}.",
            where=place,
            hint=f"XTuner fills {spelled} here",
        ) from error
