"""The ledger: what a run says of mismatches that are accepted on purpose, and `template-checks accept`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from template_checks.checks.findings import Finding
from template_checks.checks.registry import get_checks
from template_checks.cli.accept import with_entry
from template_checks.cli.main import main
from template_checks.config.schema import Accepted, load_config, tomllib
from template_checks.config.target import build_target, opened
from template_checks.core.conversation import Conversation, Message
from template_checks.core.errors import UsageError
from template_checks.engine import profiles
from template_checks.engine.accepted import LedgerResult
from template_checks.engine.database import FOLDER
from template_checks.engine.plan import plan
from template_checks.engine.profiles import Profile
from template_checks.engine.search import Search, SearchOptions
from template_checks.views.terminal import grouped
from tests.systems import EXAMPLES, TextRenderer, chatml, make_target

TOKENIZER = EXAMPLES / "internlm2" / "tokenizer"
TODAY = date.today()
YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
HI = Conversation.of(("user", "hi"))
PROFILE = Profile("dev", 3, None, "")

GOOD = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPACES = GOOD.replace("%}<|im_start|>assistant", "%}    <|im_start|>assistant")
"""Four spaces before the generation prompt, as in the Web UI."""
TWO = SPACES.replace("{% for", "{% if messages[0].role == 'system' %}!{% endif %}{% for")
"""A second defect under the same check: text before a system message."""
TAIL = GOOD.replace("{% endfor %}", "{% endfor %}{% if not add_generation_prompt %}!{% endif %}")
"""A text behind the last answer, which is advisory."""


class Ended(NamedTuple):
    code: int
    out: str
    err: str
    lines: list[dict[str, Any]]

    @property
    def footer(self) -> dict[str, Any]:
        return self.lines[-1]

    @property
    def states(self) -> list[str]:
        return [entry["state"] for entry in self.footer["ledger"]]

    @property
    def findings(self) -> dict[str, dict[str, Any]]:
        return {line["fingerprint"]: line for line in self.lines if line["kind"] == "finding"}

    @property
    def outcomes(self) -> dict[str, str]:
        outcomes = [line for line in self.lines if line["kind"] == "outcome" and line["renderer"] != "chat_template"]
        return {f"{line['check']}-{line['purpose']}": line["outcome"] for line in outcomes}


Cli = Callable[..., Ended]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(profiles.PROFILES, "dev", PROFILE)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run the command line in this process; `run` also leaves its record."""

    def call(*args: str) -> Ended:
        extra = ("--record", "run.ndjson") if args[0] == "run" else ()
        with pytest.raises(SystemExit) as exit_info:
            main.main([*args, *extra], prog_name="template-checks")
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        assert isinstance(exit_info.value.code, int)
        record = Path("run.ndjson").read_text(encoding="ascii") if extra else ""
        return Ended(
            exit_info.value.code, captured.out, captured.err, [json.loads(line) for line in record.splitlines()]
        )

    return call


def run(cli: Cli, *args: str, check: str = "same-text") -> Ended:
    return cli("run", "-c", check, *args)


def write(template: str, entries: str = "", *, own: str = "", name: str = "template-checks.toml") -> Path:
    """A target whose renderer `other` has this template, or breaks or refuses; `entries` stand at the end."""
    Path("other.jinja").write_text(template, encoding="utf-8")
    path = Path(name)
    text = (
        f"# The model's set-up.\n[target.m]\ntokenizer = {json.dumps(str(TOKENIZER))}  # small\n{own}\n"
        "[target.m.renderers]\nchat_template = { type = 'tokenizer' }\n"
        "other = { type = 'tokenizer', chat_template = 'other.jinja' }  # by hand\n"
    )
    if name == "pyproject.toml":
        text = (
            text.replace("[target.", "[tool.template-checks.target.") + "\n# Of ruff.\n[tool.ruff]\nline-length = 9\n"
        )
    path.write_text(text + entries, encoding="utf-8")
    return path


def entry(mark: str, **keys: str) -> str:
    """An entry; the values are TOML."""
    lines = [f"{key} = {value}" for key, value in {"reason": "'a debt'", **keys}.items()]
    return "\n".join(["", "[[target.m.accepted]]", f"fingerprint = '{mark}'", *lines, ""])


