"""The Python API, as a project outside this repository uses it."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import template_checks as tc
from scripts import docs, docs_tables
from tests.meta.test_docs import code
from tests.systems import EXAMPLES, chatml

TOKENIZER = EXAMPLES / "internlm2" / "tokenizer"
HI = tc.Conversation.of(("user", "hi"))
ANSWERED = tc.Conversation.of(("user", "hi"), ("assistant", "hello"))

RIGHT = """
def build_prompt(messages):
    turns = "".join(f"<|im_start|>{m['role']}\\n{m['content']}<|im_end|>\\n" for m in messages)
    return f"<s>{turns}<|im_start|>assistant\\n"
"""
WRONG = RIGHT.replace("<|im_start|>assistant", "    <|im_start|>assistant")
SAMPLE = """

def build_sample(messages, tokenizer):
    text, learned = "<s>", []
    for m in messages:
        text += f"<|im_start|>{m['role']}\\n"
        begin = len(text)
        text += m["content"] + "<|im_end|>"
        if m["role"] == "assistant":
            learned.append((begin, len(text)))
        text += "\\n"
    coded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = coded["input_ids"]
    spans = coded["offset_mapping"]
    labels = [i if any(a < end and start < b for a, b in learned) else -100 for i, (start, end) in zip(ids, spans)]
    return {"text": text, "ids": ids, "labels": labels}
"""


def prompt(messages: list[dict[str, Any]]) -> str:
    return chatml(messages, "generate")


def stripped(messages: list[dict[str, Any]]) -> str:
    return chatml([{**m, "content": m["content"].strip()} for m in messages], "generate")


def target_of(function: Callable[..., Any] | tc.Function = prompt, **settings: Any) -> tc.Target:
    return tc.make_target(TOKENIZER, {"server": function}, **settings)


# A project outside


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(TOKENIZER, tmp_path / "tokenizer")
    return tmp_path


def run_project(folder: Path, test: str, prompts: str) -> tuple[int, str]:
    (folder / "prompts.py").write_text(prompts, encoding="utf-8")
    (folder / "test_prompts.py").write_text(test, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("page", ["README.md", "docs/python-api.md"])
def test_the_property_test_of_the_documents_passes_on_a_correct_function(project: Path, page: str) -> None:
    returncode, output = run_project(project, code(docs.read(page), "api"), RIGHT)
    assert returncode == 0, output
    assert "1 passed" in output


def test_it_fails_on_a_wrong_one_with_the_text_of_the_plugin(project: Path) -> None:
    returncode, output = run_project(project, code(docs.read("README.md"), "api"), WRONG)
    assert returncode == 1
    for text in (
        "AssertionError: scaffold white space",
        "✗ same-tokens   server differs from chat_template    generate · shrunk to 1 message",
        'user  ""',
        "^^^^^^^^^^ inserted",
        "Likely cause   scaffold white space: 4 spaces before <|im_start|>assistant⏎",
        "conversation=Conversation.of(('user', '')",
    ):
        assert text in output, output
    assert "template_checks/api.py" not in output  # pytest shows the test's own line
    assert "replay" not in output  # nothing was kept that could be replayed


@pytest.mark.parametrize(("prompts", "expected"), [(RIGHT, 0), (WRONG, 1)])
def test_the_run_of_the_documents(project: Path, prompts: str, expected: int) -> None:
    test = code(docs.read("docs/python-api.md"), "api-run")
    returncode, output = run_project(project, test, prompts + SAMPLE)
    assert returncode == expected, output
    assert ("AssertionError: not clean: 1 defect blocks" in output) is bool(expected)


TYPED = """
import template_checks as tc
from hypothesis import given


def build(messages: list[dict[str, str]]) -> str:
    return "".join(message["content"] for message in messages)


target: tc.Target = tc.make_target("tokenizer", {"server": build, "training": tc.Function(build, ("train",))})


