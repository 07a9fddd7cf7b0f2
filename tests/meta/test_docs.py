"""The documents say what the code does: tables, output, configuration, examples, paths."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from scripts import docs, docs_blocks, docs_tables
from template_checks.checks.findings import OutcomeName
from template_checks.cli.main import main
from template_checks.config.schema import Accepted, TargetConfig, load_config, renderer_options
from template_checks.record.summary import OUTCOMES
from template_checks.renderers.registry import own_renderer_types

ROOT = docs.ROOT
COMMAND_LINE = r"template-checks [a-z][^\n`|&>]*"
README = docs.read("README.md")
TEXTS = {name: docs.read(name) for name in docs.DOCUMENTS}


def code(text: str, name: str) -> str:
    """The block marked `<!-- code: NAME -->`."""
    (found,) = [b.body for b in docs_blocks.blocks(text) if (b.word, b.value) == ("code", name)]
    return found


@pytest.mark.parametrize("name", [name for name in docs.DOCUMENTS if name != "CONTRIBUTING.md"])
def test_a_document_says_what_the_code_says(name: str) -> None:
    difference = docs.difference(name)
    assert not difference, f"{name} has drifted; run: python scripts/docs.py --write\n{difference}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<!-- generated: renderers -->\n| old |\n<!-- end -->\n", "`web-ui`"),
        ("```console\n$ echo new\nold\n```\n", "```console\n$ echo new\nnew\n```\n"),
        ("```console\n$ printf 'a\\n\\n'; false\n```\n", "```console\n$ printf 'a\\n\\n'; false\na\n```\n"),
        ("```console\n$ echo a \\\n> b\n```\n", "```console\n$ echo a \\\n> b\na b\n```\n"),
        ("```console\n$ echo took in 2.0 s, more\ntook in 1.0 s\n```\n", "took in 2.0 s, more"),
        ("<!-- file: a/b.txt -->\n```text\nhello\n```\n```console\n$ cat a/b.txt\n```\n", "$ cat a/b.txt\nhello\n"),
        (
            "<!-- only: two -->\n```console\n$ printf '✗ a\\n  one\\n\\n✗ b\\n  two\\nend\\n'\n```\n",
            "…\n\n✗ b\n  two\n\n…",
        ),
    ],
)
def test_a_document_that_drifted_is_noticed(text: str, expected: str) -> None:
    refreshed = docs.refreshed(text)
    assert refreshed != text
    assert expected in refreshed
    assert docs.refreshed(refreshed) == refreshed


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ echo took in 1.0 s\ntook in 2.0 s\n```\n",
        "```text\n$ echo new\n```\n",
        "```console\n$ true\n```\n",
    ],
)
def test_what_has_not_drifted_is_left_alone(text: str) -> None:
    assert docs.refreshed(text) == text


def test_a_traceback_never_gets_into_a_document() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        docs.refreshed("```console\n$ python -c 1/0\n```\n")


def test_an_excerpt_names_one_finding() -> None:
    with pytest.raises(LookupError, match="0 findings"):
        docs.refreshed("<!-- only: nothing -->\n```console\n$ echo hello\n```\n")


def test_every_option_is_described() -> None:
    models = [TargetConfig, Accepted, *(kind.Options for kind in own_renderer_types().values())]
    missing = [
        f"{model.__name__}.{key}"
        for model in models
        for key, field in model.model_fields.items()
        if key != "type" and not field.description
    ]
    assert not missing


@pytest.mark.parametrize(
    "block",
    [b for text in TEXTS.values() for b in docs_blocks.blocks(text) if b.language == "toml" and "[target." in b.body],
    ids=lambda b: b.body[:20],
)
def test_every_configuration_is_valid(block: docs_blocks.Block, tmp_path: Path) -> None:
    path = tmp_path / "template-checks.toml"
    path.write_text(block.body, encoding="utf-8")
    for target in load_config(path).target.values():
        for table in target.renderers.values():
            if table["type"] in own_renderer_types():
                renderer_options(table, "the documents")


def test_every_command_and_outcome_is_explained() -> None:
    text = "".join(TEXTS.values())
    for command in main.commands:
        assert re.search(rf"`{command}`|template-checks {command}\b", text), command
    for outcome in OUTCOMES:
        assert f"| `{outcome}` |" in text, outcome
    assert set(OUTCOMES) == set(OutcomeName.__args__)


def known_options() -> set[str]:
    commands = [main, *main.commands.values()]
    return {option for command in commands for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("name", docs.DOCUMENTS)
def test_options_of_the_command_line_exist(name: str) -> None:
    known = known_options()
    lines = [line for block in docs_blocks.blocks(TEXTS[name]) for line in re.findall(COMMAND_LINE, block.body)]
    for line in lines + re.findall(rf"`({COMMAND_LINE})`", TEXTS[name]):
        used = {word.split("=")[0] for word in re.findall(r"(?<=\s)--?[a-z][\w-]*", line)}
        assert used <= known, line


@pytest.mark.parametrize("name", docs.DOCUMENTS)
def test_every_path_exists(name: str) -> None:
    folder = (ROOT / name).parent
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", TEXTS[name])
    assert not [link for link in links if not (folder / link).exists()]
    paths = re.findall(r"`((?:template_checks|tests|fixtures|scripts|benchmarks|docs|\.ci)/[\w./-]*)`", TEXTS[name])
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_the_layout_names_every_package_and_folder() -> None:
    tree = docs_tables.layout()
    for folder in docs_tables.packages():
        assert re.search(rf"^ *{folder.name}/ +\w", tree, re.MULTILINE), f"{folder} has no docstring"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    folders = {path.split("/")[0] for path in tracked.splitlines() if "/" in path} - {".github"}
    assert folders <= {"template_checks", *docs_tables.FOLDERS}