WITNESS = "[{ role = 'user', content = 'hi' }]"


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Fingerprints of the two defects of TWO, by their scaffold."""
    patch = pytest.MonkeyPatch()
    patch.chdir(tmp_path_factory.mktemp("marks"))
    write(TWO)
    found: dict[str, str] = {}

    def emit(event: object) -> None:
        if isinstance(event, Finding):
            found[event.fingerprint] = event.mismatch.summary

    config = load_config(Path("template-checks.toml")).target["m"]
    with opened(build_target("m", config, Path.cwd(), "")) as target:
        Search(target, plan(target, get_checks(("same-text",))), SearchOptions(PROFILE, 0), emit).run()
    patch.undo()
    (spaces,) = [mark for mark, summary in found.items() if "4 spaces" in summary]
    (other,) = [mark for mark in found if mark != spaces]
    return {"spaces": spaces, "text": other}


# What a run says


def test_still_there_is_accepted(cli: Cli, marks: dict[str, str]) -> None:
    until = f"{TOMORROW}"
    write(SPACES, entry(marks["spaces"], owner="'Ann'", expires=until, witness=WITNESS, check="'same-text'"))
    ended = run(cli)
    assert ended.code == 0
    assert ended.states == ["accepted"]
    assert ended.outcomes == {"same-text-train": "pass", "same-text-generate": "accepted"}
    expected = {"reason": "a debt", "owner": "Ann", "expires": until, "text": f"accepted by Ann until {until}: a debt"}
    assert ended.findings[marks["spaces"]]["accepted"] == expected
    assert ended.footer["ledger"][0].items() >= expected.items()
    (outcome,) = [line for line in ended.lines if line.get("outcome") == "accepted"]
    assert outcome["entries"] == [{"fingerprint": marks["spaces"], **expected}]
    assert f"a same-text   other   {marks['spaces']}\n  accepted by Ann until {until}: a debt\n" in ended.out
    assert "✗ same-text" not in ended.out
    assert ended.out.rstrip().endswith("Verdict: holds: 1 accepted mismatch")


def test_without_the_entry_it_is_not(cli: Cli, marks: dict[str, str]) -> None:
    write(SPACES)
    ended = run(cli)
    assert ended.code == 1
    assert ended.findings[marks["spaces"]]["accepted"] is None
    assert ended.footer["ledger"] == []
    assert "Ledger" not in ended.out


@pytest.mark.parametrize("owner", ["'Ann'", None])
def test_expired_is_a_mismatch(cli: Cli, marks: dict[str, str], owner: str | None) -> None:
    keys = {"expires": f"{YESTERDAY}", "witness": WITNESS, **({"owner": owner} if owner else {})}
    write(SPACES, entry(marks["spaces"], **keys))
    ended = run(cli)
    said = f"accepted until {YESTERDAY}{' by Ann' if owner else ''}, expired: a debt"
    assert ended.code == 1
    assert ended.states == ["expired"]
    assert ended.outcomes["same-text-generate"] == "mismatch"
    finding = ended.findings[marks["spaces"]]
    assert finding["accepted"] is None
    assert finding["expired"]["text"] == said
    assert "✗ same-text   other" in ended.out
    assert said in " ".join(ended.out.split())
    assert cli("replay", marks["spaces"]).code == 1


def test_the_last_day_counts(cli: Cli, marks: dict[str, str]) -> None:
    write(SPACES, entry(marks["spaces"], expires=f"{TODAY}"))
    assert run(cli).code == 0


@pytest.mark.parametrize("expires", [TOMORROW, YESTERDAY])
def test_gone_is_fixed(cli: Cli, marks: dict[str, str], expires: date) -> None:
    """Also when it has expired."""
    write(GOOD, entry(marks["spaces"], witness=WITNESS, owner="'Ann'", expires=f"{expires}"))
    ended = run(cli, check="same-tokens")
    assert ended.states == ["unselected"], "an entry without check may be of any"
    ended = cli("run")
    assert ended.code == 2
    assert ended.states == ["fixed"]
    assert ended.footer["stale"] == 1
    assert re.search(r"^Verdict: not clean: .*1 stale accepted entry", ended.out, re.MULTILINE)
    flat = " ".join(ended.out.split())
    where = "template-checks.toml: target.m.accepted, entry 1"
    assert f"✗ {marks['spaces']} fixed: remove this entry where {where} reason a debt owner Ann" in flat


def test_an_entry_that_matches_nothing(cli: Cli) -> None:
    write(GOOD, entry("c7f2a91b", check="'same-text'", renderer="'other'"))
    ended = run(cli)
    assert ended.code == 2
    assert ended.states == ["unmatched"]
    assert "matches nothing that this run found: correct or remove this entry" in ended.out


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"check": "'same-texts'"}, "there is no check 'same-texts', did you mean 'same-text'?"),
        ({"renderer": "'web'"}, "the target has no renderer 'web'"),
        ({"check": "'same-text'", "renderer": "'chat_template'"}, "same-text does not look at chat_template"),
        ({"check": "'stop-trained'", "renderer": "'other'"}, "stop-trained does not look at other"),
    ],
)
def test_an_entry_that_can_match_nothing(cli: Cli, keys: dict[str, str], said: str) -> None:
    write(GOOD, entry("c7f2a91b", **keys) + entry("c7f2a91c", witness=WITNESS, **keys))
    ended = run(cli)
    assert ended.code == 2
    assert ended.states == ["unmatched", "unmatched"]
    assert said in " ".join(ended.out.split())


@pytest.mark.parametrize("keys", [{"check": "'single-bos'"}, {"renderer": "'chat_template'"}])
def test_an_entry_that_contradicts_its_finding_accepts_nothing(
    cli: Cli, marks: dict[str, str], keys: dict[str, str]
) -> None:
    write(SPACES, entry(marks["spaces"], **keys))
    ended = run(cli)
    assert ended.code == 1
    assert ended.states == ["contradicting"]
    assert ended.outcomes["same-text-generate"] == "mismatch"
    key, value = next(iter(keys.items()))
    assert f"it says {key} = {value}, the finding's is" in " ".join(ended.out.split())


@pytest.mark.parametrize("known", ["spaces", "text"])
def test_an_accepted_fingerprint_never_hides_another(cli: Cli, marks: dict[str, str], known: str) -> None:
    """Two defects of one renderer under one check; one is accepted."""
    (other,) = marks.keys() - {known}
    write(TWO, entry(marks[known], check="'same-text'", renderer="'other'", witness=WITNESS))
    ended = run(cli)
    assert ended.code == 1
    assert ended.states == ["accepted"]
    assert ended.findings[marks[known]]["accepted"] is not None
    assert ended.findings[marks[other]]["accepted"] is None
    assert ended.outcomes["same-text-generate"] == "mismatch"
    assert ended.footer["blocking"] > 0
    assert f"template-checks replay {marks[other]}" in ended.out
    assert f"template-checks replay {marks[known]}" not in ended.out


def test_one_cause_under_two_checks_is_shown_where_one_is_accepted(cli: Cli, marks: dict[str, str]) -> None:
    """A group of findings with one cause is shown by its first: that must not be the accepted one."""
    write(SPACES, entry(marks["spaces"]))
    ended = cli("run", "-c", "same-text", "-c", "same-tokens")
    assert ended.code == 1
    assert "✗ same-tokens   other" in ended.out
    assert "same-text[" not in ended.out, "no `Also fails`"
    # and the other way round: same-tokens would stand first
    (tokens,) = [line["fingerprint"] for line in ended.findings.values() if line["check"] == "same-tokens"]
    write(SPACES, entry(tokens))
    ended = cli("run", "-c", "same-text", "-c", "same-tokens")
    assert ended.code == 1
    assert "✗ same-text   other" in ended.out
    assert "a same-tokens   other" in ended.out
    groups = grouped(list(ended.findings.values()))
    assert [{line["accepted"] is None for line in group} for group in groups] == [{True}, {False}]


# What a run cannot say


def test_what_was_not_selected_is_not_stale(cli: Cli, marks: dict[str, str]) -> None:
    write(GOOD, entry(marks["spaces"], check="'same-text'", witness=WITNESS) + entry("c7f2a91b", check="'same-text'"))
    ended = run(cli, check="single-bos")
    assert ended.code == 0
    assert ended.states == ["unselected", "unselected"]
    assert "Ledger" not in ended.out
    assert run(cli).states == ["fixed", "unmatched"]


@pytest.mark.parametrize("witness", [{"witness": WITNESS}, {}])
@pytest.mark.parametrize(
    ("template", "code"), [("{{ nothing.at_all }}", 3), ("{{ raise_exception('not me') }}", 3), ("{% for %}", 3)]
)
def test_what_could_not_be_looked_at_is_not_stale(
    cli: Cli, marks: dict[str, str], template: str, code: int, witness: dict[str, str]
) -> None:
    """The renderer breaks, refuses, or cannot even be set up."""
    write(template, entry(marks["spaces"], check="'same-text'", **witness))
    # the reference is looked at by single-bos, so that something is tested where `other` refuses
    ended = cli("run", "-c", "same-text", "-c", "single-bos")
    assert ended.code == code
    assert ended.states == ["unexamined"]
    assert f"? same-text   {marks['spaces']}" in ended.out
    assert "not looked at: " in ended.out


def test_a_refused_witness_is_not_fixed(cli: Cli, marks: dict[str, str]) -> None:
    """The renderer takes other conversations, but no longer this one."""
    refusing = "{% if messages[0].content == 'hi' %}{{ raise_exception('not me') }}{% endif %}" + GOOD
    write(refusing, entry(marks["spaces"], check="'same-text'", renderer="'other'", witness=WITNESS))
    ended = run(cli)
    assert ended.states == ["unexamined"]
    assert ended.code == 0
    assert "not looked at: the template refuses it: not me" in ended.out


def judged_of(template: Callable[..., str], *entries: Accepted, **patched: Any) -> list[LedgerResult]:
    target = make_target(lambda context: [TextRenderer("other", context, template)], accepted=entries)
    searched = Search(target, plan(target, get_checks(("same-text",))), SearchOptions(PROFILE, 0), lambda _event: None)
    for name, value in patched.items():
        setattr(searched, name, value)
    searched.run()
    return searched.judged()


def test_an_interrupted_run_judges_nothing() -> None:
    def interrupted(_conversation: Conversation) -> None:
        raise KeyboardInterrupt

    gone = Accepted(fingerprint="c7f2a91b", reason="a debt", witness=HI, check="same-text")
    assert [judged.state for judged in judged_of(chatml, gone)] == ["fixed"]
    assert judged_of(chatml, gone, examine=interrupted) == []


def test_the_witness_is_examined_first_and_finds_what_nothing_else_does() -> None:
    """A defect that shows only with one odd content, which no fixed and hardly a drawn conversation has."""

    def odd(messages: list[dict[str, Any]], purpose: Any) -> str:
        text = chatml(messages, purpose)
        return text.replace("<|im_end|>\n", "<|im_end|>", 1) if messages[0]["content"] == "q9#" else text

    conversation = Conversation.of(("user", "q9#"))
    target = make_target(lambda context: [TextRenderer("other", context, odd)], conversations=None)
    target.conversations = (conversation,)
    found: list[Finding] = []

    def emit(event: object) -> None:
        if isinstance(event, Finding):
            found.append(event)

    Search(target, plan(target, get_checks(("same-text",))), SearchOptions(PROFILE, 0), emit).run()
    (mark,) = {finding.fingerprint for finding in found}
    entry = Accepted(fingerprint=mark, reason="a debt", witness=conversation)
    without = Accepted(fingerprint=mark, reason="a debt", check="same-text")
    elsewhere = Accepted(fingerprint=mark, reason="a debt", check="same-text", witness=HI)
    assert [judged.state for judged in judged_of(odd, entry)] == ["accepted"]
    assert [judged.state for judged in judged_of(odd, without)] == ["unmatched"]
    assert [judged.state for judged in judged_of(odd, elsewhere)] == ["fixed"]


def test_seen_with_another_conversation_than_the_witness(marks: dict[str, str], cli: Cli) -> None:
    not_hi = SPACES.replace("    <|", "{% if messages[0].content != 'hi' %}    {% endif %}<|")
    write(not_hi, entry(marks["spaces"], witness=WITNESS))
    ended = run(cli)
    assert ended.code == 0
    assert ended.states == ["accepted"]
    assert "(seen, but no longer with its witness)" in ended.out


# Entries that are wrong


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"expires": "'2099-12-31'"}, ("'2099-12-31' is no date", "without quotes", "expires")),
        ({"expires": "2099-12-31T10:00:00"}, ("is no date", "expires")),
        ({"expires": "20991231"}, ("20991231 is no date",)),
        ({"expires": "2099-02-30"}, ("not valid TOML", "line 12")),
        ({"reason": "''"}, ("text is empty", "reason")),
        ({"reason": '" \\n"'}, ("text is empty", "reason")),
        ({"owner": "''"}, ("text is empty", "owner")),
        ({"ownr": "'Ann'"}, ("Unknown key 'ownr'", "did you mean 'owner'?")),
        ({"witness": "[]"}, ("witness cannot be read", "non-empty list of messages")),
        ({"witness": "7"}, ("witness cannot be read", "non-empty list of messages")),
        ({"witness": "[{ role = 'user', content = 'x' }, { content = 'x' }]"}, ("message 2", "needs a role")),
        ({"witness": "'[{'"}, ("witness cannot be read", "line 1")),
        ({"witness": "[{ role = 'user', content = 'x', at = 2099-12-31 }]"}, ("witness cannot be read", "date")),
    ],
)
def test_a_wrong_entry_is_one_message(cli: Cli, keys: dict[str, str], words: tuple[str, ...]) -> None:
    write(GOOD, entry("c7f2a91b", **keys))
    ended = cli("render", HI_JSON)
    assert ended.code == 2
    assert "Value error" not in ended.err
    for word in (*words, *([] if "TOML" in words[0] else ["target.m.accepted, entry 1 (c7f2a91b)"])):
        assert word in ended.err


HI_JSON = json.dumps(HI.to_list())


def test_a_fingerprint_stands_once(cli: Cli) -> None:
    write(GOOD, entry("c7f2a91b") + entry("c7f2a91b"))
    ended = cli("render", HI_JSON)
    assert ended.code == 2
    assert "'c7f2a91b' is accepted twice" in ended.err


# accept


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


def kept(mark: str = "spaces") -> tuple[str, ...]:
    return ("accept", mark, "--reason", "r")


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

    monkeypatch.setattr(Path, "write_bytes", refuse)
    ended = cli(*kept(marks["spaces"]))
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


# Writing TOML

ODD = "".join(map(chr, (*range(1, 0x180), *range(0x2000, 0x2070), 0x3000, 0xFEFF, 0xE000, 0x1F600, 0x1F1E9, 0xE0001)))
CALL = [{"type": "function", "id": "1", "function": {"name": "f", "arguments": {"z": 1, "a": [0.5, True, {}, ""]}}}]

WITNESSES = {
    "newlines": Conversation.of(("user", "\n\r\n\r \t"), ("assistant", "")),
    "quotes": Conversation.of(("user", "'\"'''\"\"\"")),
    "backslashes": Conversation.of(("user", "\\\\n \\u0041 \\")),
    "emoji": Conversation.of(("user", "👩‍👩‍👧 🇩🇪 é")),
    "every character": Conversation.of(("user", ODD), ("assistant", ODD[::-1])),
    "further fields": Conversation((Message("user", "x").having(name="y", **{"a.b": 1, 'q"\n\x01': False, "": []}),)),
    "calls": Conversation((Message("user", "x"), Message("assistant", "").having(tool_calls=CALL))),
    "parts": Conversation((Message("user", "xy", parts=("x", "y")),)),
    "tools": Conversation((Message("user", "x"),), ('{"type": "function", "function": {"name": "f"}}',)),
    "null": Conversation((Message("user", 'a "null" \\').having(name={"a": None, "b": [None]}),)),
}
PLAIN = "[target.m]\ntokenizer = 'x'\nrenderers = { chat_template = { type = 'tokenizer' } }\n"


@pytest.mark.parametrize("name", WITNESSES)
@pytest.mark.parametrize("text", [PLAIN, PLAIN + "accepted = []\n"])
def test_a_witness_survives(name: str, text: str) -> None:
    said = Accepted(fingerprint="c7f2a91b", reason="a 'debt' \\ \"x\"\n", owner="Ánn 🙂", witness=WITNESSES[name])
    written = with_entry(text, ("target", "m"), said)
    assert written is not None
    path = Path("template-checks.toml")
    path.write_bytes(written.text.encode())
    (read,) = load_config(path).target["m"].accepted
    assert read == said
    assert read.witness is not None
    assert read.witness.to_data() == WITNESSES[name].to_data()
    assert isinstance(tomllib.loads(written.text)["target"]["m"]["accepted"][0]["witness"], str) == (name == "null")


NEXT = "\n# Of n.\n[target.n]  # n\ntokenizer = 'y'\n"
LAYOUTS = {
    "alone": (PLAIN, ""),
    "no newline at the end": (PLAIN.rstrip(), ""),
    "before another, with its comment": (PLAIN, NEXT),
    "behind another entry": (PLAIN + "\n[[target.m.accepted]]  # first\nfingerprint = '1'\nreason = 'r'\n", NEXT),
    "tables apart": (
        "[target.m]\ntokenizer = 'x'\n[target.n]\ntokenizer = 'y'\n[target.m.renderers]\na.type = 'b'\n",
        "",
    ),
    "a comment at the end": (PLAIN + "\n# The end.\n", ""),
    "a comment of its own": (PLAIN + "# stops = []\n", "\n\n" + NEXT.strip("\n")),
    "dotted keys": ("[target]\nm.tokenizer = 'x'\nm.renderers.a.type = 'b'\n", ""),
    "quoted and indented": ("  [ target . 'm' ] # m\n\ttokenizer = 'x'\n", NEXT),
    "what looks like a header": ("[target.m]\nsystem = '''\n[target.m]\n[x]\n'''\ntokenizer = 'x'\n", "@end"),
    "CRLF": (PLAIN.replace("\n", "\r\n"), NEXT.replace("\n", "\r\n")),
    "a list": (PLAIN + "accepted = [{ fingerprint = '1', reason = 'r' }", "]  # hm\n" + NEXT),
    "a list of lines": (PLAIN + "accepted = [\n  # first\n  { fingerprint = '1', reason = 'r' },", "\n]\n" + NEXT),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_everything_else_keeps_its_bytes(name: str) -> None:
    """The entry stands between the two parts of each layout."""
    before, behind = LAYOUTS[name]
    behind = "" if behind == "@end" else behind
    written = with_entry(before + behind, ("target", "m"), Accepted(fingerprint="c7f2a91b", reason="r", witness=HI))
    assert written is not None
    assert written.text.startswith(before)
    assert written.text.endswith(behind)
    added = written.text[len(before) : len(written.text) - len(behind)]
    assert added.count("c7f2a91b") == 1
    assert tomllib.loads(written.text)["target"]["m"]["accepted"][-1]["fingerprint"] == "c7f2a91b"
    assert ("\r\n" in added) == (name == "CRLF")
    assert re.search(r"(?<!\r)\n", added) is None or name != "CRLF"
    line = written.text.split("\n")[written.line - 1]
    assert "c7f2a91b" in line if "list" in name else re.fullmatch(r"\[\[.*accepted\]\]\r?", line)


def test_a_layout_without_a_place_is_left_alone(cli: Cli, marks: dict[str, str]) -> None:
    path = write(SPACES)
    table = tomllib.loads(path.read_text(encoding="utf-8"))["target"]["m"]
    renderers = ", ".join(
        f"{name} = {{ {', '.join(f'{key} = {json.dumps(value)}' for key, value in options.items())} }}"
        for name, options in table["renderers"].items()
    )
    path.write_text(
        f"target = {{ m = {{ tokenizer = {json.dumps(table['tokenizer'])}, renderers = {{ {renderers} }} }} }}\n",
        encoding="utf-8",
    )
    assert run(cli).code == 1
    before = path.read_bytes()
    ended = cli(*kept(marks["spaces"]))
    assert ended.code == 2
    assert "leaves no place for an entry" in ended.err
    assert path.read_bytes() == before


def test_a_wrong_witness_is_a_usage_error() -> None:
    Path("x.toml").write_text(PLAIN + "accepted = [{ fingerprint = '1', reason = 'r', witness = 1 }]", encoding="utf-8")
    with pytest.raises(UsageError, match="The witness cannot be read: A conversation is"):
        load_config(Path("x.toml"))
