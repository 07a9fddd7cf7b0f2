"""The HTML report: it says what the record says, whatever the record holds, and it stays small."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from template_checks.core.display import visible
from template_checks.record.defects import find_defects
from template_checks.record.models import DefectLine, FindingLine, Footer
from template_checks.record.reader import Record
from template_checks.record.summary import not_tested
from template_checks.views.html.page import render_html
from template_checks.views.html.texts import LONGEST, excerpt, plain
from template_checks.views.html.token_diff import Strip, StripLimits, strip_of
from tests import records as made
from tests.records import altered, as_data, from_data

Line = dict[str, Any]
EVIL = (
    "</script></title><script>alert(1)</script><img src=x onerror='alert(2)'>\"'&<\u202e\u2066\x00\x1b\u200b{{ 7*7 }}"
)
VOID = {"meta", "link", "br", "img", "input", "hr"}
SIGNS = {"pass": "✓", "mismatch": "✗", "accepted": "a", "error": "!", "unsupported": "u", "not-exercised": "?"}


def example_lines() -> str:
    """The record of the published InternLM2 example, as JSON, so that no test can change it for the next one."""
    return json.dumps(as_data(made.example_record("internlm2", "ci")))


def recorded(lines: list[Line]) -> Record:
    """The record of these lines; what a run derives from findings and outcomes is derived again."""
    given = from_data(line for line in lines if line["kind"] != "defect")
    if given.footer is None:
        return given
    outcomes = given.outcomes
    *others, footer = (line for line in given.lines if not isinstance(line, DefectLine))
    assert isinstance(footer, Footer)
    defects = find_defects(given.findings, outcomes)
    return Record((*others, *defects, altered(footer, not_tested=list(not_tested(outcomes)))))


def render(lines: list[Line]) -> str:
    return render_html(recorded(lines))


@pytest.fixture(scope="module")
def example() -> str:
    return example_lines()


@pytest.fixture
def record(example: str) -> list[Line]:
    """The example's record, with what it lacks: an accepted mismatch, an error, stops, coverage, what failed."""
    return full(json.loads(example))


def full(lines: list[Line]) -> list[Line]:
    header, *others, footer = [line for line in lines if line["kind"] not in {"coverage", "defect"}]
    target = header["targets"]["internlm2-chat"]
    stop = {"text": "<|im_end|>", "id": 1063, "by_text": False}
    target["stops"] = [
        {**stop, "role": "taught", "renderer": "training", "source": "SUFFIX of the template"},
        {**stop, "role": "served", "renderer": "web_ui", "source": "web_demo.py:109"},
        {"text": "</s>", "id": 2, "by_text": False, "role": "configured", "renderer": None, "source": "gen.json"},
        {
            "text": "[END]",
            "id": None,
            "by_text": True,
            "role": "served",
            "renderer": "web_ui",
            "source": "stop_strings",
        },
    ]
    target["repairs"], target["notes"] = ["a repair that was made"], ["a note on the tokenizer"]
    target["broken"] = {"gateway": "gateway/prompts.py is not there"}
    header["failed"] = {"second": "its tokenizer is not there"}
    header["git"] = {"commit": "0123456789abcdef0123456789abcdef01234567", "changed": True}
    entry = {
        "reason": "the model was trained so",
        "owner": "fine-tuning",
        "expires": "2031-05-06",
        "text": "still there",
    }
    accepted = next(line for line in others if line["kind"] == "finding" and line["check"] == "single-bos")
    accepted["accepted"] = entry
    for line in others:
        if line["kind"] == "outcome" and line["check"] == "single-bos" and line["findings"]:
            fingerprint = accepted["fingerprint"]
            line |= {"outcome": "accepted", "blocking": 0, "accepted": 1}
            line["entries"] = [{"fingerprint": fingerprint, **entry}]
        if line["kind"] == "outcome" and line["check"] == "date-free" and line["renderer"] == "training":
            line |= {"outcome": "error", "examples": 0, "reason": "the template broke"}
    coverage = {
        "kind": "coverage",
        "target": "internlm2-chat",
        "conversations": 1213,
        "prefixes": {"train": 297, "generate": 250},
        "roles": {"user": 335, "assistant": 322},
        "turns": {"1": 117, "2": 70},
        "contents": {"empty": 109, "braces": 0},
        "scripts": {"Latin": 285},
        "features": {},
    }
    counts = Counter(line["outcome"] for line in others if line["kind"] == "outcome")
    footer["counts"] = {name: counts[name] for name in SIGNS}
    place = {"target": "internlm2-chat", "check": "single-bos", "renderer": "web_ui"}
    where = "template-checks.toml: target.internlm2-chat.accepted, entry 1"
    fingerprint = accepted["fingerprint"]
    footer["ledger"] = [
        {**place, "fingerprint": fingerprint, "state": "accepted", "stale": False, "where": where, **entry}
    ]
    return [header, *others, coverage, footer]


