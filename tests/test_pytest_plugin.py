"""The pytest plug-in in projects of its users: what it collects, how it fails, and that it is silent otherwise."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from template_checks.engine import search
from tests.projects import BOS_TWICE, TURNS, WITNESS, project, use_example, write_toml

assert project
"""The fixture."""


def test_node_ids(project: pytest.Pytester) -> None:
    use_example(project.path, "internlm2")
    result = project.runpytest_inprocess("--collect-only", "-q")
    result.stdout.fnmatch_lines(
        [
            "template-checks.toml::internlm2-chat::same-tokens[[]web_ui-generate[]]",
            "template-checks.toml::internlm2-chat::same-tokens[[]training-train[]]",
            "template-checks.toml::internlm2-chat::special-ids",
            "template-checks.toml::internlm2-chat::stop-trained[[]training-train[]]",
        ]
    )
    ids = [line for line in result.outlines if line.startswith("template-checks.toml::")]
    assert len(ids) == len(set(ids)) > 20


def test_a_failure_is_our_text_and_no_traceback(project: pytest.Pytester) -> None:
    """Its first line says what and where; the terminal's view of each defect that blocks follows."""
    use_example(project.path, "internlm2")
    result = project.runpytest_inprocess("--check-only", "same-tokens", "--check-only", "special-ids", "-vv")
    result.assert_outcomes(failed=3, passed=1)
    assert result.ret == 1
    text = result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "duplicated BOS at web_demo.py:56 total_prompt; injected system text at web_demo.py:53 meta_instruction; *",
            "*same-tokens   web_ui differs from chat_template*generate · shrunk to 1 message*",
            "*Comes from     web_demo.py:* cur_query_prompt*",
            "*Reproduce      template-checks replay ????????",
        ]
    )
    result.stdout.fnmatch_lines(
        ["FAILED template-checks.toml::internlm2-chat::same-tokens[[]web_ui-generate[]] - duplicated BOS at web_demo.*"]
    )
    assert "✗ same-tokens" in text
    assert "· same-tokens" not in text
    assert "Traceback" not in text
    assert "MismatchFound" not in text
    assert "pytest/items.py" not in text
    assert not re.search(r"^E  ", text, re.MULTILINE)


def test_the_end_lists_each_defect_that_blocks_once(project: pytest.Pytester) -> None:
    use_example(project.path, "internlm2")
    arguments = ("--check-only", "same-tokens", "--check-only", "same-text", "--check-seed", "7")
    result = project.runpytest_inprocess(*arguments)
    begin = result.outlines.index("template-checks: 4 defects block")
    defects = result.outlines[begin + 1 : begin + 5]
    assert len({line[-9:-1] for line in defects}) == 4
    assert "  every prompt, web_ui: duplicated BOS at web_demo.py:56 total_prompt (" in "\n".join(defects)
    assert result.outlines[begin + 5].startswith("template-checks: 1 advisory defect fails nothing (")
    for mark in (line[-9:-1] for line in defects):
        assert f"template-checks replay {mark}" in result.stdout.str()


def test_collecting_alone_says_nothing(project: pytest.Pytester) -> None:
    write_toml(project.path)
    result = project.runpytest_inprocess("--collect-only")
    result.stdout.no_fnmatch_line("template-checks: *")


def test_a_negative_seed_is_refused(project: pytest.Pytester) -> None:
    write_toml(project.path)
    result = project.runpytest_inprocess("--check-seed", "-1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--check-seed: '-1' is no seed: a number from 0 up is expected"])


