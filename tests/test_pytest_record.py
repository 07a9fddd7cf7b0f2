"""The record of a pytest session: that of a run, whatever pytest selected, left out or cut off."""

from __future__ import annotations

import json

import pytest

from template_checks.core.conversation import Conversation
from template_checks.engine import search
from tests.projects import BOS_TWICE, BOTH, TOKENIZER, TURNS, WITNESS, ends, project, read_record, write_toml

assert project
"""The fixture."""


def test_the_record_is_that_of_a_run(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a renderer that refuses everything, which a verdict says."""
    from template_checks.cli.main import main

    write_toml(project.path, template=BOS_TWICE + TURNS)
    refusing = 'from template_checks.core.errors import Unsupported\ndef build(*_, **__): raise Unsupported("not me")\n'
    (project.path / "refusing.py").write_text(refusing, encoding="utf-8")
    write_toml(project.path, name="sound", renderers='other = { type = "python", function = "refusing.py:build" }')
    result = project.runpytest_inprocess(*BOTH, "--check-seed", "5", "--check-record", "here.ndjson")
    result.assert_outcomes(passed=4, failed=4)
    result.stdout.fnmatch_lines([f"template-checks: record written to {project.path}/here.ndjson"])
    here = read_record(project.path / "here.ndjson")
    monkeypatch.chdir(project.path)
    with pytest.raises(SystemExit):
        main.main(
            ["run", "--check", "single-bos", "--check", "special-ids", "--seed", "5", "--record", "run.ndjson"],
            prog_name="template-checks",
        )
    run = read_record(project.path / "run.ndjson")
    assert [line["kind"] for line in here] == [line["kind"] for line in run]
    assert here[0] == {**run[0], "started": here[0]["started"]}
    assert here[-1] == {**run[-1], "seconds": here[-1]["seconds"]}
    assert (here[-1]["blocking"], here[-1]["exit_code"], here[-1]["interrupted"]) == (1, 1, False)
    assert ends(here) == ends(run)


def test_the_record_holds_what_pytest_selected(project: pytest.Pytester) -> None:
    write_toml(project.path, template=BOS_TWICE + TURNS)
    write_toml(project.path, name="sound")
    project.runpytest_inprocess(*BOTH, "-k", "train and not sound", "--check-record", "r.ndjson").assert_outcomes(
        failed=1, deselected=5
    )
    lines = read_record(project.path / "r.ndjson")
    assert ends(lines) == {"m::single-bos[chat_template-train]": "mismatch"}
    assert (lines[0]["selected_checks"], list(lines[0]["targets"])) == (["single-bos"], ["m"])
    assert (lines[-1]["exit_code"], lines[-1]["interrupted"]) == (1, False)


def test_the_record_tells_of_stale_entries(project: pytest.Pytester) -> None:
    entry = f'{{ fingerprint = "c7f2a91b", reason = "a debt", check = "single-bos", {WITNESS} }}'
    write_toml(project.path, target=f"accepted = [{entry}]")
    project.runpytest_inprocess("--check-only", "single-bos", "--check-record", "r.ndjson")
    footer = read_record(project.path / "r.ndjson")[-1]
    assert (footer["stale"], footer["exit_code"], footer["ledger"][0]["state"]) == (1, 2, "fixed")


def test_the_record_tells_of_targets_that_cannot_be_built(project: pytest.Pytester) -> None:
    write_toml(project.path)
    text = (project.path / "template-checks.toml").read_text(encoding="utf-8")
    broken = text.replace("target.m", "target.broken").replace(json.dumps(str(TOKENIZER)), '"./nowhere"')
    (project.path / "template-checks.toml").write_text(text + broken, encoding="utf-8")
    arguments = ("--check-only", "special-ids", "--check-record", "r.ndjson", "--continue-on-collection-errors")
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
    project.runpytest_inprocess("-x", "--check-only", "single-bos", "--check-record", "r.ndjson").assert_outcomes(
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
    project.runpytest_inprocess("--check-only", "special-ids").assert_outcomes(passed=2)
    result = project.runpytest_inprocess("--check-only", "special-ids", "--check-record", "r.ndjson")
    result.stdout.fnmatch_lines(["A record is of one configuration, and several were collected."])
    result = project.runpytest_inprocess("a", "--check-only", "special-ids", "--check-record", "r.ndjson")
    result.assert_outcomes(passed=1)
    assert read_record(project.path / "r.ndjson")