class Page(HTMLParser):
    """Every element in order, its attributes and its text, cells apart; elements must be nested properly."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[list[str]] = []
        self.open: list[int] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.append([])
        self.handle_data(" " if tag in {"td", "th", "li", "dd", "p"} else "")
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self.open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for at in self.open:
            self.texts[at].append(data)

    def text(self, tag: str = "body", **attributes: str) -> str:
        """Text of the first such element, white space made single; without styles and scripts where it is not one."""
        at = next(n for n, (name, has) in enumerate(self.elements) if name == tag and attributes.items() <= has.items())
        return " ".join("".join(self.texts[at]).split())

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Elements and names of attributes, in order: what contents must not be able to change."""
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]


def of_kind(lines: list[Line], kind: str) -> list[Line]:
    return [line for line in lines if line["kind"] == kind]


# What it says ----------------------------------------------------------------------------------------------------


def test_findings_and_outcomes_are_those_of_the_record(record: list[Line]) -> None:
    page = Page(render(record))
    assert Counter(page.values("data-finding")) == Counter(line["fingerprint"] for line in of_kind(record, "finding"))
    outcomes = Counter(line["outcome"] for line in of_kind(record, "outcome"))
    assert set(outcomes) == set(SIGNS)
    assert Counter(page.values("data-outcome")) == outcomes
    for name, sign in SIGNS.items():
        assert page.text("li", **{"data-count": name}) == f"{sign} {name} {outcomes[name]}"


def test_the_verdict_is_that_of_the_footer(record: list[Line]) -> None:
    record[-1] |= {"verdict": "holds: in these very words", "exit_code": 0}
    page = Page(render(record))
    assert page.text("p", **{"class": "sentence"}) == "Verdict: holds: in these very words"
    assert "The run was interrupted" not in page.text()
    assert "Sign-off" not in page.text()


def test_an_interrupted_run_is_said_to_be_one(record: list[Line]) -> None:
    record[-1] |= {"interrupted": True, "exit_code": 3}
    assert "The run was interrupted." in Page(render(record)).text("main")


@pytest.mark.parametrize(("granted", "word"), [(True, "granted"), (False, "refused")])
def test_a_sign_off_is_shown_as_the_footer_has_it(record: list[Line], granted: bool, word: str) -> None:
    record[-1]["signoff"] = {"granted": granted, "refused": [] if granted else ["because of this"]}
    text = Page(render(record)).text("main")
    assert f"Sign-off: {word}" in text
    assert ("because of this" in text) is not granted


@pytest.mark.parametrize("kept", [0, 1, 7, -1])
def test_a_record_that_was_cut_off_is_said_to_be(record: list[Line], kept: int) -> None:
    page = Page(render(record[:kept]))
    assert page.text("p", **{"class": "sentence"}) == "No verdict: the run was cut off."
    assert "no footer" in page.text("main")
    assert len(page.values("data-finding")) == len(of_kind(record[:kept], "finding"))
    assert "do not appear anywhere" in page.text("section", id="untested")


def test_a_record_without_header_still_shows_its_findings(record: list[Line]) -> None:
    page = Page(render(record[1:]))
    assert len(page.values("data-finding")) == len(of_kind(record, "finding"))
    assert "no header" in page.text("section", id="provenance")


def test_every_link_leads_somewhere_and_every_mismatch_has_one(record: list[Line]) -> None:
    html = render(record)
    page = Page(html)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = [link for link in page.values("href") if link != "data:,"]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    cells = re.findall(r'<li class="ending" data-outcome="([\w-]+)">(.*?)</li>', html, re.DOTALL)
    assert len(cells) == len(of_kind(record, "outcome"))
    for outcome, cell in cells:
        assert ("#finding-" in cell) == (outcome in {"mismatch", "accepted"}), cell


