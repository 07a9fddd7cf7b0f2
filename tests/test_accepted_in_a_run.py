"""What a run says of mismatches that are accepted on purpose."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from template_checks.checks.findings import Finding
from template_checks.checks.registry import get_checks
from template_checks.config.schema import Accepted
from template_checks.core.conversation import Conversation
from template_checks.engine.accepted import LedgerResult
from template_checks.engine.plan import plan
from template_checks.engine.search import Search, SearchOptions
from template_checks.record.defects import find_defects
from template_checks.record.models import LINE, FindingLine
from tests.ledger import GOOD, HI, PROFILE, SPACES, TODAY, TOMORROW, TWO, WITNESS, YESTERDAY, Cli, entry, run, write
from tests.ledger import _elsewhere as _elsewhere
from tests.ledger import cli as cli
from tests.ledger import marks as marks
from tests.systems import TextRenderer, chatml, make_target

pytestmark = pytest.mark.usefixtures("_elsewhere")


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
    assert ended.out.rstrip().endswith("Verdict: holds: 1 accepted defect")


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
    lines = [LINE.validate_python(line) for line in ended.findings.values()]
    defects = find_defects(line for line in lines if isinstance(line, FindingLine))
    assert [(defect.accepted, len(defect.findings)) for defect in defects] == [(False, 1), (True, 1)]


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
    return searched.ledger_results()


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
        ({"expires": "'2099-12-31'"}, ("'2099-12-31' is no date", "no quotes", "expires")),
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
