"""XTuner's prompt templates: the ids and labels that a model was fine-tuned on."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from template_checks.core.conversation import Conversation, Message, Purpose
from template_checks.core.errors import Unsupported, UsageError
from template_checks.core.rendering import Artefact, Rendering, SourceLiteral, Stop
from template_checks.renderers.base import Context, Renderer, RendererOptions
from template_checks.renderers.xtuner.config import TrainingConfig, read_config
from template_checks.renderers.xtuner.encode import Draft, Filled, bos_eos_ids, fill_in
from template_checks.renderers.xtuner.library import MIRRORED_VERSION, library
from template_checks.renderers.xtuner.templates import PromptTemplate, prompt_template
from template_checks.renderers.xtuner.turns import Turn, to_turns
from template_checks.sources.cache import sha256_file


class XTunerOptions(RendererOptions):
    """Options of an `xtuner` renderer; exactly one of `template` and `config`."""

    template: str | dict[str, Any] | None = Field(
        None, description='a name of XTuner\'s PROMPT_TEMPLATE, or { INSTRUCTION = "…{input}…", … }'
    )
    config: str | None = Field(None, description="the XTuner config that was trained with")
    xtuner_version: str | None = Field(
        None,
        pattern=r"^[0-9][0-9A-Za-z.]*$",
        description="whose templates; default: the installed XTuner, else 0.2.0",
    )
    max_length: int | None = Field(None, ge=1, description="truncate as in training; default: as the config says")
    tokenizer_class: str | None = Field(
        None, description="class name of the tokenizer in training, where it decides on BOS"
    )


class XTunerRenderer(Renderer):
    """The training path of XTuner 0.2.0: `openai_map_fn`, `template_map_fn`, `encode_fn`.

    Every instruction, answer and separator is tokenized on its own. For `generate`, the ids are those that
    stood in front of the answer in training. XTuner's later steps (dropping samples without supervision,
    packing) are not part of a conversation's rendering.

    Raises:
        UsageError: the template or the config is not there or not readable.
        ArtefactError: XTuner's templates cannot be had, or XTuner cannot encode with this tokenizer.
    """

    type: ClassVar[str] = "xtuner"
    summary: ClassVar[str] = "the ids and labels XTuner 0.2.0 trains on, from its prompt template"
    Options = XTunerOptions
    labelled = "yes"
    gives_labels = True
    masks_padding = False  # its collator pads ids and labels apart

    def __init__(self, name: str, options: XTunerOptions, context: Context) -> None:
        """Find the template, and what XTuner puts around a turn with this tokenizer."""
        super().__init__(name, options, context)
        self._place = f"{name}.config" if options.config is not None else f"{name}.template"
        self._config: TrainingConfig | None = None
        self._version = "inline"
        self.template = self._find_template(options, context)
        self.max_length = self._config.max_length if self._config else options.max_length
        self.bos, self.eos = bos_eos_ids(
            self.tokenizer, options.tokenizer_class, needs_eos=not self.template.suffix_as_eos
        )
        self.artefacts.append(Artefact(self._label, self.template.sha256))
        self.source_literals = self._literals()
        self.taught = self._taught()

    def render(self, conversation: Conversation, purpose: Purpose) -> Rendering:
        """Ids and labels as `encode_fn` gives them; one piece for each string it tokenizes.

        Raises:
            Unsupported: XTuner's format cannot hold the conversation, or training never shows it.
            RenderError: the template cannot be filled with a content.
        """
        messages = conversation.messages
        if purpose == "train" and conversation.purpose != "train":
            raise Unsupported("XTuner leaves out what comes after the last assistant message")
        if purpose == "generate":
            if conversation.purpose != "generate":
                raise Unsupported("XTuner's training never continues an assistant message")
            messages = (*messages, Message("assistant", ""))
        draft = self._draft(to_turns(messages), answered=purpose == "train")
        if self.max_length is not None and draft.count > self.max_length:
            if purpose == "generate":
                raise Unsupported(f"XTuner's max_length {self.max_length} cuts off the answer to such a prompt")
            return draft.truncated(self.max_length)
        return draft.rendering()

    def describe(self) -> dict[str, Any]:
        """The template's name, version, and keys with their places; what the config says."""
        facts: dict[str, Any] = {
            "template": self.template.name,
            "xtuner": self._version,
            "keys": dict(self.template.where),
            "bos_ids": list(self.bos),
            "max_length": self.max_length,
        }
        if self._config is not None:
            facts["config"] = self.options.config
            facts["pack_to_max_length"] = self._config.pack_to_max_length
            facts["SYSTEM"] = self._config.system
        return facts

    @property
    def _label(self) -> str:
        return f"xtuner {self._version}: {self.template.name}"

    def _find_template(self, options: XTunerOptions, context: Context) -> PromptTemplate:
        if (options.template is None) == (options.config is None):
            raise UsageError(
                "An xtuner renderer needs exactly one of `template` and `config`.",
                where=self.name,
                hint='for example template = "internlm2_chat"',
            )
        template: Any = options.template
        place = self._place
        if options.config is not None:
            path = context.folder / options.config
            self._config = read_config(path, options.config, max_length=options.max_length)
            self.notes.extend(self._config.notes)
            self.artefacts.append(Artefact(options.config, sha256_file(path), path))
            template, place = self._config.template, f"{options.config}:{self._config.line}"
        if isinstance(template, PromptTemplate):
            return template
        if isinstance(template, dict):
            where = {key: f"{place}.{key}" for key in template}
            return prompt_template("template", template, where, place=place, strict=True)
        source = library(options.xtuner_version, offline=context.offline)
        self._version = source.version
        if source.version != MIRRORED_VERSION:
            self.notes.append(
                f"templates of XTuner {source.version}, encoded as XTuner {MIRRORED_VERSION} encodes them"
            )
        return source.get(template, place=place)

    def _literals(self) -> list[SourceLiteral]:
        return [
            SourceLiteral(value, self.template.where[key], f"{self.template.name}.{key}")
            for key, value in self.template.values.items()
            if isinstance(value, str) and value
        ]

    def _taught(self) -> tuple[Stop, ...]:
        """`xtuner chat` finds STOP_WORDS in decoded text; the end of a trained answer is SUFFIX or EOS."""
        template = self.template
        source = {key: f"{template.name}.{key} ({where})" for key, where in template.where.items()}
        stops = [Stop(source["STOP_WORDS"], text=word, by_text=True) for word in template.stop_words]
        if not template.suffix_as_eos:
            stops += [Stop(f"{template.name}: EOS after each answer", id=index) for index in self.eos]
        elif template.suffix:
            stops.append(Stop(source["SUFFIX"], text=template.suffix))
        return tuple(stops)

    def _draft(self, turns: list[Turn], *, answered: bool) -> Draft:
        """`template_map_fn` and `encode_fn`; without the last answer where it is still to be given."""
        template, draft = self.template, Draft(self.tokenizer)
        needs_bos = True
        for number, turn in enumerate(turns, start=1):
            if needs_bos:
                draft.add_ids(self.bos, supervised=False)
            draft.add_text(self._instruction(turn, number))
            if not answered and number == len(turns):
                break
            index, output = turn.output
            draft.add_text([Filled(output + template.suffix, 0, ((index, output),))], turn.output_with_loss)
            if not template.suffix_as_eos:
                draft.add_ids(self.eos, supervised=turn.output_with_loss)
            needs_bos = not template.suffix_as_eos
            draft.add_text([Filled(template.sep, 0, ())])
        return draft

    def _instruction(self, turn: Turn, number: int) -> list[Filled]:
        filled = []
        if turn.system is not None and turn.system[1] != "":
            if self.template.system is None:
                raise Unsupported(
                    f"template {self.template.name} has no SYSTEM; XTuner raises AttributeError on a system message"
                )
            filled.append(fill_in(self.template.system, (turn.system,)))
        filled.append(fill_in(self.template.instruction, turn.inputs, round=number))
        return filled