def test_links_of_a_cell_lead_to_the_findings_of_its_outcome(record: list[Line]) -> None:
    html = render(record)
    fingerprints = dict(re.findall(r'id="(finding-[\d-]+)" data-finding="(\w+)"', html))
    cells = re.findall(r'<li class="ending" data-outcome="[\w-]+">(.*?)</li>', html, re.DOTALL)
    linked = [sorted(fingerprints[link] for link in re.findall(r'href="#(finding-[\d-]+)"', cell)) for cell in cells]
    assert sorted(linked) == sorted(sorted(line["findings"]) for line in of_kind(record, "outcome"))


def test_rows_stand_in_the_order_of_the_header_and_are_told_by_it(record: list[Line]) -> None:
    """The checks that are installed where the report is made do not matter."""
    record[0]["checks"].reverse()
    record[0]["checks"][0] |= {"promise": "a promise of another version"}
    html = render(record)
    present = {line["check"] for line in of_kind(record, "outcome")}
    known = [check for check in record[0]["checks"] if check["name"] in present]
    rows = re.findall(r'<th scope="row">([\w-]+) <span class="promise">', html)
    families = re.findall(r'scope="rowgroup"[^>]*><span>(\w+)', html)
    assert families == list(dict.fromkeys(check["family"] for check in known))
    assert rows == [check["name"] for family in families for check in known if check["family"] == family]
    assert "a promise of another version" in html


def test_defects_stand_in_a_table_after_the_verdict(record: list[Line]) -> None:
    defects = recorded(record).defects
    html = render(record)
    page = Page(html)
    assert page.values("data-defect") == [defect.id for defect in defects]
    table = html.split('<table class="defects">')[1].split("</table>")[0]
    rows = re.findall(r"<tr><td>(.*?)</tr>", table, re.DOTALL)
    assert html.index('class="verdict') < html.index('<table class="defects">') < html.index('<section id="matrix"')
    for row, (number, defect) in zip(rows, enumerate(defects, start=1), strict=True):
        assert f'href="#finding-{number}"' in row
        for said in (defect.standing, defect.reach_text, defect.cause, defect.renderer, defect.source):
            assert said is None or said in row
    for defect in defects:
        heading = page.text("details", **{"data-defect": defect.id})[:200]
        assert defect.cause in heading and defect.reach_text in heading


def test_a_finding_has_its_conversation_cause_place_and_commands(record: list[Line]) -> None:
    page = Page(render(record))
    text = page.text("main")
    for line in of_kind(record, "finding"):
        assert f"{line['cause']}: {line['summary']}" in text
        assert line["reproduce"] in text
        assert line["source"] is None or line["source"] in text
        for message in line["conversation"]:
            assert visible(message["content"]) in text


def test_accepted_mismatches_stand_with_reason_owner_and_expiry(record: list[Line]) -> None:
    for lines in (record, record[:-1]):
        page = Page(render(lines))
        text = page.text("section", id="accepted")
        assert "the model was trained so" in text
        assert "fine-tuning" in text
        assert "2031-05-06" in text
        assert len(page.values("data-entry")) == 1
        assert "a accepted" in text


@pytest.mark.parametrize("state", ["fixed", "unmatched", "contradicting", "expired"])
def test_an_entry_that_has_to_go_stands_out(record: list[Line], state: str) -> None:
    record[-1]["ledger"][0] |= {"state": state, "stale": state != "expired", "text": "remove this entry"}
    text = Page(render(record)).text("section", id="accepted")
    assert f"✗ {state}" in text
    assert "entry 1" in text


def test_stops_stand_where_they_are_taught_and_served(record: list[Line]) -> None:
    html = render(record)
    text = Page(html).text("section", id="stops")
    assert "<|im_end|> 1063 training: SUFFIX of the template web_ui: web_demo.py:109 nowhere" in text
    assert "</s> 2 nowhere nowhere gen.json" in text
    assert "[END] matched in text no single token nowhere web_ui: stop_strings nowhere" in text
    assert '<td class="s">&lt;|im_end|&gt;<i>1063 stop</i></td>' in html


