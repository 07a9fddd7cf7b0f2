"""Turns a folder, `npm:`, `hub:` or `modelscope:` specification into a `Tokenizer`."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from template_checks.core.errors import ArtefactError, UsageError
from template_checks.core.rendering import Artefact
from template_checks.core.suggest import nearest
from template_checks.core.tokenizer import Tokenizer
from template_checks.sources import repair as repairing
from template_checks.sources.cache import sha256_file
from template_checks.sources.files import Located, artefacts, read_object, read_text

_SCHEMES = ("hub", "modelscope", "npm")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_FORMS = "a folder, ORG/NAME on the Hub, hub:ORG/NAME, modelscope:ORG/NAME or npm:PACKAGE@VERSION"


def load_tokenizer(
    spec: str,
    *,
    folder: Path,
    revision: str | None = None,
    trust_remote_code: bool = False,
    chat_template: Path | None = None,
    repair: bool = True,
    offline: bool = False,
) -> Tokenizer:
    """Load the tokenizer that `spec` names.

    Args:
        spec: a folder, `npm:PACKAGE@VERSION`, `hub:ORG/NAME`, `ORG/NAME` or `modelscope:ORG/NAME`.
        folder: what relative paths are relative to.
        revision: commit, branch or tag, for the Hub and ModelScope.
        trust_remote_code: run code that the tokenizer's repository ships.
        chat_template: a Jinja file that takes the place of the tokenizer's own chat template.
        repair: rename vocabulary entries that are declared as special tokens under another name.
        offline: use what is on this machine, and nothing else.

    Raises:
        UsageError: `spec` names nothing, or is not pinned where it must be.
        ArtefactError: the tokenizer cannot be fetched, read or loaded.
    """
    located = _locate(spec, folder, revision, trust_remote_code, offline)
    files = artefacts(located, trust_remote_code)
    template = None
    if chat_template is not None:
        path = folder / chat_template
        if not path.is_file():
            raise ArtefactError("The chat template does not exist.", where=str(path))
        template = read_text(path)
        files = (*files, Artefact(str(chat_template), sha256_file(path), path))
    hf, declared, repairs = _load(located, trust_remote_code, repair, offline)
    if template is not None:
        hf.chat_template = template
    return Tokenizer(
        hf,
        source=spec,
        declared=declared,
        repairs=repairs,
        artefacts=files,
        folder=located.folder,
        notes=located.notes,
    )


def _locate(spec: str, folder: Path, revision: str | None, trust: bool, offline: bool) -> Located:
    scheme, colon, rest = spec.partition(":")
    if colon and scheme in _SCHEMES:
        return _fetch(scheme, rest, folder, revision, trust, offline)
    path = _path(spec, folder)
    if spec and path.is_dir():
        pinned = (f"revision {revision!r} does not apply to a folder: {spec}",) if revision else ()
        return Located(path.resolve(), spec.rstrip("/"), pinned)
    if path.is_file():
        raise UsageError(f"{spec!r} is a file.", where=str(path), hint="name the folder that holds tokenizer.json")
    if _REPOSITORY.fullmatch(spec):
        try:
            return _fetch("hub", spec, folder, revision, trust, offline)
        except ArtefactError as error:
            error.hint = f"{error.hint or ''}; looked for a folder first: {path}".lstrip("; ")
            raise
    near = nearest(scheme, _SCHEMES) if colon else None
    raise UsageError(
        f"No tokenizer {spec!r}: there is no such folder, and it names no repository.",
        where=str(path),
        hint=f"did you mean {near}:{rest}?" if near else f"name {_FORMS}",
    )


def _path(spec: str, folder: Path) -> Path:
    """`spec` as a path; "~" is the user's own folder."""
    try:
        return folder / Path(spec).expanduser()
    except RuntimeError:  # "~name" of nobody
        return folder / spec


def _fetch(scheme: str, rest: str, folder: Path, revision: str | None, trust: bool, offline: bool) -> Located:
    if scheme == "npm":
        from template_checks.sources.npm import from_npm

        located = from_npm(rest, folder=folder, offline=offline)
        note = (f"revision {revision!r} does not apply to npm:{rest}, whose version is exact",)
        return replace(located, notes=note) if revision else located
    if not _REPOSITORY.fullmatch(rest):
        raise UsageError(f"{scheme}:{rest} is not a repository name.", hint=f"write {scheme}:ORG/NAME")
    if scheme == "hub":
        from template_checks.sources.hub import from_hub

        return from_hub(rest, revision=revision, trust_remote_code=trust, offline=offline)
    from template_checks.sources.modelscope import from_modelscope

    return from_modelscope(rest, revision=revision, trust_remote_code=trust, offline=offline)