def test_what_is_printed_can_be_replayed(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    from template_checks.cli.main import main

    write_toml(project.path, template=BOS_TWICE + TURNS)
    result = project.runpytest_inprocess("--check-only", "single-bos")
    mark = re.search(r"template-checks replay (\w{8})", result.stdout.str())
    assert mark
    monkeypatch.chdir(project.path)
    with pytest.raises(SystemExit) as exit_info:
        main.main(["replay", mark[1]], prog_name="template-checks")
    assert exit_info.value.code == 1


def test_accepted_is_xfailed_with_its_reason(project: pytest.Pytester) -> None:
    write_toml(project.path, template=BOS_TWICE + TURNS)
    result = project.runpytest_inprocess("--check-only", "single-bos")
    mark = re.search(r"template-checks replay (\w{8})", result.stdout.str())
    assert mark
    (project.path / "template-checks.toml").unlink()
    entry = f'fingerprint = "{mark[1]}", reason = "it was trained so", check = "single-bos", owner = "Ann"'
    write_toml(project.path, template=BOS_TWICE + TURNS, target=f"accepted = [{{ {entry}, expires = 9999-12-31 }}]")
    result = project.runpytest_inprocess("--check-only", "single-bos", "-rx")
    assert result.ret == 0
    result.assert_outcomes(xfailed=2, passed=1)
    result.stdout.fnmatch_lines(
        ["XFAIL template-checks.toml::m::single-bos*accepted by Ann until 9999-12-31: it was trained so*"]
    )
    (project.path / "template-checks.toml").unlink()
    write_toml(project.path, template=BOS_TWICE + TURNS, target=f"accepted = [{{ {entry}, expires = 2024-12-31 }}]")
    result = project.runpytest_inprocess("--check-only", "single-bos", "-rx")
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(["*accepted until 2024-12-31 by Ann, expired: it was trained*"])


@pytest.mark.parametrize(
    ("more", "said"),
    [("", "matches nothing that this run found: correct or remove*"), (f", {WITNESS}", "fixed: remove this entry")],
)
@pytest.mark.parametrize("selected", ["special-ids or accepted-entries", "accepted-entries"])
def test_an_accepted_entry_that_nothing_shows_fails(
    project: pytest.Pytester, more: str, said: str, selected: str
) -> None:
    """Also where no check is selected with it: it looks at all that could show its entries."""
    write_toml(project.path, target=f'accepted = [{{ fingerprint = "c7f2a91b", reason = "an old debt"{more} }}]')
    result = project.runpytest_inprocess("-k", selected)
    outcomes = result.parseoutcomes()
    assert outcomes == {
        "failed": 1,
        "deselected": outcomes["deselected"],
        **({"passed": 1} if "ids" in selected else {}),
    }
    result.stdout.fnmatch_lines(
        [
            "✗ c7f2a91b",
            f"  {said}",
            "  where   template-checks.toml: target.m.accepted, entry 1",
            "  reason  an old debt",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_what_is_not_selected_is_not_stale(project: pytest.Pytester) -> None:
    entries = f'accepted = [{{ fingerprint = "c7f2a91b", reason = "a debt", check = "single-bos", {WITNESS} }}]'
    write_toml(project.path, target=entries)
    project.runpytest_inprocess("--check-only", "special-ids").assert_outcomes(passed=1)
    project.runpytest_inprocess("--check-only", "single-bos").assert_outcomes(passed=2, failed=1)


def test_not_exercised_is_skipped_with_its_reason(project: pytest.Pytester) -> None:
    write_toml(project.path, target='roles = ["user", "assistant"]\nsystem = "Be kind."')
    result = project.runpytest_inprocess("--check-only", "system-injected", "-rs")
    result.assert_outcomes(skipped=2)
    said = "not-exercised: every conversation carries a system message"
    result.stdout.fnmatch_lines([f"SKIPPED [[]2[]] template-checks.toml:1: {said}*"])


def test_a_renderer_that_refuses_everything_fails(project: pytest.Pytester) -> None:
    (project.path / "refusing.jinja").write_text("{{ raise_exception('not me') }}", encoding="utf-8")
    write_toml(project.path, renderers='other = { type = "tokenizer", chat_template = "refusing.jinja" }')
    result = project.runpytest_inprocess("--check-only", "same-text")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*other (generate) rendered nothing: the template refuses it: not me*"])


def test_unsupported_is_skipped_with_its_reason(project: pytest.Pytester) -> None:
    write_toml(project.path, template="{{ raise_exception('not me') }}")
    result = project.runpytest_inprocess("--check-only", "single-bos", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(
        ["SKIPPED [[]2[]] template-checks.toml:1: unsupported: the template refuses it: not me*"]
    )


def test_an_error_fails(project: pytest.Pytester) -> None:
    write_toml(project.path, template="{{ nothing.at_all }}")
    result = project.runpytest_inprocess("--check-only", "single-bos")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*UndefinedError: 'nothing' is undefined*"])
    assert "Traceback" not in result.stdout.str()


def test_advisory_findings_pass_and_are_shown(project: pytest.Pytester) -> None:
    write_toml(project.path, renderers=f'other = {{ type = "python", function = "{project.path}/user.py:build" }}')
    (project.path / "user.py").write_text(
        "def build(messages, add_generation_prompt):\n"
        "    text = '<s>' + ''.join(f\"<|im_start|>{m['role']}\\n{m['content']}<|im_end|>\\n\" for m in messages)\n"
        "    return text + '<|im_start|>assistant\\n' if add_generation_prompt else text[:-1]\n",
        encoding="utf-8",
    )
    result = project.runpytest_inprocess("--check-only", "same-text")
    result.assert_outcomes(passed=2)
    count = "template-checks: 1 advisory defect fails nothing (shown with --check-advisory)"
    assert count in result.outlines
    assert "tail: " not in result.stdout.str()
    result = project.runpytest_inprocess("--check-only", "same-text", "--check-advisory")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*template-checks: advisory findings*", "*same-text*", "*tail: *"])
    assert count not in result.outlines


def test_target(project: pytest.Pytester) -> None:
    write_toml(project.path)
    write_toml(project.path, name="other")
    both = project.runpytest_inprocess("--check-only", "special-ids", "--collect-only", "-q")
    both.stdout.fnmatch_lines(["*::m::special-ids", "*::other::special-ids"])
    one = project.runpytest_inprocess("--check-only", "special-ids", "--check-target", "other", "--collect-only", "-q")
    one.stdout.fnmatch_lines(["*::other::special-ids"])
    one.stdout.no_fnmatch_line("*::m::special-ids")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--check-target", "n"), "Unknown target 'n'."),
        (("--check-only", "single-boss"), "did you mean 'single-bos'?"),
        (("--check-profile", "cii"), "did you mean 'ci'?"),
    ],
)
def test_a_wrong_option_is_one_message(project: pytest.Pytester, option: tuple[str, str], said: str) -> None:
    write_toml(project.path)
    result = project.runpytest_inprocess(*option)
    assert result.ret == 2
    result.stdout.fnmatch_lines([f"*{said}"])
    assert "Traceback" not in result.stdout.str()


def test_a_broken_configuration_is_one_message(project: pytest.Pytester) -> None:
    write_toml(project.path, target="sytem = 'x'")
    project.makepyfile("def test_other(): pass")
    result = project.runpytest_inprocess("--continue-on-collection-errors")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*ERROR collecting template-checks.toml*", "Unknown key 'sytem'.", "*'system'?*"])
    assert "Traceback" not in result.stdout.str()
    assert "pydantic" not in result.stdout.str()


def test_profile_and_seed(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    real = search.Search.run

    def run(self: search.Search) -> None:
        options = self.options
        seen.append((options.profile.name, options.seed, [item.id for item in self.items]))
        self.options = search.SearchOptions(replace(options.profile, draws=1), options.seed)
        real(self)

    monkeypatch.setattr(search.Search, "run", run)
    write_toml(project.path)
    project.runpytest_inprocess("--check-only", "single-bos", "--check-profile", "ci", "--check-seed", "11")
    assert seen == [("ci", 11, ["single-bos[chat_template-train]", "single-bos[chat_template-generate]"])]


def test_what_is_deselected_is_not_searched(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []
    real = search.Search.__init__

    def remember(self: search.Search, target: object, items: list[search.Item], *rest: object) -> None:
        searched.append([item.id for item in items])
        real(self, target, items, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(search.Search, "__init__", remember)
    write_toml(project.path)
    result = project.runpytest_inprocess("-k", "special-ids")
    assert result.parseoutcomes()["passed"] == 1
    assert searched == [["special-ids"]]


def test_selection_by_mark(project: pytest.Pytester) -> None:
    write_toml(project.path)
    project.makepyfile("def test_other(): pass")
    with_mark = project.runpytest_inprocess("--strict-markers", "-m", "template_checks", "--check-only", "special-ids")
    with_mark.assert_outcomes(passed=1, deselected=1)
    without = project.runpytest_inprocess("-m", "not template_checks", "--check-only", "special-ids")
    without.assert_outcomes(passed=1, deselected=1)


def test_one_node_id(project: pytest.Pytester) -> None:
    write_toml(project.path)
    result = project.runpytest_inprocess("template-checks.toml::m::single-bos[chat_template-train]")
    result.assert_outcomes(passed=1)


def test_testpaths_leave_the_root_file_in(project: pytest.Pytester) -> None:
    write_toml(project.path)
    project.makeini("[pytest]\ntestpaths = tests")
    (project.path / "tests").mkdir()
    (project.path / "tests" / "test_other.py").write_text("def test_other(): pass", encoding="utf-8")
    project.runpytest_inprocess("--check-only", "special-ids").assert_outcomes(passed=2)
    project.runpytest_inprocess("tests").assert_outcomes(passed=1)
    project.makeini("[pytest]\ntestpaths = .")
    project.runpytest_inprocess("--check-only", "special-ids").assert_outcomes(passed=2)


def test_junitxml(project: pytest.Pytester) -> None:
    write_toml(project.path, template=BOS_TWICE + TURNS)
    project.runpytest_inprocess("--check-only", "single-bos", "--check-only", "special-ids", "--junitxml", "report.xml")
    suite = ElementTree.parse(project.path / "report.xml").getroot()
    cases = list(suite.iter("testcase"))
    assert {case.get("name") for case in cases} == {
        "single-bos[chat_template-train]",
        "single-bos[chat_template-generate]",
        "special-ids",
    }
    failures = [case.find("failure") for case in cases if case.find("failure") is not None]
    assert len(failures) == 2
    assert all("template-checks replay " in (failure.text or "") for failure in failures if failure is not None)


def test_warnings_as_errors(project: pytest.Pytester) -> None:
    """A project may turn every warning into an error; ours, and those of what we import, are none of its business."""
    project.makeini("[pytest]\nfilterwarnings = error\naddopts = --strict-markers --strict-config")
    use_example(project.path, "internlm2-repaired")
    result = project.runpytest_subprocess("--check-only", "single-bos", "--check-only", "special-ids")
    result.assert_outcomes(passed=6)
    assert result.ret == 0


def test_a_drawn_seed_is_said_and_repeats_the_run(project: pytest.Pytester) -> None:
    write_toml(project.path)
    drawn = project.runpytest_inprocess("--check-only", "special-ids").stdout.str()
    mark = re.search(r"template-checks: profile dev, seed (\d+) \(--check-seed \1 repeats it\)", drawn)
    assert mark
    for arguments in (("--check-seed", mark[1]), ("--check-profile", "ci")):
        project.runpytest_inprocess("--check-only", "special-ids", *arguments).stdout.no_fnmatch_line(
            "*template-checks: *"
        )


def test_silence_without_the_file(project: pytest.Pytester) -> None:
    """Neither a word nor an import in a project that has no template-checks.toml."""
    project.makepyfile(
        """
        import sys

        def test_nothing_heavy_is_loaded():
            heavy = {"transformers", "tokenizers", "pydantic", "jinja2", "rich", "click"}
            assert not heavy & sys.modules.keys()
            ours = {name for name in sys.modules if name.startswith("template_checks")}
            plugin = "template_checks.pytest"
            assert ours == {"template_checks", plugin, f"{plugin}.plugin", f"{plugin}.state"}
        """
    )
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*template-checks:*")
    assert not (project.path / ".template-checks").exists()


def test_loading_the_plugin_costs_little(project: pytest.Pytester) -> None:
    code = (
        "import sys, pytest\nimport template_checks.pytest.plugin\n"
        "print({'transformers', 'tokenizers', 'hypothesis', 'jinja2', 'pydantic', 'rich', 'tomlkit'} & {*sys.modules})"
    )
    result = project.run(sys.executable, "-c", code)
    assert result.outlines[-1] == "set()"