def test_what_a_record_does_not_hold_has_no_section(record: list[Line]) -> None:
    record[0] |= {"git": None, "config": None, "command": ""}
    record[0]["targets"]["internlm2-chat"]["stops"] = []
    record[-1]["ledger"] = []
    page = Page(render([line for line in record if line["kind"] != "coverage"]))
    assert {"stops", "coverage", "accepted"}.isdisjoint(page.values("id"))
    assert "made in code" in page.text("section", id="reproduce")


def test_coverage_says_also_what_there_was_none_of(record: list[Line]) -> None:
    text = Page(render(record)).text("section", id="coverage")
    assert "1,213 conversations were examined" in text
    assert "braces none" in text
    assert "Latin 285" in text


def test_what_was_not_tested_is_said_with_reasons(record: list[Line]) -> None:
    text = Page(render(record)).text("section", id="untested")
    for line in of_kind(record, "outcome"):
        if line["outcome"] in {"error", "not-exercised", "unsupported"}:
            assert line["reason"] in text
            assert line["check"] in text
    assert "Target second could not be built: its tokenizer is not there" in text
    assert "renderer gateway could not be set up: gateway/prompts.py is not there" in text
    assert "drew 20 conversations" in text
    assert "no proof over all conversations" in text


def test_it_says_how_to_reproduce_and_what_the_run_was_made_of(record: list[Line]) -> None:
    record[0]["command"] = "template-checks run --profile ci --seed 4711 --target 'a b' --check single-bos"
    record[0] |= {"selected_checks": ["single-bos"], "selected_targets": ["a b"]}
    page = Page(render(record))
    assert "--profile ci --seed 4711 --target 'a b' --check single-bos" in page.text("section", id="reproduce")
    assert "targets a b checks single-bos" in page.text("section", id="untested")
    text = page.text("section", id="provenance")
    target = record[0]["targets"]["internlm2-chat"]
    artefacts = [*target["artefacts"], *(a for renderer in target["renderers"].values() for a in renderer["artefacts"])]
    for artefact in artefacts:
        assert artefact["sha256"] in text
        assert artefact["name"] in text
    for name, version in record[0]["versions"].items():
        assert f"{name} {version}" in text
    for said in ("a repair that was made", "a note on the tokenizer", record[0]["git"]["commit"], "not committed"):
        assert said in text


def test_several_targets_are_told_apart(record: list[Line]) -> None:
    other = json.loads(json.dumps(record[0]["targets"]["internlm2-chat"]))
    record[0]["targets"]["other-bot"] = other
    outcome = next(line for line in of_kind(record, "outcome") if line["outcome"] == "mismatch")
    finding = next(line for line in of_kind(record, "finding") if line["fingerprint"] in outcome["findings"])
    record[1:1] = [{**finding, "target": "other-bot"}, {**outcome, "target": "other-bot"}]
    page = Page(render(record))
    assert page.text("h1") == "internlm2-chat, other-bot, second"
    assert f"other-bot: {finding['renderer']}" in page.text("section", id="defects")


# Tokens ----------------------------------------------------------------------------------------------------------


def sides(strip: Strip) -> list[Counter[str]]:
    """For each side, how many tokens are shown and how many are said to be left out."""
    found = []
    for side in range(len(strip.names)):
        cells = [place.sides[side] for place in strip.columns]
        left = sum(int(c.text.split()[0].replace(",", "")) for c in cells if not c.id and c.text.endswith("left out"))
        found.append(Counter(shown=sum(bool(c.id) for c in cells), left=left))
    return found


@given(st.data())
def test_every_token_is_shown_or_counted(data: st.DataObject) -> None:
    values: dict[str, Any] = {}
    lengths = []
    for side in ("expected", "actual"):
        ids = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=60))
        start = data.draw(st.integers(0, len(ids)))
        end = data.draw(st.integers(start, len(ids)))
        lengths.append(len(ids))
        values |= {f"{side}_ids": ids, f"{side}_tokens": [f'"{n}"' for n in ids], f"{side}_range": [start, end]}
    strip = strip_of(made.finding(**values), {3}, StripLimits(2, 3, 2))
    assert strip is not None
    assert [count.total() for count in sides(strip)] == lengths
    for place in strip.columns:
        for token in place.sides:
            assert token.stop == (token.id == "3")


