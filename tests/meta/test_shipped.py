"""What goes to other people holds together: README, packaging, the action, the hook, the pages, the picture."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from scripts import docs, docs_blocks, screenshot
from template_checks import __version__
from template_checks.cli.main import main
from template_checks.config.schema import tomllib
from tests.meta.test_docs import README, ROOT, code

README_LINES = 200


def read_yaml(name: str) -> Any:
    return yaml.safe_load(docs.read(name))


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= README_LINES


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


# The action, the hook, the workflows


def command_options(line: str) -> tuple[str, set[str]]:
    """The command of a `template-checks …` line, and the options that it uses."""
    words = line.split()
    return words[1], {word for word in words if word.startswith("--")}


def assert_command_exists(line: str) -> None:
    name, used = command_options(line)
    known = {option for parameter in main.commands[name].params for option in parameter.opts}
    assert used <= known, line


def test_the_action_calls_commands_that_exist() -> None:
    action = read_yaml("action.yml")
    assert action["runs"]["using"] == "composite"
    scripts = [step["run"] for step in action["runs"]["steps"] if "run" in step]
    lines = [line.strip() for script in scripts for line in script.splitlines()]
    commands = [line for line in lines if line.startswith("template-checks ")]
    assert len(commands) == 4
    for line in commands:
        assert_command_exists(line)
    for script in scripts:
        subprocess.run(["bash", "-n", "-c", script], check=True)
        assert "${{" not in script  # inputs reach a script as environment only, so that they are never code


def test_the_action_knows_its_inputs() -> None:
    action = read_yaml("action.yml")
    used = {
        value for step in action["runs"]["steps"] for value in {**step.get("env", {}), **step.get("with", {})}.values()
    }
    assert used == {f"${{{{ inputs.{name} }}}}" for name in action["inputs"]}


def test_the_action_runs(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its scripts, on the example, with the package that is installed here."""
    action = read_yaml("action.yml")
    summary = tmp_path / "summary.md"
    monkeypatch.chdir(tmp_path)
    environment = {name.upper().replace("-", "_"): value["default"] for name, value in action["inputs"].items()}
    environment |= {"CONFIG": str(ROOT / "fixtures" / "examples" / "internlm2"), "GITHUB_STEP_SUMMARY": str(summary)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    codes = {}
    for step in action["runs"]["steps"]:
        if step.get("name") in ("Run", "Report"):
            done = subprocess.run(
                ["bash", "-e", "-c", on_path(step["run"])], capture_output=True, text=True, check=False
            )
            codes[step["name"]] = done.returncode
    assert codes == {"Run": 1, "Report": 0}
    assert "::error" in done.stdout
    assert summary.read_text(encoding="utf-8").strip()
    assert (tmp_path / "report.html").exists()


def on_path(script: str) -> str:
    """With the package of this environment as `template-checks`."""
    return f'template-checks() {{ "{sys.executable}" -m template_checks "$@"; }}\n{script}'


def test_the_hook_calls_a_command_that_exists() -> None:
    (hook,) = read_yaml(".pre-commit-hooks.yaml")
    assert_command_exists(hook["entry"])
    assert hook["language"] == "python"
    assert re.search(hook["files"], "models/bot/template-checks.toml")
    assert not re.search(hook["files"], "README.md")


@pytest.mark.parametrize("word", ["inputs", "hooks"])
def test_the_documents_use_what_the_action_and_the_hook_have(word: str) -> None:
    files = {
        b.value: yaml.safe_load(b.body) for b in docs_blocks.blocks(docs.read("docs/pytest.md")) if b.word == "file"
    }
    if word == "inputs":
        steps = files[".github/workflows/chat-template.yml"]["jobs"]["template-checks"]["steps"]
        (given,) = [step["with"] for step in steps if step.get("uses", "").startswith("./")]
        assert given.keys() <= read_yaml("action.yml")["inputs"].keys()
    else:
        (repository,) = files[".pre-commit-config.yaml"]["repos"]
        assert {hook["id"] for hook in repository["hooks"]} <= {
            hook["id"] for hook in read_yaml(".pre-commit-hooks.yaml")
        }


# Pages, picture, distributions


def test_every_page_is_in_the_navigation() -> None:
    pages = {name.removeprefix("docs/") for name in docs.DOCUMENTS if name.startswith("docs/")}
    assert set(read_yaml("mkdocs.yml")["nav"]) == pages


def test_the_picture_is_small() -> None:
    assert 0 < screenshot.IMAGE.stat().st_size <= screenshot.LIMIT


def test_the_sdist_names_what_is_there() -> None:
    project = tomllib.loads(docs.read("pyproject.toml"))
    listed = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert not [name for name in listed if not (ROOT / name.lstrip("/")).exists()]
    always = {"README.md", "LICENSE", "pyproject.toml", ".gitignore"}  # added by hatchling on its own
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    roots = {path.split("/")[0] for path in tracked.splitlines()}
    assert roots - always <= {name.lstrip("/") for name in listed}
