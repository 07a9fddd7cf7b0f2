"""Two records side by side: what appeared, what is gone, and what nobody can know."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest

from template_checks.cli.main import main
from template_checks.engine import profiles
from template_checks.engine.profiles import Profile
from template_checks.record.compare import Comparison, FindingChange, OutcomeChange, compare_records
from template_checks.record.reader import read_record
from template_checks.views.comparison import show_comparison
from template_checks.views.console import printed
from tests import records as made

Line = dict[str, Any]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    """Of the broken example: blocking and advisory findings, some of them in two items."""
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(profiles.PROFILES, "dev", Profile("dev", 10, None, ""))
        words = ["run", "--example", "internlm2", "--seed", "7", "--record", "run.ndjson"]
        with contextlib.redirect_stdout(io.StringIO()), pytest.raises(SystemExit):
            main.main(words, prog_name="template-checks")
    lines = made.as_data(read_record(folder / "run.ndjson"))
    return [line for line in lines if line["kind"] != "defect"]  # findings are compared


def compare(old: list[Line], new: list[Line]) -> Comparison:
    return compare_records(made.from_data(old), made.from_data(new))


def marks(changes: list[FindingChange]) -> set[str]:
    return {change.first.fingerprint for change in changes}


def of_severity(record: list[Line], severity: str) -> set[str]:
    return {line["fingerprint"] for line in record if line.get("severity") == severity}


def without(record: list[Line], gone: set[str]) -> list[Line]:
    """The record of a run that looked, and did not find these."""
    left = [line for line in copy.deepcopy(record) if line.get("fingerprint") not in gone]
    for line in left:
        if line["kind"] == "outcome":
            line["findings"] = [mark for mark in line["findings"] if mark not in gone]
            line["outcome"] = "pass" if line["outcome"] == "mismatch" and not line["findings"] else line["outcome"]
    return left


def shown(comparison: Comparison) -> str:
    return printed(lambda console: show_comparison(comparison, console))


def test_a_record_and_itself(record: list[Line]) -> None:
    comparison = compare(record, copy.deepcopy(record))
    every = of_severity(record, "blocking") | of_severity(record, "advisory")
    assert marks(comparison.of("unchanged")) == every
    assert len(comparison.changes) == len(every) < sum(line["kind"] == "finding" for line in record)
    assert (comparison.endings, comparison.circumstances, comparison.complete) == ((), (), True)
    assert comparison.exit_code == 0
    text = shown(comparison)
    assert (
        text == f"0 appeared, 0 disappeared, {len(every)} unchanged, 0 unknown\nVerdict: no blocking finding appeared\n"
    )


@pytest.mark.parametrize(("severity", "code"), [("blocking", 1), ("advisory", 0)])
def test_what_appears_fails_where_it_blocks(record: list[Line], severity: str, code: int) -> None:
    gone = of_severity(record, severity)
    comparison = compare(without(record, gone), record)
    assert marks(comparison.of("appeared")) == gone
    assert comparison.exit_code == code
    text = shown(comparison)
    assert "Appeared" in text and "pass → mismatch" in text and "First difference" in text
    assert f"Verdict: {len(gone)} findings block" in text if code else "no blocking finding appeared" in text


def test_what_disappears_is_no_failure(record: list[Line]) -> None:
    gone = of_severity(record, "blocking")
    comparison = compare(record, without(record, gone))
    assert marks(comparison.of("disappeared")) == gone and comparison.exit_code == 0
    assert {ending.new for ending in comparison.endings} == {"pass"}
    text = shown(comparison)
    assert all(mark in text for mark in gone)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("outcome", ["error", "unsupported", "not-exercised", "absent"])
def test_what_was_not_looked_at_is_not_gone(record: list[Line], outcome: str) -> None:
    new = without(record, of_severity(record, "advisory"))
    checks = {line["check"] for line in record if line.get("severity") == "advisory" and line["kind"] == "finding"}
    items = [line for line in new if line["kind"] == "outcome" and line["check"] in checks]
    for line in items:
        line["outcome"] = outcome
    if outcome == "absent":
        new = [line for line in new if line not in items]
    comparison = compare(record, new)
    assert marks(comparison.of("unknown")) == of_severity(record, "advisory")
    assert not comparison.of("disappeared")
    assert (
        OutcomeChange("internlm2-chat", "control-injected[web_ui-generate]", "mismatch", outcome) in comparison.endings
    )


def test_of_a_run_that_was_cut_off_the_rest_is_unknown(record: list[Line]) -> None:
    cut = [line for line in record if line["kind"] == "header" or line.get("severity") == "blocking"]
    interrupted = [*without(record, of_severity(record, "advisory"))[:-1], {**record[-1], "interrupted": True}]
    for unfinished in (cut, interrupted):
        for old, new in ((record, unfinished), (unfinished, record)):
            comparison = compare(old, new)
            assert marks(comparison.of("unknown")) == of_severity(record, "advisory")
            assert marks(comparison.of("unchanged")) == of_severity(record, "blocking")
            assert not comparison.complete and comparison.cut_off == ("new" if new is unfinished else "old",)
            assert "was cut off or interrupted" in shown(comparison)
            assert "no blocking finding is known to have appeared" in shown(comparison)
        assert unfinished is interrupted or not comparison.endings


def test_what_an_unfinished_run_found_first_may_have_been_there(record: list[Line]) -> None:
    """The new record has it; whether the old run would have found it nobody knows. A finished one would have."""
    cut = record[:1]
    assert compare(cut, record).exit_code == 0
    assert marks(compare(cut, record).of("unknown")) >= of_severity(record, "blocking")
    assert compare(without(record, of_severity(record, "blocking")), record[:-1]).exit_code == 1


def test_a_finding_that_is_judged_otherwise(record: list[Line]) -> None:
    entry = {"reason": "so trained", "owner": None, "expires": None, "text": "accepted: so trained"}
    old = copy.deepcopy(record)
    mark = next(iter(of_severity(record, "blocking")))
    for line in old:
        if line.get("fingerprint") == mark:
            line["accepted"] = entry
    (change,) = (change for change in compare(old, record).changes if change.first.fingerprint == mark)
    assert (change.state, change.standing, change.blocks_now) == ("unchanged", ("accepted", "blocking"), True)
    assert compare(old, record).exit_code == 1
    assert "accepted → blocking" in shown(compare(old, record)).replace("\n", " ")
    assert compare(record, old).exit_code == 0


def test_what_the_runs_were_made_of(record: list[Line]) -> None:
    header, *rest = copy.deepcopy(record)
    header["versions"]["transformers"] = "4.0"
    header["seed"] = 8
    target = header["targets"]["internlm2-chat"]
    target["artefacts"][0]["sha256"] = "0" * 64
    del target["renderers"]["web_ui"]["artefacts"][0]
    circumstances = compare([header, *rest], record).circumstances
    assert circumstances == (
        f"transformers 4.0 → {record[0]['versions']['transformers']}",
        "seed 8 → 7",
        "artefact internlm2-chat: tokenizer/tokenizer.json changed",
        "artefact internlm2-chat: web_demo.py is new",
    )
    assert "changed  seed 8 → 7" in shown(compare([header, *rest], record))


def test_the_same_fingerprint_in_two_targets_is_two_findings(record: list[Line]) -> None:
    other = [{**line, "target": "other"} for line in record[1:-1] if "target" in line]
    comparison = compare(record, [*record[:-1], *other, record[-1]])
    assert marks(comparison.of("appeared")) == marks(comparison.of("unchanged"))
    assert {change.first.target for change in comparison.of("appeared")} == {"other"}
    assert "other: " in shown(comparison)


def test_nothing_of_a_record_reaches_a_terminal_as_it_is(record: list[Line]) -> None:
    odd = "\x1b[2J\u202e\n[bold]"
    hostile = [{**line, "target": odd * 20} if "target" in line else line for line in copy.deepcopy(record)]
    for line in hostile:
        if line["kind"] == "finding":
            line |= dict.fromkeys(("renderer", "position", "summary", "source", "reproduce", "actual_name"), odd)
            line["conversation"] = [{"role": odd, "content": odd}]
            line["actual_tokens"] = [odd] * len(line["actual_ids"])
    for old, new in ((record, hostile), (hostile, record)):
        sides = [made.from_data(lines).printable() for lines in (old, new)]
        text = shown(compare_records(*sides))
        assert r"\x1b[2J\u202e" in text and "[bold]" in text
        assert not set(text) & set("\x1b\u202e")


def test_the_command(record: list[Line], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, lines in (("old", without(record, of_severity(record, "blocking"))), ("new", record)):
        (tmp_path / name).write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    for old, new, code in (("old", "new", 1), ("new", "old", 0), ("new", "gone", 2)):
        with pytest.raises(SystemExit) as ended:
            main.main(["compare", str(tmp_path / old), str(tmp_path / new)], prog_name="template-checks")
        assert ended.value.code == code
    captured = capsys.readouterr()
    assert "Verdict: no blocking finding appeared" in captured.out and "cannot be read" in captured.err