@pytest.mark.parametrize("at", [[3, 4], [3, 3], [1, 1]])
def test_a_place_without_a_token_is_marked_between_its_neighbours(at: list[int]) -> None:
    ids = {
        "expected_ids": None,
        "expected_tokens": None,
        "expected_range": None,
        "actual_ids": [5, 6, 7],
        "actual_tokens": ["<a>", "<b>", "<c>"],
    }
    strip = strip_of(made.finding(actual_range=at, **ids), set(), StripLimits(9, 9, 9))
    assert strip is not None
    cells = [(place.sides[0].text, place.differs) for place in strip.columns]
    expected = [("<a>", False), ("<b>", False), ("<c>", False)]
    expected.insert(at[0], ("–", True))
    assert cells == expected
    assert strip.verb == "here"


def test_tokens_far_from_the_difference_are_left_out(record: list[Line]) -> None:
    finding = next(line for line in of_kind(record, "finding") if line["expected_ids"])
    ids, tokens = list(range(20_000)), ['"·word"'] * 20_000
    finding |= {"expected_ids": ids, "expected_tokens": tokens, "expected_range": [9_000, 9_001]}
    finding |= {"actual_ids": ids, "actual_tokens": tokens, "actual_range": [9_000, 9_001]}
    html = render(record)
    assert "8,996 left out" in html
    assert "10,995 left out" in html
    assert len(html) < 200_000


# Hostile records -------------------------------------------------------------------------------------------------

_FREE = {
    "reason",
    "summary",
    "position",
    "command",
    "promise",
    "owner",
    "text",
    "source",
    "where",
    "verdict",
    "name",
    "role",
    "path",
}
_FREE |= {"tokenizer", "type", "cause", "reproduce", "started", "commit", "profile", "expires"}
_LISTS = {"notes", "repairs", "arguments", "refused", "actual_tokens", "expected_tokens"}


def spoiled(value: Any, text: str, key: str = "") -> Any:
    """`value` with every string that comes from outside replaced by `text`, names of targets and renderers too."""
    if isinstance(value, dict) and "by_text" in value:  # a stop, whose role has three values
        return {name: one if name == "role" else spoiled(one, text, name) for name, one in value.items()}
    if isinstance(value, dict):
        return {_renamed(name, text): spoiled(one, text, name) for name, one in value.items()}
    if isinstance(value, list):
        return [spoiled(one, text, key if key in _LISTS else "") for one in value]
    if not isinstance(value, str):
        return value
    if key in _FREE | _LISTS | {"content"}:
        return text
    return text if key in {"failed", "broken", "versions"} else _renamed(value, text)


def _renamed(name: str, text: str) -> str:
    return f"{name}{text}" if name in {"internlm2-chat", "web_ui", "training", "chat_template", "gateway"} else name


def outsider(lines: list[Line], text: str) -> list[Line]:
    whole = text.encode("utf-8", "ignore").decode()  # what is no text cannot be a content
    for line in of_kind(lines, "finding"):
        call = {"type": "function", "function": {"name": text, "arguments": text}}
        line["conversation"] = {
            "messages": [
                {"role": whole, "content": whole, "tool_calls": [call], "reasoning_content": text},
                {"role": "user", "content": [{"type": "text", "text": whole}]},
            ],
            "tools": [{"type": "function", "function": {"name": text}}],
        }
    lines[-1]["signoff"] = {"granted": False, "refused": [text]}
    conversations = [line.pop("conversation", None) for line in lines]
    spoilt = [{**spoiled(line, text), "kind": line["kind"]} for line in lines]
    for line, conversation in zip(spoilt, conversations, strict=True):
        if conversation is not None:
            line["conversation"] = conversation
    return spoilt


def test_no_content_becomes_an_element_or_an_attribute(example: str) -> None:
    html = render(outsider(full(json.loads(example)), EVIL))
    tame = Page(render(outsider(full(json.loads(example)), "tame")))
    page = Page(html)
    assert page.shape == tame.shape
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert "alert(1)" in page.text("main")
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert "49" not in page.text("h1")