def _load(located: Located, trust: bool, repair: bool, offline: bool) -> tuple[Any, dict[int, str], tuple[str, ...]]:
    """The transformers tokenizer, what it declares, and the repairs made."""
    config = _read_if_there(located.folder / "tokenizer_config.json") or {}
    _read_if_there(located.folder / "config.json")
    tokenizer_json = _read_if_there(located.folder / "tokenizer.json")
    renames: repairing.Renames = {}
    with ExitStack() as stack:
        source = located.folder
        try:
            declared = repairing.declared_tokens(config, tokenizer_json)
            if repair and tokenizer_json:
                renames = repairing.needed_renames(declared, tokenizer_json)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ArtefactError(
                f"tokenizer.json is not laid out as the tokenizers library writes it ({error!r}).",
                where=str(located.folder / "tokenizer.json"),
            ) from error
        if renames and tokenizer_json:
            source = stack.enter_context(repairing.repaired_copy(source, tokenizer_json, renames))
        stack.enter_context(_quiet())
        hf = _instantiate(source, located, config, trust, offline)
    hf.name_or_path = str(located.folder)
    backend = getattr(hf, "backend_tokenizer", None)
    if backend is not None:  # as every call of hf(text) does; `Tokenizer` asks the backend directly
        backend.no_truncation()
        backend.no_padding()
    return (
        hf,
        declared or {int(i): t.content for i, t in hf.added_tokens_decoder.items()},
        repairing.sentences(renames),
    )


def _read_if_there(path: Path) -> dict[str, Any] | None:
    return read_object(path) if path.exists() else None


def _instantiate(source: Path, located: Located, config: dict[str, Any], trust: bool, offline: bool) -> Any:
    """Load with the class transformers takes, or plainly from tokenizer.json where it knows no such class."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    has_json = (source / "tokenizer.json").is_file()
    named = _class_named(config, source)
    known = _is_known(named)
    plain = has_json and not trust and not known
    if not has_json and not known and not trust:
        raise _no_way_to_load(located, named)
    try:
        if plain:
            hf: Any = PreTrainedTokenizerFast.from_pretrained(str(source), local_files_only=True)
            _add_bos_eos_as_configured(hf, config)
            return hf
        return AutoTokenizer.from_pretrained(
            str(source), trust_remote_code=trust, local_files_only=offline or not trust
        )
    except BaseException as error:
        # a panic of the Rust library is no Exception, yet it only says that the file is broken
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise ArtefactError(
            f"transformers cannot load this tokenizer: {reason.rstrip('.')[:300]}.",
            where=located.name if str(source) in reason else str(located.folder),
        ) from error


def _class_named(config: dict[str, Any], source: Path) -> str | None:
    """The tokenizer class that the configs name; where they name only a model type, that type's class."""
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    model = _read_if_there(source / "config.json") or {}
    named = config.get("tokenizer_class") or model.get("tokenizer_class")
    if named:
        return str(named)
    entry: Any = TOKENIZER_MAPPING_NAMES.get(model.get("model_type", ""))
    if isinstance(entry, tuple):  # transformers 4: (slow, fast)
        entry = entry[1] or entry[0]
    return str(entry) if entry else None


def _is_known(named: str | None) -> bool:
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    if named is None:
        return False
    stem = named.removesuffix("Fast")
    return any(tokenizer_class_from_name(name) is not None for name in (stem, f"{stem}Fast"))


def _no_way_to_load(located: Located, named: str | None) -> ArtefactError:
    if named is None and not (located.folder / "tokenizer_config.json").is_file():
        return ArtefactError(
            "There is no tokenizer in this folder: neither tokenizer.json nor tokenizer_config.json.",
            where=str(located.folder),
        )
    return ArtefactError(
        f"There is no tokenizer.json, and transformers has no tokenizer class {named or '(none named)'}.",
        where=str(located.folder),
        hint="trust_remote_code = true runs the code it ships; or name a tokenizer that has a tokenizer.json",
    )


def _add_bos_eos_as_configured(hf: Any, config: dict[str, Any]) -> None:
    """Follow `add_bos_token` and `add_eos_token`, as the class that is not there would.

    transformers 5 does so for the plain class, 4 does not.
    """
    if not {"add_bos_token", "add_eos_token"} & config.keys():
        return
    from tokenizers.processors import TemplateProcessing

    bos = hf.bos_token if config.get("add_bos_token") else None
    eos = hf.eos_token if config.get("add_eos_token") else None

    def around(part: str, kind: int) -> list[str]:
        return [*([f"{bos}:{kind}"] if bos else []), f"{part}:{kind}", *([f"{eos}:{kind}"] if eos else [])]

    hf.backend_tokenizer.post_processor = TemplateProcessing(
        single=around("$A", 0),
        pair=[*around("$A", 0), *around("$B", 1)],
        special_tokens=[(token, hf.convert_tokens_to_ids(token)) for token in dict.fromkeys((bos, eos)) if token],
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' own warnings to itself, unless the user has asked for them."""
    variable = "TRANSFORMERS_VERBOSITY"
    if variable in os.environ:
        yield
        return
    os.environ[variable] = "error"  # read on import, which itself warns where torch is missing
    try:
        from transformers.utils import logging as untyped
    finally:
        del os.environ[variable]
    logging: Any = untyped
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)
