"""Checks and renderers of others: by entry point and in conftest.py; what is broken is one message."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import template_checks
from scripts.environment import Environment
from template_checks.checks import registry as checks
from template_checks.config.examples import shipped_folder
from template_checks.core.errors import ArtefactError, UsageError
from template_checks.renderers import registry as renderers

TOKENIZER = shipped_folder("examples") / "internlm2" / "tokenizer"
GOOD = """
from template_checks import NotExercised, case_check

@case_check({family!r}, "It holds.")
def {name}(case):
    return []
"""
BAD = "import no_such_module\n"

Enter = Callable[..., None]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave the registry of this process as it was."""
    known = set(checks.all_checks())
    yield
    for name in checks.registry.keys() - known:
        del checks.registry[name]
    checks._load_plugins.cache_clear()
    renderers._entries.cache_clear()
    renderers._loaded.cache_clear()


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Enter:
    """Entry points of others, and the modules they name."""
    monkeypatch.syspath_prepend(tmp_path)

    def enter(group: str, modules: dict[str, str], **values: str) -> None:
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
            monkeypatch.delitem(sys.modules, name, raising=False)
        added = [EntryPoint(name.replace("_", "-"), value, group) for name, value in values.items()]
        for module in (checks, renderers):
            real = module.entry_points
            monkeypatch.setattr(
                module,
                "entry_points",
                lambda group, real=real: [*real(group=group), *(e for e in added if e.group == group)],
            )
        checks._load_plugins.cache_clear()
        renderers._entries.cache_clear()
        renderers._loaded.cache_clear()

    return enter


# Checks


def test_families_are_open_and_ours_come_first() -> None:
    for family, name in [("zoo", "last"), ("house", "one"), ("zoo", "very_last"), ("tokens", "ours_too")]:
        exec(GOOD.format(family=family, name=name), {"__name__": "conftest"})
    known = checks.all_checks()
    names = list(known)
    assert names.index("ours-too") < names.index("content-verbatim")
    assert names.index("date-free") < names.index("one") < names.index("last") < names.index("very-last")
    families = list(dict.fromkeys(check.family for check in known.values()))
    others = families[len(checks.FAMILIES) :]
    assert families[: len(checks.FAMILIES)] == list(checks.FAMILIES)
    assert others == sorted(others)
    assert {"house", "zoo"} <= set(others)
    assert not {"one", "last", "ours-too"} & set(checks.own_checks())


def test_without_docstring_the_promise_is_the_page() -> None:
    exec(GOOD.format(family="house", name="plain"), {"__name__": "conftest"})
    assert checks.all_checks()["plain"].page == "It holds."


@pytest.mark.parametrize("value", ["added_checks", "added_checks:added"])
def test_an_entry_point_names_a_module_or_a_check_in_it(enter: Enter, value: str) -> None:
    enter(checks.GROUP, {"added_checks": GOOD.format(family="house", name="added")}, mine=value)
    assert checks.exists_everywhere(checks.all_checks()["added"])
    assert checks.plugin_problems() == []


