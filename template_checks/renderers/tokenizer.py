"""The model's own chat template, through transformers."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import jinja2
import jinja2.ext
import jinja2.nodes
from pydantic import Field

from template_checks.core.content_spans import ContentLocator
from template_checks.core.conversation import Conversation, Feature, Purpose
from template_checks.core.errors import ArtefactError, RenderError, Unsupported, UsageError
from template_checks.core.limits import MAX_TEXT, TimeLimitError, limited
from template_checks.core.rendering import IGNORE_INDEX, Artefact, Piece, Rendering, SourceLiteral
from template_checks.renderers.base import Context, OptionsType, Renderer, RendererOptions
from template_checks.renderers.result_parsing import rendering_of_text
from template_checks.sources.cache import sha256_file

_GENERATION_BLOCK = r"\{%-?\s*generation\s*-?%\}"
"""How transformers recognizes the block."""


class TokenizerOptions(RendererOptions):
    """Options of a `tokenizer` renderer."""

    chat_template: str | None = Field(None, description="a Jinja file to use instead of the tokenizer's own template")
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="further template variables, such as enable_thinking = false"
    )
    masks_padding: bool | None = Field(
        None, description="the collator in training sets the label of every padding id to -100"
    )


class TokenizerRenderer(Renderer):
    """`apply_chat_template` of transformers 4.48 to 5.x, for training (no generation prompt) and generation.

    Raises:
        ArtefactError: the tokenizer has no chat template, or the template cannot be parsed.
    """

    type: ClassVar[str] = "tokenizer"
    summary: ClassVar[str] = "the tokenizer's own chat template, through transformers"
    Options: ClassVar[OptionsType] = TokenizerOptions
    labelled = "where the template marks what the model writes"

    def __init__(self, name: str, options: TokenizerOptions, context: Context) -> None:
        """Find the template and parse it once, so that a broken one is reported before the run."""
        super().__init__(name, options, context)
        self.template, self.where = self._find_template(options, context)
        tree = _parse(self.template, self.where)
        self.source_literals = _literals(tree, self.where)
        self.features = _features(tree)
        # Labels only where the template says which tokens the assistant generates.
        self.gives_labels = re.search(_GENERATION_BLOCK, self.template) is not None
        self.masks_padding = options.masks_padding
        self.artefacts = [self._artefact()]
        self._locators: dict[Purpose, ContentLocator] = {}
        self._verified: set[Purpose] = set()
        self._endless: TimeLimitError | None = None

    def render(self, conversation: Conversation, purpose: Purpose) -> Rendering:
        """Render and tokenize as `apply_chat_template(…, tokenize=True)` does: no special tokens added."""
        text = self._text(conversation, purpose)
        encoded = self.tokenizer.encode(text)
        if purpose not in self._verified:
            self._verify(conversation, purpose, encoded.ids)
        if purpose not in self._locators:
            self._locators[purpose] = ContentLocator(lambda probe: self._text(probe, purpose))
        contents = self._locators[purpose].locate(conversation, text)
        labels = self._labels(conversation) if self.gives_labels and purpose == "train" else None
        return rendering_of_text(text, encoded, contents, labels)

    def render_continued(self, conversation: Conversation) -> Rendering:
        """`apply_chat_template(…, continue_final_message=True)`."""
        text = self._text(conversation, "train", continue_final_message=True)
        return Rendering((Piece(text, self.tokenizer.encode(text)),))

    def describe(self) -> dict[str, Any]:
        """The template's place and length, and the extra variables."""
        return {
            "template": self.where,
            "characters": len(self.template),
            "arguments": dict(self.options.arguments),
        }

    def _apply(self, conversation: Conversation, purpose: Purpose, *, tokenize: bool, **more: Any) -> Any:
        return self.tokenizer.hf.apply_chat_template(
            conversation.to_list(),
            tools=conversation.tool_list() or None,
            chat_template=self.template,
            tokenize=tokenize,
            add_generation_prompt=purpose == "generate",
            **more,
            **self.options.arguments,
        )

    def _labels(self, conversation: Conversation) -> tuple[int, ...]:
        """From the mask that transformers makes of the template's `{% generation %}` blocks."""
        result = self._apply(conversation, "train", tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
        pairs = zip(result["input_ids"], result["assistant_masks"], strict=True)
        return tuple(index if generated else IGNORE_INDEX for index, generated in pairs)

    def _text(self, conversation: Conversation, purpose: Purpose, **more: Any) -> str:
        if self._endless is not None:  # seconds for each of hundreds of conversations would be hours
            raise RenderError(f"not run again: {self._endless}")
        try:
            with limited():
                text: str = self._apply(conversation, purpose, tokenize=False, **more)
        except jinja2.TemplateError as error:
            # `raise_exception` in a template raises the base class itself: the template refuses the conversation.
            if type(error) is jinja2.TemplateError:
                raise Unsupported(f"the template refuses it: {error}") from error
            raise RenderError(f"the template raised {type(error).__name__}: {error}") from error
        except TimeLimitError as error:
            self._endless = error
            raise
        except (Unsupported, RenderError):
            raise
        except Exception as error:
            raise RenderError(f"the template raised {type(error).__name__}: {error}") from error
        if len(text) > MAX_TEXT:
            raise RenderError(f"the template produced {len(text):,} characters; the limit is {MAX_TEXT:,}")
        return text

    def _verify(self, conversation: Conversation, purpose: Purpose, ids: tuple[int, ...]) -> None:
        """Once a purpose: text and ids are had apart for speed; transformers' own ids must be the same."""
        result = self._apply(conversation, purpose, tokenize=True)
        own = tuple(result["input_ids"] if hasattr(result, "keys") else result)
        if own != ids:
            raise RenderError("apply_chat_template(tokenize=True) gives other ids than tokenizing its text")
        self._verified.add(purpose)

    def _artefact(self) -> Artefact:
        if self.options.chat_template is None:
            return Artefact(self.where, _sha256(self.template))
        path = self.context.folder / self.options.chat_template
        return Artefact(self.where, sha256_file(path), path)

    def _find_template(self, options: TokenizerOptions, context: Context) -> tuple[str, str]:
        if options.chat_template is not None:
            path = context.folder / options.chat_template
            if not path.is_file():
                raise UsageError("The chat template file does not exist.", where=str(path))
            return path.read_text(encoding="utf-8"), options.chat_template
        try:
            template = self.tokenizer.hf.get_chat_template()
        except ValueError:
            template = None
        if not template:
            raise ArtefactError(
                "The tokenizer has no chat template.",
                where=self.tokenizer.source,
                hint='give one: chat_template = { type = "tokenizer", chat_template = "template.jinja" }',
            )
        return template, f"chat template of {Path(self.tokenizer.source).name}"


def _sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _parse(template: str, where: str) -> jinja2.nodes.Template:
    """The template's syntax tree.

    Raises:
        ArtefactError: the template does not parse.
    """
    try:
        return _environment().parse(template)
    except jinja2.TemplateSyntaxError as error:
        raise ArtefactError(
            f"The chat template does not parse: {error.message}", where=f"{where}, line {error.lineno}"
        ) from error


def _features(tree: jinja2.nodes.Template) -> frozenset[Feature]:
    """What the template reads beyond roles and text. What it never reads it cannot express."""
    names = {node.name for node in tree.find_all(jinja2.nodes.Name) if node.ctx == "load"}
    keys = {node.attr for node in tree.find_all(jinja2.nodes.Getattr)}
    keys |= {node.value for node in tree.find_all(jinja2.nodes.Const) if isinstance(node.value, str)}
    tests = {node.name for node in tree.find_all(jinja2.nodes.Test)}
    found: set[Feature] = set()
    if "tools" in names:
        found.add("tools")
    if "tool_calls" in keys:
        found.add("tool-calls")
    if "reasoning_content" in keys:
        found.add("reasoning")
    if "text" in keys and tests & {"string", "iterable", "sequence", "mapping"}:
        found.add("parts")
    return frozenset(found)


def _literals(tree: jinja2.nodes.Template, where: str) -> list[SourceLiteral]:
    """String literals and template text with their lines."""
    nodes = [(node.lineno, node.data) for node in tree.find_all(jinja2.nodes.TemplateData)]
    nodes += [(node.lineno, node.value) for node in tree.find_all(jinja2.nodes.Const) if isinstance(node.value, str)]
    return [SourceLiteral(value, f"{where}, line {line}", "literal") for line, value in nodes if value]


@cache
def _environment() -> jinja2.Environment:
    """Parses what transformers parses: the same options, and its `{% generation %}` block."""

    class Generation(jinja2.ext.Extension):
        tags = {"generation"}  # noqa: RUF012 — as jinja2 declares it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.Scope(body, lineno=line)

    return jinja2.Environment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"])
