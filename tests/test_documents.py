"""Sign-off, verification and signatures: what a record proves, and that it still does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from template_checks.cli.main import main
from template_checks.config.examples import shipped_folder
from template_checks.engine.coverage import CONTENTS, Coverage, script
from template_checks.record.models import SignOff, schema
from template_checks.record.reader import read_record
from template_checks.record.verify import recorded
from template_checks.strategies.conversations import starters
from tests.systems import embedded_tokenizer


def raw(path: Path) -> list[dict[str, Any]]:
    """The lines of a record as they are in the file."""
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def rewrite(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="ascii")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repaired example as somebody's own project."""
    examples = shipped_folder("examples")
    folder = tmp_path / "project"
    shutil.copytree(examples / "internlm2-repaired", folder)
    shutil.copytree(examples / "internlm2" / "tokenizer", folder / "tokenizer")
    file = folder / "template-checks.toml"
    text = file.read_text(encoding="utf-8").replace("../internlm2/tokenizer", "tokenizer")
    file.write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def signed_off(*words: str) -> Result:
    return call("signoff", "--profile", "ci", *words)


# Sign-off


def test_what_holds_is_granted(project: Path) -> None:
    result = signed_off()
    assert result.exit_code == 0, result.output
    assert "Sign-off: granted" in result.output
    assert "Written: signoff.ndjson, signoff.html" in result.output
    footer = read_record(project / "signoff.ndjson").footer
    assert footer is not None
    assert footer.signoff == SignOff(granted=True, refused=())
    assert "<html" in (project / "signoff.html").read_text(encoding="utf-8")


def test_what_blocks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = signed_off("--example", "internlm2")
    assert result.exit_code == 1
    assert "Sign-off: refused" in result.output
    assert "defects block" in result.output.partition("refused")[2]


def test_what_is_required_and_was_not_exercised_is_refused(project: Path) -> None:
    file = project / "template-checks.toml"
    text = file.read_text(encoding="utf-8").replace("reference =", 'required = ["slow-fast"]\nreference =')
    file.write_text(text, encoding="utf-8")
    result = signed_off()
    assert result.exit_code == 3, result.output
    assert "slow-fast ended as not-exercised: " in result.output
    assert call("run", "--check", "single-bos").exit_code == 0, "an ordinary run asks for less"


def test_a_reference_alone_is_refused(project: Path) -> None:
    file = project / "template-checks.toml"
    text = """[target.alone]
tokenizer = "tokenizer"
renderers = { chat_template = { type = "tokenizer" } }
"""
    file.write_text(text, encoding="utf-8")
    result = signed_off()
    assert result.exit_code == 3, result.output
    assert "target alone has nothing but its reference: nothing is compared" in result.output


def test_an_unknown_required_check_is_named(project: Path) -> None:
    file = project / "template-checks.toml"
    text = file.read_text(encoding="utf-8").replace("reference =", 'required = ["same-token"]\nreference =')
    file.write_text(text, encoding="utf-8")
    result = signed_off()
    assert result.exit_code == 2
    assert "did you mean 'same-tokens'?" in result.output


# Verification


@pytest.fixture
def record(project: Path) -> Path:
    assert call("run", "--profile", "ci", "--record", "r.ndjson").exit_code == 0
    return project / "r.ndjson"


def test_nothing_changed(record: Path) -> None:
    result = call("verify", str(record), "--rerun")
    assert result.exit_code == 0, result.output
    assert "7 of 7 artefacts are unchanged." in result.output
    assert ", 0 differences." in result.output


def test_one_byte_of_any_artefact(project: Path, record: Path) -> None:
    head = read_record(record).header
    assert head is not None
    files = {artefact.path for _, artefact in recorded(head)}
    assert len(files - {None}) >= 5
    for name in sorted(filter(None, files)):
        path = project / name
        before = path.read_bytes()
        at = before.rindex(b" ")  # still readable, still another file
        path.write_bytes(before[:at] + b"\t" + before[at + 1 :])
        result = call("verify", str(record))
        assert result.exit_code == 1, f"{name}: {result.output}"
        changed = [line for line in result.output.splitlines() if line.startswith("changed")]
        assert any(Path(name).name in line for line in changed), result.output
        path.write_bytes(before)
        assert call("verify", str(record)).exit_code == 0


def test_a_file_that_is_gone(project: Path, record: Path) -> None:
    (project / "web_demo.py").unlink()
    result = call("verify", str(record))
    assert result.exit_code == 1
    assert "changed  web_demo.py (internlm2-chat, web_ui) is gone" in result.output