@pytest.mark.parametrize(
    ("source", "value", "said"),
    [
        (BAD, "broken_checks", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f(:\n", "broken_checks", "SyntaxError: "),
        ("raise SystemExit(3)\n", "broken_checks", "SystemExit: 3"),
        ("1 / 0\n", "broken_checks", "ZeroDivisionError: division by zero"),
        ("", "broken_checks", "broken_checks registers no check"),
        (
            "def f(case): ...\n",
            "broken_checks:f",
            "broken_checks:f is decorated with neither case_check nor target_check",
        ),
        ("", "broken_checks:g", "AttributeError: "),
        ("", "not a module!", "AttributeError: "),
        (GOOD.format(family="tokens", name="same_text"), "broken_checks", "Two checks are named 'same-text': "),
        (GOOD.format(family="tokens", name="half") + BAD, "broken_checks", "ModuleNotFoundError: "),
    ],
)
def test_broken_checks_are_one_message_and_the_others_are_there(
    enter: Enter, source: str, value: str, said: str
) -> None:
    ours, others = set(checks.own_checks()), set(checks.all_checks())
    good = GOOD.format(family="house", name="added")
    enter(checks.GROUP, {"broken_checks": source, "sound_checks": good}, first=value, second="sound_checks")
    assert set(checks.all_checks()) == others | {"added"}
    assert set(checks.own_checks()) == ours
    (problem,) = checks.plugin_problems()
    assert problem.startswith("The checks of an unknown package (first) cannot be loaded: ")
    assert said in problem
    assert "\n" not in problem
    with pytest.raises(UsageError, match="Unknown check 'half'") as caught:
        checks.get_checks(("half",))
    assert problem in (caught.value.hint or "")


def test_a_package_whose_module_a_broken_one_imported_is_not_taken_along(enter: Enter) -> None:
    sources = {
        "sound_checks": GOOD.format(family="house", name="sound"),
        "broken_checks": f"import sound_checks\n{BAD}",
    }
    enter(checks.GROUP, sources, a="broken_checks", b="sound_checks")
    assert "sound" in checks.all_checks()
    assert len(checks.plugin_problems()) == 1


def test_two_checks_of_one_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    source = GOOD.format(family="house", name="mine")
    exec(compile(source, "a/conftest.py", "exec"), {"__name__": "conftest"})
    exec(compile(source, "a/conftest.py", "exec"), {"__name__": "conftest"})  # imported again: the same
    with pytest.raises(UsageError, match=r"named 'mine': conftest\.mine and other\.mine") as caught:
        exec(compile(source, "other.py", "exec"), {"__name__": "other"})
    assert caught.value.where == "a/conftest.py and other.py"
    with pytest.raises(UsageError, match="named 'mine'"):
        exec(compile(source, "b/conftest.py", "exec"), {"__name__": "conftest"})
    with pytest.raises(UsageError, match=r"template_checks\.checks\.tokens\.same_text and conftest\.same_text"):
        exec(GOOD.format(family="house", name="same_text"), {"__name__": "conftest"})


@pytest.mark.parametrize("name", sorted(set(template_checks.__all__) - {"__version__"}))
def test_what_plugins_import_is_there(name: str) -> None:
    value = getattr(template_checks, name)
    assert value is not None
    assert getattr(value, "__name__", name) == name


def write_toml(folder: Path) -> None:
    (folder / "template-checks.toml").write_text(
        f"[target.m]\ntokenizer = {json.dumps(str(TOKENIZER))}\n[target.m.renderers]\n"
        'chat_template = { type = "tokenizer" }\n',
        encoding="utf-8",
    )


def test_a_check_in_conftest(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    write_toml(pytester.path)
    pytester.makeconftest(
        GOOD.format(family="house", name="holds")
        + GOOD.format(family="house", name="never_there").replace("return []", 'return NotExercised("never seen")')
    )
    result = pytester.runpytest_subprocess("-q", "-rs", "--check-only", "holds", "--check-only", "never-there")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(["*never seen*"])


def test_a_finding_of_a_check_in_conftest_is_reproduced_by_pytest(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    write_toml(pytester.path)
    found = 'return [mismatch_at(case, Cause.UNKNOWN, (), "bad", "the start", tokens_at(case.rendering, 0, 1))]'
    pytester.makeconftest(
        "from template_checks import Cause, mismatch_at, tokens_at\n"
        + GOOD.format(family="house", name="never_holds").replace("return []", found)
    )
    for _ in range(2):
        result = pytester.runpytest_subprocess("--check-only", "never-holds")
        result.assert_outcomes(failed=2)
        result.stdout.fnmatch_lines(["*Reproduce * pytest --check-only never-holds"])
    assert result.ret == 1


def test_a_name_of_ours_in_conftest(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    write_toml(pytester.path)
    pytester.makeconftest(GOOD.format(family="house", name="same_text"))
    result = pytester.runpytest_subprocess("-q")
    assert result.ret != 0
    said = "*Two checks are named 'same-text': template_checks.checks.tokens.same_text and conftest.same_text.*"
    result.stderr.fnmatch_lines([said])


# Renderer types


RENDERER = """
from template_checks import Renderer

class Sound(Renderer):
    type, summary = "sound", "a sound one"

    def render(self, conversation, purpose): ...

class Abstract(Renderer):
    type, summary = "abstract", "an unfinished one"

class Silent(Sound):
    type, summary = "silent", None

def function(): ...
"""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("no_such_module:Some", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("added_renderers:Some", "AttributeError: module 'added_renderers' has no attribute 'Some'"),
        ("added_renderers:function", "is no subclass of Renderer"),
        ("added_renderers", "is no subclass of Renderer"),
        ("added_renderers:Abstract", "Abstract has no method render"),
        ("added_renderers:Silent", "Silent has no text summary"),
    ],
)
def test_a_broken_renderer_type_is_one_message_where_it_is_used(enter: Enter, value: str, said: str) -> None:
    enter(renderers.GROUP, {"added_renderers": RENDERER}, broken=value, sound="added_renderers:Sound")
    with pytest.raises(ArtefactError, match="The renderer type 'broken' cannot be loaded: ") as caught:
        renderers.get_renderer_type("broken", "file.toml: target.m.renderers.x")
    assert said in caught.value.what
    assert caught.value.where == "file.toml: target.m.renderers.x"
    lines = dict(renderers.describe_renderers())
    assert said in lines["broken"]
    assert lines["sound"] == renderers.get_renderer_type("sound", "").summary == "a sound one"
    assert "sound" not in renderers.own_renderer_types()
    assert {"tokenizer", "python", "web-ui", "xtuner"} == set(renderers.own_renderer_types())


def test_ours_wins_over_a_type_of_the_same_name(enter: Enter) -> None:
    enter(renderers.GROUP, {"added_renderers": RENDERER}, tokenizer="added_renderers:Sound")
    assert renderers.get_renderer_type("tokenizer", "").__module__ == "template_checks.renderers.tokenizer"
    assert ("tokenizer", "is ignored: the name is taken (from an unknown package)") in renderers.describe_renderers()


def test_of_two_types_of_one_name_neither_is_chosen(enter: Enter) -> None:
    enter(renderers.GROUP, {"added_renderers": RENDERER}, twice="added_renderers:Sound")
    enter(renderers.GROUP, {}, twice="added_renderers:Silent")
    with pytest.raises(ArtefactError, match="is added by an unknown package and by an unknown package"):
        renderers.get_renderer_type("twice", "")


# Really installed


def package(folder: Path, name: str, modules: dict[str, str], entries: str) -> Path:
    """The source of a package, as CONTRIBUTING.md shows it."""
    (folder / name).mkdir()
    for module, source in modules.items():
        (folder / name / f"{module}.py").write_text(source, encoding="utf-8")
    files = json.dumps([f"{module}.py" for module in modules])
    (folder / name / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n{textwrap.dedent(entries)}\n'
        f"[tool.hatch.build.targets.wheel]\ninclude = {files}\n",
        encoding="utf-8",
    )
    return folder / name


def test_an_installed_package_that_is_broken(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment")
    broken = """
        [project.entry-points."template_checks.renderers"]
        lost = "lost_renderers:Lost"
        tokenizer = "broken_renderers:Mine"
        [project.entry-points."template_checks.checks"]
        broken = "broken_checks"
    """
    sound = """
        [project.entry-points."template_checks.renderers"]
        sound = "sound_plugin:Sound"
        [project.entry-points."template_checks.checks"]
        sound = "sound_plugin"
    """
    environment.install(package(tmp_path, "broken-plugin", {"broken_checks": BAD}, broken))
    source = RENDERER + GOOD.format(family="house", name="always")
    environment.install(package(tmp_path, "sound-plugin", {"sound_plugin": source}, sound))

    listed = environment.run("template-checks", "renderers", folder=tmp_path)
    out = " ".join(listed.stdout.split())
    assert (listed.returncode, listed.stderr) == (0, "")
    assert (
        "lost cannot be loaded: ModuleNotFoundError: No module named 'lost_renderers' (from broken-plugin 1.0)" in out
    )
    assert "tokenizer is ignored: the name is taken (from broken-plugin 1.0)" in out
    assert "sound a sound one" in out

    problem = (
        "template-checks: The checks of broken-plugin 1.0 (broken) cannot be loaded: "
        "ModuleNotFoundError: No module named 'no_such_module'\n"
    )
    named = environment.run("template-checks", "checks", folder=tmp_path)
    assert (named.returncode, named.stderr) == (0, problem)
    assert "always" in named.stdout

    write_toml(tmp_path)
    checks = ("--check", "always", "--check", "special-ids")
    ran = environment.run("template-checks", "run", *checks, folder=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, problem)

    with (tmp_path / "template-checks.toml").open("a", encoding="utf-8") as file:
        file.write('lost = { type = "lost" }\n')
    refused = environment.run("template-checks", "run", *checks, folder=tmp_path)
    assert refused.returncode == 3
    assert "The renderer type 'lost' cannot be loaded: ModuleNotFoundError" in refused.stderr
    assert "(from broken-plugin 1.0)" in refused.stderr
    assert "Traceback" not in refused.stderr + refused.stdout