def test_no_hidden_character_reaches_the_page(example: str) -> None:
    html = render(outsider(full(json.loads(example)), EVIL + "\ud800\u2028\ufeff\x7f\r"))
    html.encode()
    hidden = {c for c in html if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}} - {"\n"}
    assert hidden == set()
    assert "\\u202e" in html
    assert "\\x00" in html


def test_a_megabyte_is_cut_in_the_middle_and_counted(record: list[Line]) -> None:
    finding = of_kind(record, "finding")[0]
    million = 1_000_000
    finding["conversation"] = [
        {"role": "user", "content": "W" * million},
        {"role": "user", "content": "\x00" * million},
    ]
    outcome = next(line for line in of_kind(record, "outcome") if line["outcome"] == "error")
    outcome["reason"] = "R" * million
    html = render(record)
    assert len(html) < 300_000
    assert "999,400 characters left out" in html
    assert "999,850 characters left out" in html
    assert f"{million - LONGEST:,} characters left out" in html


def many(lines: list[Line], findings: int, tokens: int) -> Record:
    """The record with so many findings of so many tokens each."""
    record = recorded(lines)
    turns = [(("user", "assistant")[n % 2], "some words " * 200) for n in range(100)]
    ids, shown = range(tokens), ['"·word"'] * tokens
    model = altered(
        next(finding for finding in record.findings if finding.expected_ids),
        conversation=made.conversation(*turns),
        cause="scaffold white space",
        expected_ids=ids,
        expected_tokens=shown,
        expected_range=(100, tokens - 1000),
        actual_ids=ids,
        actual_tokens=shown,
        actual_range=(100, tokens - 5000),
    )
    copies = [model.model_copy(update={"fingerprint": f"{n:08x}", "scaffold": f"s{n}"}) for n in range(findings)]
    return made.record(*(line for line in record.lines if not isinstance(line, (FindingLine, DefectLine))), *copies)


def test_many_findings_and_tokens_stay_small_and_quick(record: list[Line]) -> None:
    large = many(record, 500, 20_000)
    html = render_html(large)
    assert len(html.encode()) < 5_000_000
    page = Page(html)
    assert len(page.values("data-finding")) == 500
    assert 0 < sum(tag == "details" and "open" in attributes for tag, attributes in page.elements) <= 20


# By itself -------------------------------------------------------------------------------------------------------


def test_the_file_needs_nothing_else_and_may_load_nothing(record: list[Line]) -> None:
    html = render(record)
    page = Page(html)
    assert page.values("src") == []
    assert {link for tag, has in page.elements if tag == "link" for link in [has["href"]]} == {"data:,"}
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp|localStorage", html)
    policy = next(has["content"] for tag, has in page.elements if has.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        source = html.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert page.values("style") == []


def test_tables_have_headers_and_the_page_landmarks(record: list[Line]) -> None:
    page = Page(render(record))
    tags = Counter(tag for tag, _ in page.elements)
    assert tags["table"] == tags["thead"] > 5
    assert all("scope" in has for tag, has in page.elements if tag == "th")
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert tags[landmark] == 1
    assert page.elements[0] == ("html", {"lang": "en"})


def test_the_same_record_gives_the_same_file(record: list[Line]) -> None:
    assert render(record) == render(record)


@given(st.text(max_size=80), st.integers(8, 60))
def test_an_excerpt_is_whole_or_says_what_is_left_out(text: str, room: int) -> None:
    found = excerpt(text, room)
    kept = len(text) - found.omitted
    assert len(found.head) + len(found.tail) <= room
    if not found.omitted:
        assert found.head + found.tail == visible(text)
    else:
        assert visible(text).startswith(found.head)
        assert visible(text).endswith(found.tail)
        assert 0 <= kept < len(text)


@given(st.text())
def test_a_sentence_has_nothing_hidden_and_keeps_the_rest(text: str) -> None:
    shown = plain(text)
    assert all(unicodedata.category(c) not in {"Cf", "Cs", "Co", "Zl", "Zp"} for c in shown)
    if text.isprintable():
        assert shown == text


def test_the_package_holds_what_the_report_is_made_of() -> None:
    folder = Path(render_html.__code__.co_filename).parent
    assert {path.name for path in folder.iterdir()} >= {"page.html", "finding.html", "report.css", "report.js"}
