"""`template-checks accept`: writes an entry into the configuration that a mismatch came from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from template_checks.config.schema import load_config
from template_checks.engine.database import FOLDER
from tests.ledger import GOOD, SPACES, TAIL, TODAY, TOMORROW, YESTERDAY, Cli, entry, kept, run, write
from tests.ledger import _elsewhere as _elsewhere
from tests.ledger import cli as cli
from tests.ledger import marks as marks

pytestmark = pytest.mark.usefixtures("_elsewhere")


@pytest.mark.parametrize("name", ["template-checks.toml", "pyproject.toml"])
def test_accept_and_mend(cli: Cli, marks: dict[str, str], name: str) -> None:
    path = write(SPACES, name=name)
    before = path.read_bytes()
    assert run(cli).code == 1
    ended = cli("accept", marks["spaces"][:5], "--reason", "as in May", "--owner", "Ann", "--expires", f"{TOMORROW}")
    assert ended.code == 0, ended.err

    after = path.read_bytes()
    start = next(n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b) if name[0] == "p" else None
    rest = before[start:] if start is not None else b""
    assert after.startswith(before[:start])
    assert after.endswith(rest), "one insertion, and nothing else"
    (kept,) = load_config(path).target["m"].accepted
    assert kept.model_dump(exclude={"witness"}) == {
        "fingerprint": marks["spaces"],
        "check": "same-text",
        "renderer": "other",
        "reason": "as in May",
        "owner": "Ann",
        "expires": TOMORROW,
    }
    assert kept.witness is not None
    assert kept.witness.roles == ("user",)
    for said in ("same-text[other-generate]", marks["spaces"], "as in May", "Ann", f"{TOMORROW}", 'user  "'):
        assert said in ended.out
    number = re.search(rf"written to {re.escape(name)}:(\d+)$", ended.out, re.MULTILINE)
    assert number
    assert after.decode().splitlines()[int(number[1]) - 1].endswith("target.m.accepted]]")

    (Path(FOLDER) / "counterexamples" / "m" / f"{marks['spaces']}.json").unlink()
    ended = run(cli)
    assert ended.code == 0
    assert ended.states == ["accepted"]
    assert cli("replay", marks["spaces"]).code == 0

    Path("other.jinja").write_text(GOOD, encoding="utf-8")
    ended = run(cli)
    assert ended.code == 2
    assert ended.states == ["fixed"]
    assert f"{name}: target.m.accepted, entry 1" in ended.out


def test_accept_refuses_what_has_an_entry(cli: Cli, marks: dict[str, str]) -> None:
    path = write(SPACES, entry(marks["spaces"], expires=f"{YESTERDAY}"))
    assert run(cli).code == 1
    before = path.read_bytes()
    ended = cli(*kept(marks["spaces"]))
    assert ended.code == 2
    assert f"has an entry already: accepted until {YESTERDAY}, expired: a debt" in ended.err
    assert "template-checks.toml: target.m.accepted, entry 1" in ended.err
    assert path.read_bytes() == before


def test_accept_refuses_what_no_longer_occurs(cli: Cli, marks: dict[str, str]) -> None:
    path = write(SPACES)
    run(cli)
    Path("other.jinja").write_text(GOOD, encoding="utf-8")
    before = path.read_bytes()
    ended = cli(*kept(marks["spaces"]))
    assert ended.code == 2
    assert "no longer occurs" in ended.err
    assert path.read_bytes() == before


def test_accept_refuses_a_day_that_is_over(cli: Cli, marks: dict[str, str]) -> None:
    path = write(SPACES)
    run(cli)
    before = path.read_bytes()
    ended = cli(*kept(marks["spaces"]), "--expires", f"{YESTERDAY}")
    assert ended.code == 2
    assert "is over" in ended.err
    ended = cli(*kept(marks["spaces"]), "--expires", "soon")
    assert ended.code == 2
    assert "'soon' does not match" in ended.err
    ended = cli("accept", marks["spaces"], "--reason", " ")
    assert ended.code == 2
    assert "--reason is empty" in ended.err
    assert path.read_bytes() == before
    assert cli(*kept(marks["spaces"]), "--expires", f"{TODAY}").code == 0


def test_accept_refuses_an_example(cli: Cli) -> None:
    ended = cli("run", "--example", "internlm2", "-c", "single-bos")
    (mark,) = ended.findings
    ended = cli(*kept(mark))
    assert ended.code == 2
    assert "comes from an example of the package" in ended.err


def test_accept_refuses_what_is_advisory(cli: Cli) -> None:
    path = write(TAIL)
    ended = run(cli)
    assert ended.code == 0
    (mark,) = ended.findings
    before = path.read_bytes()
    ended = cli(*kept(mark))
    assert ended.code == 2
    assert "is advisory: it decides no exit code, and need not be accepted" in ended.err
    assert path.read_bytes() == before


def test_accept_says_when_the_file_cannot_be_written(
    cli: Cli, marks: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(SPACES)
    run(cli)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    before = Path("template-checks.toml").read_bytes()
    monkeypatch.setattr("template_checks.core.files.os.fsync", refuse)
    ended = cli(*kept(marks["spaces"]))
    assert Path("template-checks.toml").read_bytes() == before
    assert [path.name for path in Path().iterdir() if path.suffix == ".tmp"] == []
    assert ended.code == 2
    assert "cannot be written: Permission denied" in ended.err


def test_accept_of_what_is_not_kept(cli: Cli) -> None:
    write(SPACES)
    ended = cli(*kept("c7f2a91b"))
    assert ended.code == 2
    assert "No counterexample 'c7f2a91b' is kept here" in ended.err


def test_accept_of_a_check_of_the_target(cli: Cli) -> None:
    """It has no conversation, so the entry has no witness: every run sees it anyway."""
    path = write(GOOD, own='stops = ["no such token"]\n')
    ended = run(cli, check="stop-known")
    assert ended.code == 1
    (mark,) = ended.findings
    ended = cli(*kept(mark))
    assert ended.code == 0, ended.err
    (written,) = load_config(path).target["m"].accepted
    assert (written.check, written.renderer, written.witness) == ("stop-known", None, None)
    assert run(cli, check="stop-known").states == ["accepted"]
    path.write_text(path.read_text(encoding="utf-8").replace('["no such token"]', "[]"), encoding="utf-8")
    ended = run(cli, check="stop-known")
    assert ended.code == 2
    assert ended.states == ["unmatched"]


def test_accept_of_one_defect_in_two_targets(cli: Cli, marks: dict[str, str]) -> None:
    path = write(SPACES)
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\n" + text.replace("target.m", "target.n"), encoding="utf-8")
    assert run(cli).code == 1
    assert cli(*kept(marks["spaces"]), "--target", "m").code == 0
    assert [len(target.accepted) for target in load_config(path).target.values()] == [1, 0]
    assert cli(*kept(marks["spaces"]), "-t", "n").code == 0
    assert [len(target.accepted) for target in load_config(path).target.values()] == [1, 1]
    ended = run(cli)
    assert ended.code == 0
    assert "a m   same-text   other" in ended.out
    assert "a n   same-text   other" in ended.out
