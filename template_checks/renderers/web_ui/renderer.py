"""The prompt of a Web UI (Streamlit, Gradio, FastAPI), built by the script's own code without running the app."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from jinja2 import TemplateError
from pydantic import Field

from template_checks.core.content_spans import ContentLocator
from template_checks.core.conversation import Conversation, Purpose
from template_checks.core.errors import ArtefactError, RenderError, Unsupported, UsageError
from template_checks.core.rendering import Artefact, ContentSpan, Encoded, Piece, Rendering
from template_checks.renderers.base import Context, OptionsType, Renderer, RendererOptions, Served
from template_checks.renderers.web_ui.analysis.builders import find_builder
from template_checks.renderers.web_ui.analysis.plan import Plan, count_ways, make_plan, unreachable
from template_checks.renderers.web_ui.analysis.script import Extracted, Script
from template_checks.renderers.web_ui.analysis.settings import generation_defaults, special_tokens
from template_checks.renderers.web_ui.analysis.slicing import IRRELEVANT
from template_checks.renderers.web_ui.analysis.source_literals import find_source_literals
from template_checks.renderers.web_ui.analysis.state import Choices
from template_checks.renderers.web_ui.analysis.stops import ScriptStops, find_stops
from template_checks.renderers.web_ui.sandbox.process import Sandbox

WITH, WITHOUT = "with-special-tokens", "without-special-tokens"
UNKNOWN_STOPS = (
    "the script leaves the stop tokens to the model's generation_config.json, which the target does not name; "
    "add generation_config = …"
)
PROBE = "qz0vxk0zq"
"""A message no template contains."""


class WebUIOptions(RendererOptions):
    """The table of a `web-ui` renderer. All but `script` settle what the source leaves open."""

    script: str = Field(description="the Web UI's script, relative to the configuration file")
    function: str | None = Field(None, description="the function that builds the prompt, where there are several")
    session_key: str | None = Field(None, description="the session-state key that holds the history")
    system_key: str | None = Field(None, description="the session-state key that holds the system prompt")
    roles: dict[str, str] = Field(default_factory=dict, description="OpenAI role → the script's word for it")
    tokenize: Literal["with-special-tokens", "without-special-tokens"] | None = Field(
        None, description="how the prompt is tokenized, where the script does not show it"
    )


class WebUIRenderer(Renderer):
    """Finds the prompt builder of a script, runs it in a sandbox, tokenizes as the script does.

    Raises:
        UsageError: no such script or function, or something must be chosen.
        ArtefactError: the prompt builder cannot be found or run.
    """

    type: ClassVar[str] = "web-ui"
    summary: ClassVar[str] = "the prompt that a Streamlit, Gradio or FastAPI script builds, by the script's own code"
    Options: ClassVar[OptionsType] = WebUIOptions
    purposes = frozenset({"generate"})
    sees_clock = False
    seconds: ClassVar[float] = 5.0
    """Wall-clock limit of one prompt."""

    def __init__(self, name: str, options: Any, context: Context) -> None:
        """Read the script and try its builder once."""
        super().__init__(name, options, context)
        self.script = Script.read(context.folder / options.script)
        self.artefacts.append(Artefact(options.script, self.script.sha256, context.folder / options.script))
        builder = find_builder(self.script, options.function)
        self._choices = Choices(options.session_key, options.system_key, options.roles, context.system)
        self.plan, self._sandbox = self._first_that_runs(builder)
        self.source_literals.extend(find_source_literals(self.script, self.plan.nodes, builder.name))
        self._special = self._find_special()
        self._locator = ContentLocator(lambda conversation: self._text(conversation)[0])
        self._stops = find_stops(self.script, self.tokenizer.hf)
        self.served = self._find_served(self._stops)
        self._generation = generation_defaults(self.script)
        self.notes.extend(self._stops.notes)
        self._add_notes()

    def _first_that_runs(self, builder: Any) -> tuple[Plan, Sandbox]:
        ways = count_ways(self.script, builder)
        for way in range(ways):
            try:
                chosen = make_plan(self.script, builder, way, self._choices, self._tokenizer_facts())
                return chosen, self._probed(chosen)
            except (UsageError, ArtefactError, RenderError) as error:
                if way + 1 < ways:
                    why = error.what if isinstance(error, (UsageError, ArtefactError)) else str(error)
                    self.notes.append(f"{builder.name} is run on its own, not where the app calls it: {why}")
                elif isinstance(error, RenderError):
                    raise unreachable(self.script, builder, error) from None
                else:
                    raise
        raise AssertionError("there is at least one way")

    def _probed(self, chosen: Plan) -> Sandbox:
        """A sandbox in which the plan works for one turn and for two."""
        sandbox = Sandbox(chosen.program, self._apply_template, seconds=self.seconds)
        one = [("user", PROBE)]
        try:
            for turns in (one, [("user", "a"), ("assistant", "b"), *one]):
                try:
                    built = sandbox.call(chosen.inputs(Conversation.of(*turns)))
                    text = built.text if built.template is None else self._apply_template(*built.template)
                except Unsupported:
                    continue
                if text is None:
                    raise RenderError("it gives back nothing")
                if PROBE not in text:
                    raise RenderError("the prompt does not hold the user's message")
        except BaseException:
            sandbox.close()
            raise
        return sandbox

    def _tokenizer_facts(self) -> dict[str, Any]:
        hf = self.tokenizer.hf
        names = [f"{kind}_token{suffix}" for kind in ("bos", "eos", "pad", "unk") for suffix in ("", "_id")]
        return {name: getattr(hf, name, None) for name in names}

    def render(self, conversation: Conversation, purpose: Purpose) -> Rendering:
        """Render what the app sends when the user has just sent the last message.

        Raises:
            Unsupported: the script cannot hold this conversation.
            RenderError: the script fails on it.
        """
        if purpose not in self.purposes or conversation.purpose not in self.purposes:
            raise Unsupported("a Web UI renders prompts only")
        held = self._held(conversation)
        text, encoded = self._encoded(held)
        spans = self._locator.locate(held, text)
        left_out = len(conversation.messages) - len(held.messages)
        if spans is not None and left_out:
            spans = tuple(ContentSpan(s.message + left_out, s.start, s.end) for s in spans)
        return Rendering((Piece(text, encoded),), spans)

    def after_fork(self) -> None:
        """Leave the sandbox to the process that started it."""
        self._sandbox.forget()

    def close(self) -> None:
        """End the sandbox."""
        self._sandbox.close()

    def _held(self, conversation: Conversation) -> Conversation:
        """Without the deployment's system prompt where the script has no place for one."""
        first = conversation.messages[0] if conversation.messages else None
        if first is None or first.role != "system" or first.extra or first.content != self.context.system:
            return conversation
        takes_system = "system" in self.plan.names and not self.plan.supplies_system
        if takes_system and (self.plan.by_client or not self.plan.roles.open):
            return conversation
        return Conversation(conversation.messages[1:], conversation.tools)

    def _text(self, conversation: Conversation) -> tuple[str, bool]:
        """The prompt, and whether special tokens are added."""
        built = self._sandbox.call(self.plan.inputs(conversation))
        if built.template is not None:
            return self._apply_template(*built.template), False
        if built.text is None:
            raise Unsupported("the script sends nothing for this message")
        if self.options.tokenize is None and built.add_special_tokens is not None:
            return built.text, built.add_special_tokens
        return built.text, self._special is not None and bool(self._special.value)

    def _encoded(self, conversation: Conversation) -> tuple[str, Encoded]:
        text, special = self._text(conversation)
        return text, self.tokenizer.encode_with_special(text) if special else self.tokenizer.encode(text)

    def _apply_template(self, messages: list[dict[str, Any]], kwargs: dict[str, Any]) -> str:
        given = {key: value for key, value in kwargs.items() if key not in IRRELEVANT and key != "tokenize"}
        try:
            text: str = self.tokenizer.hf.apply_chat_template(messages, tokenize=False, **given)
        except TemplateError as error:
            raise Unsupported(f"the chat template refuses it: {error}") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RenderError(f"apply_chat_template fails: {error}") from None
        return text

    def _find_special(self) -> Extracted | None:
        if self.options.tokenize is not None:
            return Extracted(self.options.tokenize == WITH, 0)
        by_script = self._sandbox_tokenizes()
        if by_script is not None:
            return by_script
        found = special_tokens(self.script)
        if found is None:
            raise UsageError(
                "How the prompt is tokenized cannot be found.",
                where=self.script.name,
                hint="there is neither tokenizer(prompt) nor tokenizer.encode(prompt); "
                f'set tokenize = "{WITH}" or "{WITHOUT}"',
            )
        return found

    def _sandbox_tokenizes(self) -> Extracted | None:
        """The tokenizer call that the builder itself reaches."""
        try:
            built = self._sandbox.call(self.plan.inputs(Conversation.of(("user", PROBE))))
        except Unsupported:
            return None
        target = self.plan.builder.target
        line = target.lineno if target is not None else self.plan.builder.line
        if built.template is not None:
            return Extracted(False, line)
        return None if built.add_special_tokens is None else Extracted(built.add_special_tokens, line)

    def _find_served(self, script: ScriptStops) -> Served:
        model = self.context.stop_ids
        if script.replaces:
            return Served(tuple(script.stops))
        if not script.stops and model is None:
            return Served(unknown=UNKNOWN_STOPS)
        if model is None:
            self.notes.append(
                "the script adds its stops to those of the model's generation_config.json, "
                "which the target does not name"
            )
        return Served((*script.stops, *(model or ())))

    def _add_notes(self) -> None:
        chosen = self.plan
        if chosen.greeting is not None:
            self.notes.append(
                f"{self.script.where(chosen.greeting.line)}: the history starts with "
                f"{len(chosen.greeting.value)} message(s) of the script; they come first in every prompt"
            )
        for key, line in chosen.session_lines.items():
            if chosen.session.get(key) == self.context.system and self.context.system is not None:
                self.notes.append(f"st.session_state.{key} (line {line}) is given the deployment's system prompt")
        for name in chosen.system_arguments if self.context.system is not None else ():
            self.notes.append(f"parameter {name} of {chosen.builder.name} is given the deployment's system prompt")
        if "datetime" in chosen.program.modules:
            self.notes.append("the prompt builder uses datetime: its prompt may change from one day to the next")
        if not chosen.kinds & {"messages", "pairs", "request"}:
            self.notes.append("the script sends the last message only, no history")

    def describe(self) -> dict[str, Any]:
        """What was extracted, each with its line."""
        chosen = self.plan
        builder = chosen.builder
        special = self._special
        return {
            "function": {"name": builder.name, "kind": builder.kind, "line": builder.line},
            "session_key": chosen.session_key,
            "roles": {
                role: {"value": word, "line": chosen.roles.compared.get(word, chosen.roles.stored.get(word))}
                for role, word in chosen.names.items()
            },
            "greeting": chosen.greeting.to_json() if chosen.greeting else None,
            "tokenizer_call": None
            if special is None
            else {"adds_special_tokens": special.value, "line": special.line or None},
            "stops": [stop.to_json() for stop in self._stops.found],
            "generation": {name: value.to_json() for name, value in self._generation.items()},
        }
