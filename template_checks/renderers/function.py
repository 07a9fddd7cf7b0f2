"""A function that was handed over in code, for the Python API."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from template_checks.core.rendering import Artefact
from template_checks.renderers.python import PythonOptions, PythonRenderer
from template_checks.sources.cache import sha256_file


class FunctionOptions(PythonOptions):
    """Options of a function: those of a `python` renderer, with the function itself."""

    call: Callable[..., Any]


class FunctionRenderer(PythonRenderer):
    """Like a `python` renderer, but nothing has to be imported."""

    type: ClassVar[str] = "function"
    summary: ClassVar[str] = "a function that was handed over in code"
    Options = FunctionOptions

    def _resolve(self, options: PythonOptions) -> Callable[..., Any]:
        """The function; the file that it is in is an artefact, where it is in one."""
        assert isinstance(options, FunctionOptions)
        try:
            path = Path(inspect.getsourcefile(options.call) or "")
        except TypeError:  # built in, or an object that can be called
            path = Path()
        if path.is_file():
            self.artefacts.append(Artefact(path.name, sha256_file(path), path))
        return options.call


def function_options(function: Callable[..., Any], settings: dict[str, Any]) -> FunctionOptions:
    """The options of one function.

    Raises:
        ValueError: an unknown or wrong setting (pydantic's ValidationError).
    """
    module = getattr(function, "__module__", None) or "code"
    name = getattr(function, "__qualname__", type(function).__name__)
    plain = "".join(c if c.isidentifier() or c.isdigit() or c == "." else "_" for c in name)
    parts = [part if part.isidentifier() else f"_{part}" for part in plain.split(".") if part]
    return FunctionOptions.model_validate(
        {"type": "function", "function": f"{module}:{'.'.join(parts)}", "call": function, **settings}
    )
