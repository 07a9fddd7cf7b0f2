"""The plug-in beside others in one session: pytest's own choice of what failed, options and checks of a conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from template_checks.checks import registry
from tests.projects import BOS_TWICE, BOTH, TURNS, project, write_toml

assert project
"""The fixture."""

FAILING = (
    "template-checks.toml::m::single-bos[chat_template-train]",
    "template-checks.toml::m::single-bos[chat_template-generate]",
)
OTHERS = """
def test_holds(): pass
def test_fails(): assert False
"""


def run(project: pytest.Pytester, *arguments: str) -> list[tuple[str, str]]:
    """Node and outcome of each test that ran, in their order."""
    result = project.runpytest_inprocess("-v", "-p", "no:randomly", "-p", "no:xdist", *BOTH, *arguments)
    rows = [line.split() for line in result.outlines if "::" in line and line.rstrip().endswith("%]")]
    return [(row[0], row[1]) for row in rows]


# What failed before


def test_last_failed_runs_what_failed_alone(project: pytest.Pytester) -> None:
    write_toml(project.path, template=BOS_TWICE + TURNS)
    write_toml(project.path, name="sound")
    project.makepyfile(test_other=OTHERS)
    assert len(run(project)) == 8
    again = run(project, "--lf")
    assert again == [*((node, "FAILED") for node in FAILING), ("test_other.py::test_fails", "FAILED")]
    assert [node for node, _ in run(project, "--lf", "template-checks.toml")] == [*FAILING]


def test_what_is_repaired_is_no_longer_last_failed(project: pytest.Pytester) -> None:
    write_toml(project.path, template=BOS_TWICE + TURNS)
    assert [outcome for _, outcome in run(project)].count("FAILED") == 2
    (project.path / "template.jinja").write_text("{{ bos_token }}" + TURNS, encoding="utf-8")
    assert run(project, "--lf") == [(node, "PASSED") for node in FAILING]
    assert run(project, "--lf", "--lfnf=none") == []


def test_failed_first_puts_them_in_front(project: pytest.Pytester) -> None:
    write_toml(project.path)
    write_toml(project.path, name="twice", template=BOS_TWICE + TURNS)
    (project.path / "template.jinja").rename(project.path / "twice.jinja")
    text = (project.path / "template-checks.toml").read_text(encoding="utf-8")
    (project.path / "template-checks.toml").write_text(text.replace("template.jinja", "twice.jinja"), encoding="utf-8")
    before = run(project)
    assert before[0][1] == "PASSED"
    after = run(project, "--ff")
    assert sorted(after) == sorted(before)
    assert [outcome for _, outcome in after[:2]] == ["FAILED", "FAILED"]
    assert {outcome for _, outcome in after[2:]} == {"PASSED"}


def test_stepwise_stops_at_a_failure_and_goes_on_from_it(project: pytest.Pytester) -> None:
    write_toml(project.path, template=BOS_TWICE + TURNS)
    assert run(project, "--sw") == [(FAILING[0], "FAILED")]
    assert run(project, "--sw", "--sw-skip") == [(FAILING[0], "FAILED"), (FAILING[1], "FAILED")]
    (project.path / "template.jinja").write_text("{{ bos_token }}" + TURNS, encoding="utf-8")
    nodes = [node for node, _ in run(project, "--sw")]
    assert nodes == [FAILING[1], "template-checks.toml::m::special-ids"]


# What a conftest.py adds


def test_options_of_a_conftest_with_common_names(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        def pytest_addoption(parser):
            for name in ("--target", "--check", "--profile", "--seed", "--record", "--only", "--advisory"):
                parser.addoption(name, default="none")
        """
    )
    project.makepyfile(
        """
        def test_options(request):
            options = request.config.option
            assert (options.target, options.check, options.seed) == ("a", "b", "none")
            assert options.check_target == ["m"]
        """
    )
    write_toml(project.path)
    write_toml(project.path, name="other")
    result = project.runpytest_inprocess(*BOTH, "--target", "a", "--check", "b", "--check-target", "m")
    result.assert_outcomes(passed=4)


CHECK = """
from template_checks import case_check

@case_check("house", "Renderings are short.")
def short(case):
    return []
"""


@pytest.fixture
def _as_before() -> Iterator[None]:
    """Leave the registry of this process as it was."""
    registry.all_checks()
    before = dict(registry.registry)
    yield
    registry.registry.clear()
    registry.registry.update(before)


@pytest.mark.usefixtures("_as_before")
def test_a_check_of_a_conftest_is_collected(project: pytest.Pytester) -> None:
    project.makeconftest(CHECK)
    write_toml(project.path)
    result = project.runpytest_inprocess("--check-only", "short", "--check-record", "r.ndjson")
    result.assert_outcomes(passed=2)
    result = project.runpytest_inprocess("--collect-only", "-q")
    assert "template-checks.toml::m::short[chat_template-generate]" in result.outlines
    assert '"name": "short", "family": "house"' in (project.path / "r.ndjson").read_text(encoding="ascii")
