"""The user's own function: whatever turns messages into text or ids in their code."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import operator
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from pydantic import Field, field_validator

from template_checks.core.content_spans import ContentLocator
from template_checks.core.conversation import Conversation, Feature, Purpose
from template_checks.core.errors import ArtefactError, RenderError, TemplateChecksError, Unsupported, UsageError
from template_checks.core.rendering import Artefact, ContentSpan, Encoded, Piece, Rendering
from template_checks.core.suggest import did_you_mean
from template_checks.renderers.base import Context, OptionsType, Renderer, RendererOptions
from template_checks.renderers.result_parsing import FunctionResult, parse_result, rendering_of_ids, rendering_of_text
from template_checks.sources.cache import sha256_file, sha256_text

_OFFERED = ("messages", "purpose", "add_generation_prompt", "tokenizer", "tools", "continue_final_message")
_SHAPES = "`module:function` or `path/to/file.py:function`"


class PythonOptions(RendererOptions):
    """Options of a `python` renderer."""

    function: str = Field(description=_SHAPES)
    add_special_tokens: bool = Field(False, description="how a returned text is tokenized")
    purposes: tuple[Purpose, ...] = Field(("train", "generate"), description="what the function can do", min_length=1)
    labels: bool = Field(False, description="the function returns labels when it renders for training")
    features: tuple[Feature, ...] = Field(
        (), description="what it knows beyond text: tools, tool-calls, reasoning, parts"
    )
    masks_padding: bool | None = Field(
        None, description="the collator in training sets the label of every padding id to -100"
    )

    @field_validator("function")
    @classmethod
    def _two_halves(cls, value: str) -> str:
        source, _, name = value.rpartition(":")
        if not source or not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(f"write {_SHAPES}")
        return value


class PythonRenderer(Renderer):
    """A function of the user's own, run in this process with the rights of this process.

    It is called as `function(messages)`, or with those of `messages`, `purpose`, `add_generation_prompt`,
    `tokenizer` (the transformers tokenizer), `tools` and `continue_final_message` that it has parameters for.
    It returns one of: the text; a list of ids; `(ids, labels)`; a dict with `text`, `ids` (or `input_ids`),
    `labels`; or, where it tokenizes in pieces, a dict with `pieces`: texts that are tokenized each on its own and ids
    that come between them, each perhaps in a pair with whether loss is computed on it. Messages are fresh dicts each
    time. It may raise `template_checks.Unsupported` for conversations it cannot express.

    Raises:
        UsageError: no such file, module or function, or a function that wants other arguments.
        ArtefactError: the code raises while it is imported.
    """

    type: ClassVar[str] = "python"
    summary: ClassVar[str] = "a Python function of your own that returns text or ids"
    Options: ClassVar[OptionsType] = PythonOptions
    labelled = "if it says so"

    def __init__(self, name: str, options: PythonOptions, context: Context) -> None:
        """Import the code, and see which arguments the function takes."""
        super().__init__(name, options, context)
        self._place = f"{name}.function = {options.function!r}"
        # What one function can do is configured, not a property of the type.
        self.purposes = frozenset(options.purposes)
        self.gives_labels = options.labels
        self.features = frozenset(options.features)
        self.masks_padding = options.masks_padding
        self._function = self._resolve(options)
        self._arguments = accepted_arguments(self._function, self._place)
        self._locators: dict[Purpose, ContentLocator] = {}

    def render(self, conversation: Conversation, purpose: Purpose) -> Rendering:
        """Call the function, and tokenize its text where it returns no ids.

        Raises:
            Unsupported: the function raises it, or is not configured for this purpose.
            RenderError: the function raises anything else, or returns something that is no rendering.
        """
        if purpose not in self.purposes:
            raise Unsupported(f"the function is not configured for {purpose}")
        returned = self._call(conversation, purpose)
        if self.gives_labels and purpose == "train" and not returned.labelled:
            raise RenderError("labels = true, but the function returned no labels")
        if returned.pieces is not None:
            pieces = tuple(self._piece(what, supervised) for what, supervised in returned.pieces)
            return Rendering(pieces, self._locate(conversation, purpose, returned.text or ""))
        if returned.text is None:
            return rendering_of_ids(returned.ids or (), returned.labels)
        encoded = self._encode(returned.text)
        if returned.ids is not None and returned.ids != encoded.ids:
            encoded = Encoded(returned.ids)  # tokenized in the function's own way: no offsets
        contents = self._locate(conversation, purpose, returned.text)
        return rendering_of_text(returned.text, encoded, contents, returned.labels)

    def render_continued(self, conversation: Conversation) -> Rendering:
        """Call the function with `continue_final_message = True`, if it has a parameter of that name."""
        if "continue_final_message" not in self._arguments:
            raise Unsupported("the function has no parameter continue_final_message")
        returned = self._call(conversation, "train", continued=True)
        if returned.text is None:
            return rendering_of_ids(returned.ids or (), None)
        return Rendering((Piece(returned.text, self._encode(returned.text)),))

    def given_after(self, conversation: Conversation, purpose: Purpose) -> Any:
        """The messages and tools that the function was given, after it returned."""
        data = conversation.to_data()
        messages, tools = (data["messages"], data["tools"]) if isinstance(data, dict) else (data, None)
        self._call(conversation, purpose, given=(messages, tools))
        return data

    def describe(self) -> dict[str, Any]:
        """The function, and the arguments it is given."""
        return {
            "function": self.options.function,
            "arguments": list(self._arguments),
            "add_special_tokens": self.options.add_special_tokens,
        }

    def _piece(self, what: str | tuple[int, ...], supervised: bool | None) -> Piece:
        """Each piece is tokenized as it is: what a function puts around it, it says."""
        if isinstance(what, str):
            return Piece(what, self.tokenizer.encode(what), supervised)
        return Piece("", Encoded(what), supervised)

    def _encode(self, text: str) -> Encoded:
        if self.options.add_special_tokens:
            return self.tokenizer.encode_with_special(text)
        return self.tokenizer.encode(text)

    def _call(
        self,
        conversation: Conversation,
        purpose: Purpose,
        *,
        given: tuple[list[dict[str, Any]], list[dict[str, Any]] | None] | None = None,
        continued: bool = False,
    ) -> FunctionResult:
        messages, tools = given or (conversation.to_list(), conversation.tool_list() or None)
        offered = {
            "messages": messages,
            "purpose": purpose,
            "add_generation_prompt": purpose == "generate",
            "tokenizer": self.tokenizer.hf,
            "tools": tools,
            "continue_final_message": continued,
        }
        arguments = {name: offered[name] for name in self._arguments}
        try:
            # Without a parameter of that name, the messages are the first argument.
            value = self._function(**arguments) if "messages" in arguments else self._function(messages, **arguments)
        except (Unsupported, RenderError):
            raise
        except (Exception, SystemExit) as error:
            raise RenderError(f"{self.options.function} raised {type(error).__name__}: {error}") from error
        return parse_result(value)

    def _locate(self, conversation: Conversation, purpose: Purpose, text: str) -> tuple[ContentSpan, ...] | None:
        if purpose not in self._locators:
            self._locators[purpose] = ContentLocator(lambda probe: self._call(probe, purpose).text or "")
        return self._locators[purpose].locate(conversation, text)

    def _resolve(self, options: PythonOptions) -> Callable[..., Any]:
        """Import the function; the file that it is in is an artefact."""
        source, _, name = options.function.rpartition(":")
        module, label = self._load(source)
        function = self._find(module, name)
        if module.__file__ is not None and Path(module.__file__).is_file():
            self.artefacts.append(Artefact(label, sha256_file(Path(module.__file__)), Path(module.__file__)))
        return function

    def _load(self, source: str) -> tuple[ModuleType, str]:
        try:
            if source.endswith(".py"):
                return _load_file(self.context.folder / source, self._place), source
            return importlib.import_module(source), source
        except ModuleNotFoundError as error:
            if error.name is None or not f"{source}.".startswith(f"{error.name}."):
                raise self._broken(source, error) from error
            raise UsageError(
                f"There is no module {error.name!r} to import.",
                where=self._place,
                hint=f"install the package, or name a file: {_SHAPES}",
            ) from error
        except TemplateChecksError:
            raise
        except (Exception, SystemExit) as error:
            raise self._broken(source, error) from error

    def _broken(self, source: str, error: BaseException) -> ArtefactError:
        return ArtefactError(
            f"{source} raised {type(error).__name__} while it was imported: {error}.", where=self._place
        )

    def _find(self, module: ModuleType, name: str) -> Callable[..., Any]:
        try:
            function = operator.attrgetter(name)(module)
        except AttributeError as error:
            known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            raise UsageError(
                f"There is no function {name!r} in it.",
                where=self._place,
                hint=f"{did_you_mean(name, known)} it has: {', '.join(known) or 'no functions'}".lstrip(),
            ) from error
        if not callable(function):
            raise UsageError(f"{name!r} is a {type(function).__name__}, not a function.", where=self._place)
        return function  # type: ignore[no-any-return]


def accepted_arguments(function: Callable[..., Any], place: str) -> tuple[str, ...]:
    """Which of the offered arguments a function takes by name; without `messages`, those come first.

    Raises:
        UsageError: it takes no messages, or wants more than is offered.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # built in: nothing is known about it
        return ()
    parameters = signature.parameters.values()
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    first = next((p for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)), None)
    given = [name for name in _OFFERED if name in named or takes_any]
    if "messages" not in named and first is not None:
        given = [name for name in given if name not in ("messages", first.name)]
    try:
        signature.bind(*([] if "messages" in given else [None]), **dict.fromkeys(given))
    except TypeError as error:
        raise UsageError(
            f"The function cannot be called: {error}.",
            where=place,
            hint=f"it is called as function(messages), or with those of {', '.join(_OFFERED)} it has",
        ) from error
    return tuple(given)


def _load_file(path: Path, place: str) -> ModuleType:
    """Import a file; modules beside it can be imported by it meanwhile, as for a script."""
    if not path.is_file():
        raise UsageError("The Python file does not exist.", where=f"{place} ({path})")
    name = "template_checks_user_" + sha256_text(str(path.resolve()))[:16]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError("The file cannot be imported as Python.", where=f"{place} ({path})")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    beside = str(path.parent.resolve())
    sys.path.insert(0, beside)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(beside)
    return module
