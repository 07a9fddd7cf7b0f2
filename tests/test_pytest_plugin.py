"""The pytest plugin in projects of its users: what it collects, how it fails, and that it is silent otherwise."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import jsonschema
import pytest
import tokenizers
import transformers
from template_checks.record.schema import SCHEMA

from template_checks.config.examples import shipped_folder
from template_checks.core.conversation import Conversation
from template_checks.engine import search
from template_checks.record.writer import Line

assert transformers.PreTrainedTokenizerFast and tokenizers
"""Loaded here, because pytester forgets modules that a run in this process loads, and numpy loads only once."""

EXAMPLES = shipped_folder("examples")
TOKENIZER = EXAMPLES / "internlm2" / "tokenizer"

BOS_TWICE = "{{ bos_token }}{{ bos_token }}"
TURNS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty project without this repository's settings."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return pytester


def write_toml(
    folder: Path, *, target: str = "", template: str | None = None, renderers: str = "", name: str = "m"
) -> None:
    """A target over the embedded tokenizer, with its own template or a given one."""
    own = ""
    if template is not None:
        (folder / "template.jinja").write_text(template, encoding="utf-8")
        own = ', chat_template = "template.jinja"'
    with (folder / "template-checks.toml").open("a", encoding="utf-8") as file:
        file.write(
            f"[target.{name}]\ntokenizer = {json.dumps(str(TOKENIZER))}\n{target}\n"
            f'[target.{name}.renderers]\nchat_template = {{ type = "tokenizer"{own} }}\n{renderers}\n'
        )


def use_example(folder: Path, name: str) -> None:
    """An example as the project's own configuration."""
    text = (EXAMPLES / name / "template-checks.toml").read_text(encoding="utf-8")
    text = text.replace('"tokenizer"\nref', f"{json.dumps(str(TOKENIZER))}\nref")
    text = text.replace('"../internlm2/tokenizer"', json.dumps(str(TOKENIZER)))
    text = text.replace('"web_demo.py"', json.dumps(str(EXAMPLES / name / "web_demo.py")))
    (folder / "template-checks.toml").write_text(text, encoding="utf-8")


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
    use_example(project.path, "internlm2")
    result = project.runpytest_inprocess("--check", "same-tokens", "--check", "special-ids")
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == 3
    assert outcomes["passed"] == 1
    assert result.ret == 1
    text = result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "*same-tokens   web_ui differs from chat_template*generate · shrunk to 1 message*",
            "*Comes from     web_demo.py:* cur_query_prompt*",
            "*Reproduce      template-checks replay ????????",
        ]
    )
    result.stdout.fnmatch_lines(["FAILED template-checks.toml::internlm2-chat::same-tokens[[]web_ui-generate[]]*"])
    assert "Traceback" not in text
    assert "MismatchFound" not in text
    assert "pytest_plugin.py" not in text
    assert not re.search(r"^E  ", text, re.MULTILINE)


