"""README.md and CONTRIBUTING.md say what the code does: tables, output, configuration, examples, paths."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from scripts import readme_tables as documents
from template_checks import __version__
from template_checks.checks.findings import OutcomeName
from template_checks.cli.main import main
from template_checks.config.schema import Accepted, TargetConfig, load_config, renderer_options, tomllib
from template_checks.record.summary import OUTCOMES
from template_checks.renderers.registry import own_renderer_types

ROOT = documents.ROOT
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code(text: str, name: str) -> str:
    """The block marked `<!-- code: NAME -->`."""
    (found,) = [b.body for b in documents.blocks(text) if (b.word, b.value) == ("code", name)]
    return found


@pytest.mark.parametrize("name", [name for name in documents.DOCUMENTS if name != "CONTRIBUTING.md"])
def test_a_document_says_what_the_code_says(name: str) -> None:
    difference = documents.difference(name)
    assert not difference, f"{name} has drifted; run: python scripts/readme_tables.py --write\n{difference}"


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
    refreshed = documents.refreshed(text)
    assert refreshed != text
    assert expected in refreshed
    assert documents.refreshed(refreshed) == refreshed


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ echo took in 1.0 s\ntook in 2.0 s\n```\n",
        "```text\n$ echo new\n```\n",
        "```console\n$ true\n```\n",
    ],
)
def test_what_has_not_drifted_is_left_alone(text: str) -> None:
    assert documents.refreshed(text) == text


def test_a_traceback_never_gets_into_a_document() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        documents.refreshed("```console\n$ python -c 1/0\n```\n")


def test_an_excerpt_names_one_finding() -> None:
    with pytest.raises(LookupError, match="0 findings"):
        documents.refreshed("<!-- only: nothing -->\n```console\n$ echo hello\n```\n")


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
    "block", [b for b in documents.blocks(README) if b.language == "toml"], ids=lambda b: b.body[:20]
)
def test_every_configuration_is_valid(block: documents.Block, tmp_path: Path) -> None:
    path = tmp_path / "template-checks.toml"
    path.write_text(block.body, encoding="utf-8")
    for target in load_config(path).target.values():
        for table in target.renderers.values():
            renderer_options(table, "README.md")


def test_every_command_and_outcome_is_explained() -> None:
    for command in main.commands:
        assert re.search(rf"`{command}`|template-checks {command}\b", README), command
    for outcome in OUTCOMES:
        assert f"| `{outcome}` |" in README, outcome
    assert set(OUTCOMES) == set(OutcomeName.__args__)


def test_options_of_the_command_line_exist() -> None:
    known = {option for command in main.commands.values() for p in command.params for option in p.opts}
    known |= set(main.params[0].opts)
    for block in documents.blocks(README):
        for line in re.findall(r"template-checks (?:run|render|diff|init|replay) .*", block.body):
            used = {word for word in shlex.split(line.split(" && ")[0]) if word.startswith("--")}
            assert used <= known, line


@pytest.mark.parametrize("name", documents.DOCUMENTS)
def test_every_path_exists(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    paths = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    paths += re.findall(r"`((?:template_checks|tests|fixtures|scripts|benchmarks|\.ci)/[\w./-]*)`", text)
    assert paths
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_the_two_commands_are_what_ci_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for name in ("run", "test"):
        assert f"readme_command {name}" in script
        command = code(README, name)
        assert command.count("\n") == 1
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_the_changelog_has_this_version() -> None:
    assert f"\n## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_licence_is_the_one_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    assert project["version"] == __version__
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").lstrip().startswith("Apache License\n")
