"""CONTRIBUTING.md is followed to the letter: its packages are installed with pip, its commands are run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from scripts import docs, docs_blocks
from scripts.environment import Environment
from template_checks.checks.registry import all_checks, registry
from tests.meta import test_liars as liars

ROOT = docs.ROOT
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = list(docs_blocks.blocks(TEXT))
FILES = {block.value: block.body for block in BLOCKS if block.word == "file"}


class Followed:
    """What somebody has who followed the page: its files, an environment, and the page as it should be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "scratch"
        self.text, environment = docs.followed(TEXT, folder)
        assert environment is not None
        self.environment: Environment = environment


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    return Followed(tmp_path_factory.mktemp("contributing"))


@pytest.fixture
def example_check() -> Iterator[None]:
    """The check of the page, registered in this process only."""
    known = set(all_checks())
    exec(
        compile(FILES["example-checks/example_checks.py"], "example_checks.py", "exec"), {"__name__": "example_checks"}
    )
    yield
    for name in registry.keys() - known:
        del registry[name]


def test_the_page_says_what_happens(followed: Followed) -> None:
    difference = docs.difference_of("CONTRIBUTING.md", TEXT, followed.text)
    assert not difference, f"It has drifted; run: python scripts/docs.py --write\n{difference}"


def test_both_packages_are_really_installed(followed: Followed) -> None:
    code = "import example_checks, example_renderers; print(example_checks.__file__, example_renderers.__file__)"
    done = followed.environment.run("python", "-c", code, check=True)
    assert all(str(followed.environment.bin.parent) in path for path in done.stdout.split())


@pytest.mark.parametrize("name", ["example-renderers", "example-checks"])
def test_a_wheel_holds_its_module_whatever_lies_beside_it(followed: Followed, tmp_path: Path, name: str) -> None:
    package = followed.folder / name
    (package / "fixtures").mkdir(exist_ok=True)
    (package / "fixtures" / "data.py").write_text("", encoding="utf-8")
    followed.environment.run("pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(package), check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        modules = [path for path in archive.namelist() if ".dist-info/" not in path]
    assert modules == [f"{name.replace('-', '_')}.py"]


@pytest.mark.parametrize("path", FILES)
def test_the_reader_is_told_each_file(path: str) -> None:
    before = TEXT[: TEXT.index(f"<!-- file: {path} -->")]
    assert f"`{path}`" in before.rstrip().rpartition("\n\n")[2]


def test_examples_import_only_what_is_public() -> None:
    for body in FILES.values():
        assert not re.search(r"^(from|import) template_checks\.", body, re.MULTILINE), body


@pytest.mark.usefixtures("example_check")
def test_the_check_in_ten_lines_catches_its_liar() -> None:
    (body,) = [block.body for block in BLOCKS if (block.word, block.value) == ("code", "liar")]
    liar = eval(body, dict(vars(liars)))
    assert liar.check == "no-carriage-return"
    liars.test_a_liar_is_caught(liar)
    liars.test_its_honest_twin_is_not(liar)


def test_ten_lines_are_ten_lines() -> None:
    (check,) = re.findall(r'""".*?"""\n(.*)', FILES["example-checks/example_checks.py"], re.DOTALL)
    assert len(check.splitlines()) <= 10
    (renderer,) = re.findall(
        r"^class .*?\n(.*)", FILES["example-renderers/example_renderers.py"], re.DOTALL | re.MULTILINE
    )
    facts = ("type =", "summary =", "purposes =")
    lines = [line for line in renderer.splitlines() if line.strip() and not line.strip().startswith(facts)]
    assert len(lines) <= 10


@pytest.mark.slow
def test_our_own_tests_pass_with_the_example_check_installed(followed: Followed) -> None:
    readme = "tests/meta/test_docs.py::test_a_document_says_what_the_code_says[README.md]"
    tests = ["tests/test_cli.py", "tests/meta/test_liars.py", readme]
    options = ["-q", "-p", "no:cacheprovider", "-n", os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")]
    installed = followed.environment.run("template-checks", "checks", "no-carriage-return", folder=ROOT)
    assert installed.returncode == 0
    done = followed.environment.run("pytest", *options, *tests, folder=ROOT)
    assert done.returncode == 0, done.stdout[-5000:]