def test_nothing_else_changes_its_mind(project: Path, record: Path) -> None:
    (project / "notes.txt").write_text("a", encoding="utf-8")
    for path in project.rglob("*"):
        path.touch()
    assert call("verify", str(record)).exit_code == 0


def test_other_versions_are_noted(record: Path) -> None:
    lines = raw(record)
    lines[0]["versions"]["tokenizers"] = "0.0.1"
    rewrite(record, lines)
    result = call("verify", str(record))
    assert result.exit_code == 0
    assert "note     tokenizers is " in result.output
    assert "was 0.0.1" in result.output


def test_a_rerun_that_ends_otherwise(record: Path) -> None:
    lines = raw(record)
    outcome = next(line for line in lines if line["kind"] == "outcome" and line["outcome"] == "pass")
    outcome["outcome"] = "mismatch"
    rewrite(record, lines)
    result = call("verify", str(record), "--rerun")
    assert result.exit_code == 1
    assert "mismatch, now pass" in result.output


# Signatures


@pytest.fixture
def key(tmp_path: Path) -> Path:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
    return path


def test_a_signature_holds_until_a_byte_changes(project: Path, key: Path) -> None:
    assert signed_off("--sign", str(key)).exit_code == 0
    signers = project / "allowed_signers"
    public = key.with_suffix(".pub").read_text(encoding="utf-8")
    signers.write_text(f"release@example.org {public}", encoding="utf-8")
    words = ["verify", "signoff.ndjson", "--signers", "allowed_signers", "--identity"]
    result = call(*words, "release@example.org")
    assert result.exit_code == 0, result.output
    assert "signed   by release@example.org" in result.output
    assert "ssh-keygen refuses" in call(*words, "somebody@example.org").output
    file = project / "signoff.ndjson"
    file.write_text(file.read_text(encoding="utf-8").replace('"seconds"', '"seconds" '), encoding="utf-8")
    result = call(*words, "release@example.org")
    assert result.exit_code != 0
    assert "ssh-keygen refuses" in result.output


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--sign", "no-key"), "The key to sign with does not exist."),
        (("--html", "nowhere/report.html"), "The folder of the report does not exist."),
        (("--record", "nowhere/record.ndjson"), "The record cannot be written"),
    ],
)
def test_what_cannot_be_written_is_said_before_the_run(project: Path, words: tuple[str, ...], what: str) -> None:
    result = signed_off(*words)
    assert result.exit_code == 2
    assert what in result.output
    assert not (project / "signoff.ndjson").exists()


# The record


def test_the_schema_describes_every_line(record: Path) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    jsonschema.Draft202012Validator.check_schema(schema())
    lines = raw(record)
    assert {line["kind"] for line in lines} == {"header", "finding", "outcome", "coverage", "defect", "footer"}
    for line in lines:
        validator.validate(line)
        del line["kind"]
        assert not validator.is_valid(line)


def test_the_schema_is_printed() -> None:
    result = call("run", "--schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == schema()


@pytest.mark.parametrize("words", [("verify",), ("report",), ("report", "--format", "html"), ("compare", "r.ndjson")])
def test_a_record_of_version_1_is_refused_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    rewrite(tmp_path / "r.ndjson", [{"kind": "header", "record": 1, "profile": "dev"}])
    result = call(*words, "r.ndjson")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("template-checks: This record has version 1; this template-checks reads version 2")
    assert result.stderr.splitlines()[1] == "  where  r.ndjson, line 1"


def test_a_report_as_json_is_the_record(record: Path) -> None:
    assert call("report", str(record), "--format", "json").stdout == record.read_text(encoding="ascii")


def test_a_record_compared_with_itself(record: Path) -> None:
    result = call("compare", str(record), str(record))
    assert result.exit_code == 0, result.output
    rewrite(record.with_name("cut.ndjson"), raw(record)[:-1])
    result = call("compare", str(record), str(record.with_name("cut.ndjson")))
    assert result.exit_code == 3
    assert "The new run was cut off or interrupted" in result.output


def test_coverage_counts() -> None:
    coverage = Coverage(embedded_tokenizer())
    conversations = list(starters(target_strings=["<s>"]))
    for conversation in conversations:
        coverage.add(conversation, [conversation])
    assert coverage.conversations == len(conversations)
    assert coverage.roles["user"] == sum(c.roles.count("user") for c in conversations)
    assert set(CONTENTS) - set(coverage.contents) == {"control characters"}, "none of them holds one"
    assert coverage.scripts["Latin"] > 0
    assert {character: script(character) for character in "aЯ你한👍 1"} == {
        "a": "Latin",
        "Я": "Cyrillic",
        "你": "Cjk",
        "한": "Hangul",
        "👍": "Symbol",
        " ": None,
        "1": None,
    }