def test_what_is_printed_can_be_replayed(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    from template_checks.cli.main import main

    write_toml(project.path, template=BOS_TWICE + TURNS)
    result = project.runpytest_inprocess("--check", "single-bos")
    mark = re.search(r"template-checks replay (\w{8})", result.stdout.str())
    assert mark
    monkeypatch.chdir(project.path)
    with pytest.raises(SystemExit) as exit_info:
        main.main(["replay", mark[1]], prog_name="template-checks")
    assert exit_info.value.code == 1


def test_accepted_is_xfailed_with_its_reason(project: pytest.Pytester) -> None:
    write_toml(project.path, template=BOS_TWICE + TURNS)
    result = project.runpytest_inprocess("--check", "single-bos")
    mark = re.search(r"template-checks replay (\w{8})", result.stdout.str())
    assert mark
    (project.path / "template-checks.toml").unlink()
    entry = f'fingerprint = "{mark[1]}", reason = "it was trained so", check = "single-bos", owner = "Ann"'
    write_toml(project.path, template=BOS_TWICE + TURNS, target=f"accepted = [{{ {entry}, expires = 9999-12-31 }}]")
    result = project.runpytest_inprocess("--check", "single-bos", "-rx")
    assert result.ret == 0
    result.assert_outcomes(xfailed=2, passed=1)
    result.stdout.fnmatch_lines(
        ["XFAIL template-checks.toml::m::single-bos*accepted by Ann until 9999-12-31: it was trained so*"]
    )
    (project.path / "template-checks.toml").unlink()
    write_toml(project.path, template=BOS_TWICE + TURNS, target=f"accepted = [{{ {entry}, expires = 2024-12-31 }}]")
    result = project.runpytest_inprocess("--check", "single-bos", "-rx")
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(["*accepted until 2024-12-31 by Ann, expired: it was trained*"])


WITNESS = 'witness = [{ role = "user", content = "hi" }]'


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
    project.runpytest_inprocess("--check", "special-ids").assert_outcomes(passed=1)
    project.runpytest_inprocess("--check", "single-bos").assert_outcomes(passed=2, failed=1)


def test_not_exercised_is_skipped_with_its_reason(project: pytest.Pytester) -> None:
    write_toml(project.path, target='roles = ["user", "assistant"]\nsystem = "Be kind."')
    result = project.runpytest_inprocess("--check", "system-injected", "-rs")
    result.assert_outcomes(skipped=2)
    said = "not-exercised: every conversation carries a system message"
    result.stdout.fnmatch_lines([f"SKIPPED [[]2[]] template-checks.toml:1: {said}*"])


def test_a_renderer_that_refuses_everything_fails(project: pytest.Pytester) -> None:
    (project.path / "refusing.jinja").write_text("{{ raise_exception('not me') }}", encoding="utf-8")
    write_toml(project.path, renderers='other = { type = "tokenizer", chat_template = "refusing.jinja" }')
    result = project.runpytest_inprocess("--check", "same-text")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*other (generate) rendered nothing: the template refuses it: not me*"])


def test_unsupported_is_skipped_with_its_reason(project: pytest.Pytester) -> None:
    write_toml(project.path, template="{{ raise_exception('not me') }}")
    result = project.runpytest_inprocess("--check", "single-bos", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(
        ["SKIPPED [[]2[]] template-checks.toml:1: unsupported: the template refuses it: not me*"]
    )


def test_an_error_fails(project: pytest.Pytester) -> None:
    write_toml(project.path, template="{{ nothing.at_all }}")
    result = project.runpytest_inprocess("--check", "single-bos")
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
    result = project.runpytest_inprocess("--check", "same-text")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*template-checks: advisory findings*", "*same-text*", "*tail: *"])


def test_target(project: pytest.Pytester) -> None:
    write_toml(project.path)
    write_toml(project.path, name="other")
    both = project.runpytest_inprocess("--check", "special-ids", "--collect-only", "-q")
    both.stdout.fnmatch_lines(["*::m::special-ids", "*::other::special-ids"])
    one = project.runpytest_inprocess("--check", "special-ids", "--target", "other", "--collect-only", "-q")
    one.stdout.fnmatch_lines(["*::other::special-ids"])
    one.stdout.no_fnmatch_line("*::m::special-ids")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--target", "n"), "Unknown target 'n'."),
        (("--check", "single-boss"), "did you mean 'single-bos'?"),
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

    def run(self: search.Search) -> None:
        seen.append((self.profile.name, self.seed, [item.id for item in self.items]))
        for item in self.items:
            self.emit(self._outcome(item))

    monkeypatch.setattr(search.Search, "run", run)
    write_toml(project.path)
    project.runpytest_inprocess("--check", "single-bos", "--check-profile", "ci", "--check-seed", "11")
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
    with_mark = project.runpytest_inprocess("--strict-markers", "-m", "template_checks", "--check", "special-ids")
    with_mark.assert_outcomes(passed=1, deselected=1)
    without = project.runpytest_inprocess("-m", "not template_checks", "--check", "special-ids")
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
    project.runpytest_inprocess("--check", "special-ids").assert_outcomes(passed=2)
    project.runpytest_inprocess("tests").assert_outcomes(passed=1)
    project.makeini("[pytest]\ntestpaths = .")
    project.runpytest_inprocess("--check", "special-ids").assert_outcomes(passed=2)


def test_junitxml(project: pytest.Pytester) -> None:
    write_toml(project.path, template=BOS_TWICE + TURNS)
    project.runpytest_inprocess("--check", "single-bos", "--check", "special-ids", "--junitxml", "report.xml")
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
    result = project.runpytest_subprocess("--check", "single-bos", "--check", "special-ids")
    result.assert_outcomes(passed=6)
    assert result.ret == 0


def read_record(path: Path) -> list[Line]:
    """A record whose lines are as the schema of records has them, the header first and the footer last."""
    lines: list[Line] = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    for line in lines:
        jsonschema.validate(line, SCHEMA)
    kinds = [line["kind"] for line in lines]
    assert (kinds[0], kinds[-1], kinds.count("header"), kinds.count("footer")) == ("header", "footer", 1, 1)
    return lines


def ends(lines: list[Line]) -> dict[str, str]:
    """How the items of a record ended."""
    return {
        f"{line['target']}::{line['check']}[{line['renderer']}-{line['purpose']}]": line["outcome"]
        for line in lines
        if line["kind"] == "outcome"
    }


BOTH = ("--check", "single-bos", "--check", "special-ids")


def test_the_record_is_that_of_a_run(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a renderer that refuses everything, which a verdict says."""
    from template_checks.cli.main import main

    write_toml(project.path, template=BOS_TWICE + TURNS)
    refusing = (
        'import template_checks.errors\ndef build(*_, **__): raise template_checks.errors.Unsupported("not me")\n'
    )
    (project.path / "refusing.py").write_text(refusing, encoding="utf-8")
    write_toml(project.path, name="sound", renderers='other = { type = "python", function = "refusing.py:build" }')
    result = project.runpytest_inprocess(*BOTH, "--check-seed", "5", "--check-record", "here.ndjson")
    result.assert_outcomes(passed=4, failed=4)
    result.stdout.fnmatch_lines([f"template-checks: record written to {project.path}/here.ndjson"])
    here = read_record(project.path / "here.ndjson")
    monkeypatch.chdir(project.path)
    with pytest.raises(SystemExit):
        main.main(["run", *BOTH, "--seed", "5", "--record", "run.ndjson"], prog_name="template-checks")
    run = read_record(project.path / "run.ndjson")
    assert [line["kind"] for line in here] == [line["kind"] for line in run]
    assert here[0] == {**run[0], "started": here[0]["started"]}
    assert here[-1] == {**run[-1], "seconds": here[-1]["seconds"]}
    assert (here[-1]["blocking"], here[-1]["exit_code"], here[-1]["interrupted"]) == (2, 1, False)
    assert ends(here) == ends(run)


def test_the_record_holds_what_pytest_selected(project: pytest.Pytester) -> None:
    write_toml(project.path, template=BOS_TWICE + TURNS)
    write_toml(project.path, name="sound")
    project.runpytest_inprocess(*BOTH, "-k", "train and not sound", "--check-record", "r.ndjson").assert_outcomes(
        failed=1, deselected=5
    )
    lines = read_record(project.path / "r.ndjson")
    assert ends(lines) == {"m::single-bos[chat_template-train]": "mismatch"}
    assert (lines[0]["checks"], list(lines[0]["targets"])) == (["single-bos"], ["m"])
    assert (lines[-1]["exit_code"], lines[-1]["interrupted"]) == (1, False)


def test_the_record_tells_of_stale_entries(project: pytest.Pytester) -> None:
    entry = f'{{ fingerprint = "c7f2a91b", reason = "a debt", check = "single-bos", {WITNESS} }}'
    write_toml(project.path, target=f"accepted = [{entry}]")
    project.runpytest_inprocess("--check", "single-bos", "--check-record", "r.ndjson")
    footer = read_record(project.path / "r.ndjson")[-1]
    assert (footer["stale"], footer["exit_code"], footer["ledger"][0]["state"]) == (1, 2, "fixed")


def test_the_record_tells_of_targets_that_cannot_be_built(project: pytest.Pytester) -> None:
    write_toml(project.path)
    text = (project.path / "template-checks.toml").read_text(encoding="utf-8")
    broken = text.replace("target.m", "target.broken").replace(json.dumps(str(TOKENIZER)), '"./nowhere"')
    (project.path / "template-checks.toml").write_text(text + broken, encoding="utf-8")
    arguments = ("--check", "special-ids", "--check-record", "r.ndjson", "--continue-on-collection-errors")
    project.runpytest_inprocess(*arguments).assert_outcomes(errors=1, passed=1)
    lines = read_record(project.path / "r.ndjson")
    assert list(lines[0]["failed"]) == ["broken"]
    assert (lines[-1]["exit_code"], lines[-1]["verdict"]) == (3, "not clean: 1 error")


def test_an_interrupt_ends_pytest_and_closes_the_record(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = search.Search.examine

    def examine(self: search.Search, conversation: Conversation) -> None:
        if self.examined == 3:
            raise KeyboardInterrupt
        real(self, conversation)

    monkeypatch.setattr(search.Search, "examine", examine)
    write_toml(project.path, template=BOS_TWICE + TURNS)
    result = project.runpytest_inprocess("--check-record", "r.ndjson", no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    lines = read_record(project.path / "r.ndjson")
    assert [line for line in lines if line["kind"] == "finding" and line["check"] == "single-bos"]
    assert (lines[-1]["interrupted"], lines[-1]["exit_code"]) == (True, 3)
    assert "interrupted" in lines[-1]["verdict"]


def test_what_pytest_left_out_is_not_proved(project: pytest.Pytester) -> None:
    """`-x` ends the session before the second target is searched."""
    write_toml(project.path, name="sound")
    project.makeconftest("def pytest_collection_modifyitems(items): items.sort(key=lambda i: 'sound' not in i.nodeid)")
    write_toml(project.path, name="other")
    project.makepyfile("def test_sound(): assert False")
    project.runpytest_inprocess("-x", "--check", "single-bos", "--check-record", "r.ndjson").assert_outcomes(
        failed=1, passed=2
    )
    lines = read_record(project.path / "r.ndjson")
    assert {line["target"] for line in lines if line["kind"] == "outcome"} == {"sound"}
    assert (lines[-1]["interrupted"], lines[-1]["exit_code"]) == (True, 3)


def test_a_record_that_cannot_be_written_is_wrong_usage(project: pytest.Pytester) -> None:
    write_toml(project.path)
    result = project.runpytest_inprocess("--check-record", "nowhere/r.ndjson")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --check-record: *nowhere/r.ndjson cannot be written: No such file*"])


def test_no_record_of_an_earlier_run_is_left(project: pytest.Pytester) -> None:
    """But collecting alone is no run."""
    project.makepyfile("def test_other(): pass")
    (project.path / "r.ndjson").write_text("old", encoding="ascii")
    project.runpytest_inprocess("--collect-only", "--check-record", "r.ndjson")
    assert (project.path / "r.ndjson").read_text(encoding="ascii") == "old"
    result = project.runpytest_inprocess("--check-record", "r.ndjson")
    result.stdout.fnmatch_lines(["template-checks: no record: no template-checks.toml could be collected"])
    assert not (project.path / "r.ndjson").read_bytes()


def test_a_record_is_of_one_configuration(project: pytest.Pytester) -> None:
    for name in ("a", "b"):
        project.mkdir(name)
        write_toml(project.path / name)
    project.runpytest_inprocess("--check", "special-ids").assert_outcomes(passed=2)
    result = project.runpytest_inprocess("--check", "special-ids", "--check-record", "r.ndjson")
    result.stdout.fnmatch_lines(["A record is of one configuration, and several were collected."])
    result = project.runpytest_inprocess("a", "--check", "special-ids", "--check-record", "r.ndjson")
    result.assert_outcomes(passed=1)
    assert read_record(project.path / "r.ndjson")


def test_a_drawn_seed_is_said_and_repeats_the_run(project: pytest.Pytester) -> None:
    write_toml(project.path)
    drawn = project.runpytest_inprocess("--check", "special-ids").stdout.str()
    mark = re.search(r"template-checks: profile dev, seed (\d+) \(--check-seed \1 repeats it\)", drawn)
    assert mark
    for arguments in (("--check-seed", mark[1]), ("--check-profile", "ci")):
        project.runpytest_inprocess("--check", "special-ids", *arguments).stdout.no_fnmatch_line("*template-checks: *")


def test_silence_without_the_file(project: pytest.Pytester) -> None:
    """Neither a word nor an import in a project that has no template-checks.toml."""
    project.makepyfile(
        """
        import sys

        def test_nothing_heavy_is_loaded():
            heavy = {"transformers", "tokenizers", "pydantic", "jinja2", "rich", "click"}
            assert not heavy & sys.modules.keys()
            ours = {name for name in sys.modules if name.startswith("template_checks")}
            assert ours <= {"template_checks", "template_checks.pytest.plugin"}
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