@given(tc.conversations(target))
def test_tokens(conversation: tc.Conversation) -> None:
    tc.assert_same_tokens(target, "server", conversation)
    rendering: tc.Rendering = tc.render(target, "server", conversation)
    ids: tuple[int, ...] = rendering.ids


@tc.case_check("house", "Every rendering has tokens.")
def has_tokens(case: tc.Case) -> tc.CheckResult:
    if case.rendering.ids:
        return []
    return [tc.mismatch_at(case, tc.Cause.MISSING_SCAFFOLD, (), "it is empty", "the start", tc.TokenRange(0, 0))]


result: tc.RunResult = tc.run(target, profile="ci", checks=("same-tokens",))
causes: list[str] = [defect.cause for defect in result.defects]
result.assert_holds()
"""


def test_the_api_is_typed(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "typed.py").write_text(TYPED, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(TYPED + "tc.run(target, profile=3)\nresult.defect\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "typed.py", "wrong.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "typed.py:" not in done.stdout, done.stdout
    assert [line.rpartition("[")[2] for line in done.stdout.splitlines()[:-1]] == ["arg-type]", "attr-defined]"]


# What importing it does


def test_importing_the_package_imports_nothing_else() -> None:
    script = (
        "import sys, template_checks; "
        "print([m for m in sys.modules if m.startswith('template_checks.')], 'transformers' in sys.modules, "
        "'pydantic' in sys.modules, template_checks.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False", "False", tc.__version__]


@pytest.mark.parametrize("name", tc.__all__)
def test_every_public_name_resolves_and_is_described(name: str) -> None:
    assert getattr(tc, name) is getattr(tc, name)
    assert docs_tables.public_doc(name)


def test_the_package_lists_its_names() -> None:
    assert dir(tc) == sorted(tc.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tc.nothing  # noqa: B018


# Targets


def test_a_transformers_tokenizer_itself() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    target = tc.make_target(tokenizer, {"server": prompt})
    assert target.tokenizer.hf is tokenizer
    assert target.config.tokenizer == str(TOKENIZER)
    tc.assert_same_tokens(target, "server", HI)
    assert tc.run(target, profile="ci", checks=("same-tokens",)).exit_code == 0


TOML = '[{0}target.bot]\ntokenizer = "tokenizer"\nrenderers = {{ chat_template = {{ type = "tokenizer" }} }}\n'


@pytest.mark.parametrize(
    ("file", "prefix"), [("template-checks.toml", ""), ("pyproject.toml", "tool.template-checks.")]
)
def test_a_target_of_a_file(project: Path, monkeypatch: pytest.MonkeyPatch, file: str, prefix: str) -> None:
    (project / file).write_text(TOML.format(prefix), encoding="utf-8")
    monkeypatch.chdir(project)
    for target in (tc.load_target(), tc.load_target(project), tc.load_target(file, "bot", offline=True)):
        assert target.name == "bot"
        assert tc.render(target, "chat_template", HI).text == prompt(HI.to_list())


def test_a_file_without_the_target(project: Path) -> None:
    with pytest.raises(tc.UsageError, match="does not exist"):
        tc.load_target(project)
    (project / "template-checks.toml").write_text(TOML.format("") + TOML.format("").replace("bot", "cat"))
    with pytest.raises(tc.UsageError, match="Several targets") as several:
        tc.load_target(project)
    assert several.value.hint == "targets: bot, cat"
    with pytest.raises(tc.UsageError, match="Unknown target 'bit'") as unknown:
        tc.load_target(project, "bit")
    assert unknown.value.hint == "did you mean 'bot'?"
    assert unknown.value.where == str(project / "template-checks.toml")


def test_a_function_with_settings() -> None:
    def sample(messages: list[dict[str, Any]], tokenizer: Any) -> tuple[list[int], list[int]]:
        space: dict[str, Any] = {}
        exec(SAMPLE, space)
        return space["build_sample"](messages, tokenizer)  # type: ignore[no-any-return]

    target = target_of(tc.Function(sample, ("train",), {"labels": True}), stops=["<|im_end|>"])
    rendering = tc.render(target, "server", ANSWERED)
    assert rendering.labels is not None
    assert [i for i in rendering.labels if i != -100] == list(target.tokenizer.encode("hello<|im_end|>").ids)
    with pytest.raises(tc.Unsupported, match="not configured for generate"):
        tc.render(target, "server", HI)
    result = tc.run(target, profile="ci", checks=("loss-on-answers-only", "stop-trained"))
    assert [line.outcome for line in result.record.outcomes] == ["pass", "pass"]


def test_a_function_in_place_of_the_template() -> None:
    target = tc.make_target(TOKENIZER, {"chat_template": prompt, "server": stripped})
    assert list(target.renderers) == ["chat_template", "server"]
    assert target.reference.describe()["function"].endswith(":prompt")
    with pytest.raises(AssertionError, match="stripped content"):
        tc.assert_same_text(target, "server", tc.Conversation.of(("user", "hi ")))


def test_another_reference() -> None:
    target = tc.make_target(TOKENIZER, {"server": stripped}, reference="server")
    with pytest.raises(AssertionError, match="chat_template differs from server"):
        tc.assert_same_text(target, "chat_template", tc.Conversation.of(("user", "hi ")))


def no_arguments() -> str:
    return ""


@pytest.mark.parametrize(
    ("make", "what", "where", "hint"),
    [
        (lambda: target_of(sytem="x"), "Unknown key 'sytem'.", "target.target.sytem", "did you mean 'system'?"),
        (lambda: target_of(stops=1.5), "valid tuple", "make_target: target.target.stops", None),
        (lambda: target_of(reference="x"), "names no renderer", "target.reference", "its renderers: chat_template, s"),
        (
            lambda: target_of(tc.Function(prompt, settings={"lables": True})),
            "Unknown key 'lables'.",
            "make_target: renderers.server",
            "did you mean 'labels'?",
        ),
        (lambda: target_of(tc.Function(prompt, ("serve",))), "'train' or 'generate'", "renderers.server", None),  # type: ignore[arg-type]
        (lambda: target_of("prompt"), "callable", "renderers.server", None),  # type: ignore[arg-type]
        (lambda: target_of(no_arguments), "cannot be called", "server.function", "it is called as function(messages)"),
        (lambda: tc.make_target(None, {}), "of type NoneType", "make_target: tokenizer", "a transformers tokenizer"),
    ],
)
def test_a_wrong_setting_says_what_and_where(
    make: Callable[[], object], what: str, where: str, hint: str | None
) -> None:
    with pytest.raises(tc.UsageError) as raised:
        make()
    error = raised.value
    assert what in error.what
    assert where in (error.where or "")
    assert (hint or "") in (error.hint or "")


# Assertions and renderings


def test_a_renderer_that_there_is_not() -> None:
    for call in (tc.render, tc.assert_same_tokens, tc.assert_same_text):
        with pytest.raises(tc.UsageError, match="no renderer 'sever'") as raised:
            call(target_of(), "sever", HI)
        assert raised.value.hint == "did you mean 'server'?"


def test_a_conversation_that_cannot_be_expressed() -> None:
    def alone(messages: list[dict[str, Any]]) -> str:
        if messages[0]["role"] == "system":
            raise tc.Unsupported("no system prompt")
        return stripped(messages)

    target = target_of(alone)
    asked = tc.Conversation.of(("system", "Be brief."), ("user", "hi"))
    for conversation in (asked, tc.Conversation((*asked.messages, *ANSWERED.messages[1:]))):
        with pytest.raises(tc.Unsupported, match="no system prompt"):
            tc.assert_same_tokens(target, "server", conversation)
    tc.assert_same_tokens(target, "server", HI)


def test_a_function_that_breaks() -> None:
    with pytest.raises(tc.RenderError, match="ZeroDivisionError"):
        tc.assert_same_tokens(target_of(lambda messages: str(1 / 0)), "server", HI)


def test_one_check() -> None:
    spaced = tc.Conversation.of(("user", " a"), ("assistant", "b"), ("user", "c"))
    with pytest.raises(AssertionError) as raised:
        tc.assert_check(target_of(stripped), "content-verbatim", "server", spaced)
    assert "✗ content-verbatim   server" in str(raised.value)
    assert "Also fails" not in str(raised.value)  # the same mismatch in two prefixes is one
    tc.assert_check(target_of(stripped), "single-bos", "server", spaced)
    with pytest.raises(tc.UsageError, match="Unknown check"):
        tc.assert_check(target_of(), "same-token", "server", HI)
    with pytest.raises(tc.UsageError, match="looks at no conversation") as of_target:
        tc.assert_check(target_of(), "special-ids", "server", HI)
    assert of_target.value.hint == "run(target, checks=('special-ids',)) runs it"


def test_what_is_accepted_does_not_fail() -> None:
    spaced = tc.Conversation.of(("user", " "))
    [defect] = tc.run(target_of(stripped), profile="ci", checks=("same-text",)).defects
    entries = [{"fingerprint": ref.fingerprint, "reason": "since ever"} for ref in defect.findings]
    accepting = target_of(stripped, accepted=entries)
    tc.assert_same_text(accepting, "server", spaced)
    with pytest.raises(AssertionError):
        tc.assert_same_tokens(accepting, "server", spaced)


# Runs


def test_a_run_of_nothing() -> None:
    with pytest.raises(tc.UsageError, match="at least one target"):
        tc.run()
    with pytest.raises(tc.UsageError, match="Unknown profile 'dve'"):
        tc.run(target_of(), profile="dve")
    with pytest.raises(tc.UsageError, match="Targets of the same name: target, target"):
        tc.run(target_of(), target_of())


def test_a_run_that_fails() -> None:
    result = tc.run(target_of(stripped), profile="ci", checks=("same-tokens",))
    assert result.exit_code == 1
    assert result.verdict == "not clean: 1 defect blocks"
    assert [defect.cause for defect in result.defects] == ["stripped content"]
    assert all(finding.renderer == "server" and finding.reproduce is None for finding in result.findings)
    with pytest.raises(AssertionError) as raised:
        result.assert_holds()
    first, *lines = str(raised.value).splitlines()
    assert first == result.verdict
    for text in (
        "✗ same-tokens   server differs from chat_template",
        "Likely cause   stripped content",
        "Verdict: not cl",
    ):
        assert any(text in line for line in lines), raised.value


def test_two_targets_in_one_run() -> None:
    result = tc.run(target_of(name="good"), target_of(stripped, name="bad"), profile="ci", checks=("same-text",))
    assert {line.target: line.outcome for line in result.record.outcomes} == {"good": "pass", "bad": "mismatch"}
    assert [defect.target for defect in result.defects] == ["bad"]


def test_a_run_that_holds() -> None:
    result = tc.run(target_of(), profile="ci", checks=("same-tokens",))
    assert (result.exit_code, result.verdict, result.defects, result.findings) == (0, "clean", [], [])
    result.assert_holds()
    assert "Verdict: clean" in str(result)


def test_a_seed_repeats_a_run() -> None:
    first, second = (tc.run(target_of(stripped), seed=7, checks=("same-text",)) for _ in range(2))
    assert first.findings == second.findings


def test_signatures_are_documented() -> None:
    """Every parameter of a function that has any arguments beyond the obvious is explained."""
    for function in (tc.make_target, tc.load_target, tc.run):
        text = inspect.getdoc(function) or ""
        for name in inspect.signature(function).parameters:
            assert f"{name}:" in text, (function, name)
