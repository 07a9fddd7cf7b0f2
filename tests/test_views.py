"""Views of one record: each shows all of it, none believes what a name or a content looks like."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from template_checks.core.errors import UsageError
from template_checks.record.header import Header
from template_checks.record.models import FindingLine, Footer, OutcomeLine
from template_checks.record.reader import Record, read_record
from template_checks.views import markdown as markdown_view
from template_checks.views.badge import badge
from template_checks.views.formats import FORMATS
from template_checks.views.github import annotations
from template_checks.views.html.page import render_html
from template_checks.views.junit import junit
from template_checks.views.markdown import LIMIT, code, fenced, markdown, prose
from tests import records as made
from tests.records import altered, as_data, example_record, from_data

Line = dict[str, Any]
SCHEMA = Path(__file__).parent / "schemas" / "junit.xsd"
EXAMPLES = ("internlm2", "internlm2-repaired")
HOSTILE = (
    "|\\|`<b>@org/team</b>```\n\n# <script>\r\n::error::x\n- [ ] ![i](http://e.example) :tada: #1 <!-- %0A "
    "\u202e\u2028\x00\x1b[31m\ud800\ufffe ]]>&amp;**_~~\n| a |\n~~~\n````\n</details>"
)
KEPT = {"kind", "severity", "outcome", "purpose", "purposes", "state", "fingerprint", "id", "cause", "counts"}
KEPT |= {"sha256", "started", "commit", "record", "versions", "role", "roles", "content", "contents"}
KEPT |= {"features", "turns", "scripts", "prefixes"}
"""Keys whose values mean something to a view, or to what reads a conversation."""


def worse(value: Any, key: str = "") -> Any:
    """The same record, with every name, reason and text in it made hostile."""
    if key in KEPT or (key == "findings" and isinstance(value, str)):
        return value
    if isinstance(value, str):
        return HOSTILE + value
    if isinstance(value, list):
        return [worse(item, key) for item in value]
    if isinstance(value, dict):
        named = key in {"targets", "renderers", "broken", "failed"}
        return {worse(name) if named else name: worse(item, "" if named else name) for name, item in value.items()}
    return value


def several(record: Record) -> Record:
    """Two targets, one that could not be built, an error, an entry that has to go, and an expired one."""
    header, footer = record.header, record.footer
    assert header is not None and footer is not None
    (target,) = header.targets.values()
    head = altered(
        header,
        targets={**header.targets, "second": target},
        failed={"third": "its tokenizer is not there"},
        command=f"{header.command} --target second",
    )
    lines = [line for line in record.lines if isinstance(line, (FindingLine, OutcomeLine))]
    again = [altered(line, target="second") for line in lines]
    entry = {"reason": "old", "owner": None, "expires": None, "text": "expired yesterday"}
    expired = next(n for n, line in enumerate(again) if isinstance(line, FindingLine))
    again[expired] = altered(again[expired], expired=entry)
    broken = next(n for n, line in enumerate(again) if isinstance(line, OutcomeLine) and line.outcome == "pass")
    again[broken] = altered(again[broken], outcome="error", reason="KeyError: 'x'", examples=0)
    stale = made.ledger_entry(target="second", fingerprint="0" * 8, state="fixed", stale=True, text="fixed: remove it")
    everything = [head, *lines, *record.coverage, *again]
    return made.record(*everything, made.footer(*everything, ledger=[*footer.ledger, stale], stale=1))


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    """Real ones, and what can be made of them."""
    broken, repaired = (example_record(name) for name in EXAMPLES)
    *lines, footer = broken.lines
    assert isinstance(footer, Footer)
    return {
        "internlm2": broken,
        "internlm2-repaired": repaired,
        "several": several(repaired),
        "hostile": from_data(worse(line) for line in as_data(several(broken))),
        "cut off": made.record(*(line for line in lines if isinstance(line, (Header, FindingLine))), cut_off=True),
        "interrupted": Record((*lines, altered(footer, interrupted=True, exit_code=3))),
    }


NAMES = (*EXAMPLES, "several", "hostile", "cut off", "interrupted")


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left out, so that everything can be counted."""
    monkeypatch.setattr(markdown_view, "LIMIT", 1_000_000)


@pytest.fixture(params=NAMES)
def record(request: pytest.FixtureRequest, records: dict[str, Record]) -> Record:
    return records[request.param]


class Page(HTMLParser):
    """What a reader of HTML gets: tags, tables, blocks of code, text outside of code, headings, list items."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.tables: list[list[list[str]]] = []
        self.blocks: list[str] = []
        self.headings: list[tuple[str, str]] = []
        self.items: list[str] = []
        self.plain = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in {"br", "hr", "img", "input"}:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
        elif tag == "pre":
            self.blocks.append("")
        elif tag[0] == "h" and tag[1:].isdigit():
            self.headings.append((tag, ""))
        elif tag == "li":
            self.items.append("")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "pre" in self.open:
            self.blocks[-1] += data
        elif "code" not in self.open:
            self.plain += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data
        elif "li" in self.open:
            self.items[-1] += data
        elif (
            self.open
            and self.open[-1] in {"h2", "h3", "h4", "code"}
            and self.headings
            and set(self.open) & {"h2", "h4"}
        ):
            self.headings[-1] = (self.headings[-1][0], self.headings[-1][1] + data)


def by_markdown_it(text: str) -> str:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


def by_cmark(text: str) -> str:
    """GitHub's own renderer, where it is installed."""
    cmarkgfm = pytest.importorskip("cmarkgfm")
    return str(cmarkgfm.github_flavored_markdown_to_html(text, cmarkgfm.Options.CMARK_OPT_UNSAFE))


GFM = pytest.mark.parametrize("render", [by_markdown_it, by_cmark])
Render = Callable[[str], str]
TABLE = ("table", "thead", "tbody", "tr", "th", "td")


# All views of one record


def test_every_view_of_the_command_line_is_here() -> None:
    from template_checks.cli.main import main

    (option,) = (option for option in main.commands["report"].params if option.name == "form")
    assert set(option.type.choices) == set(FORMATS)  # type: ignore[attr-defined]


def test_the_command_prints_or_writes_a_view(
    records: dict[str, Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from template_checks.cli.main import main

    record = records["internlm2"]
    path, output = written(tmp_path, record), tmp_path / "view"
    for form in FORMATS:
        for words in ([], ["--output", str(output)]):
            with pytest.raises(SystemExit) as ended:
                main.main(["report", str(path), "--format", form, *words], prog_name="template-checks")
            assert ended.value.code == 0
        assert capsys.readouterr().out.rstrip("\n") == FORMATS[form](record).rstrip("\n")
        assert output.read_text(encoding="utf-8") == FORMATS[form](record)


@pytest.mark.parametrize("form", FORMATS)
def test_no_view_breaks_or_hides_anything(record: Record, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A colour or a control character would be the record's, or the environment's: neither is let through."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = FORMATS[form](record)
    assert text.encode("utf-8")
    assert not set(text) & set("\x00\x1b\x07\r\u202e\u2028\ufffe")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kept", [0, 1, 5])
def test_views_show_what_there_is(records: dict[str, Record], form: str, kept: int) -> None:
    assert FORMATS[form](Record(records["internlm2"].lines[:kept])) or not kept


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_without_configuration_file_is_shown(form: str) -> None:
    finding = made.finding()
    lines = [made.header(config=None, command=""), finding, made.outcome(finding)]
    assert FORMATS[form](made.record(*lines))


@pytest.mark.usefixtures("roomy")
def test_views_agree_on_what_they_count(record: Record) -> None:
    defects = Counter(defect.standing for defect in record.defects)
    outcomes = Counter(line.outcome for line in record.outcomes)
    failing = len({(line.target, line.item_id) for line in record.findings if line.blocking})
    page, root = Page(by_markdown_it(markdown(record))), ET.fromstring(junit(record))
    shown = Counter(re.findall(r"^::(\w+) ", annotations(record), re.MULTILINE))
    headings = [text for tag, text in page.headings if tag == "h4"]
    assert sum(text.startswith("✗") for text in headings) == defects["blocking"]
    assert sum(text.startswith("·") for text in headings) == defects["advisory"]
    footer = record.footer
    if footer is None:
        assert "cut off" in page.headings[0][1] and f"{len(record.findings)} findings" in page.plain
        assert root.get("errors") == "1"
        assert int(root.get("failures", "")) == failing
        assert shown == {"error": defects["blocking"] + 1, "warning": defects["advisory"], "notice": 1}
        assert json.loads(badge(record))["message"] == "cut off"
        return
    for name, count in (defects | outcomes).items():
        assert f"{count} {name}" in page.plain
    assert {name: count for name, count in footer.counts.items() if count} == outcomes
    assert record.header is not None
    failed, stale = len(record.header.failed), footer.stale
    assert int(root.get("failures", "")) == failing + stale
    assert int(root.get("errors", "")) == outcomes["error"] + failed + footer.interrupted
    suites = root.findall("testsuite")
    skipped = sum(outcomes[name] for name in ("accepted", "not-exercised", "unsupported"))
    assert sum(int(suite.get("skipped", "")) for suite in suites) == skipped
    entries = len({entry.target for entry in footer.ledger})
    cases = outcomes.total() + failed + entries + footer.interrupted
    assert sum(int(suite.get("tests", "")) for suite in suites) == cases == int(root.get("tests", ""))
    broken = sum(note.outcome == "error" for note in record.not_tested)
    errors = defects["blocking"] + broken + failed + stale + footer.interrupted
    wanted = {
        "error": min(errors, 10),
        "warning": min(defects["advisory"], 10),
        "notice": min(defects["accepted"], 9) + 1,
    }
    assert shown == {kind: count for kind, count in wanted.items() if count}
    assert (footer.exit_code == 0) == (root.get("failures") == root.get("errors") == "0") == ("error" not in shown)


def test_a_run_that_proves_nothing_is_an_error_in_every_view(records: dict[str, Record]) -> None:
    header = records["internlm2-repaired"].header
    assert header is not None
    refused = {"granted": False, "refused": ["same-text ended as not-exercised: nothing reached it"]}
    for signoff in (None, refused):
        record = made.record(header, made.footer(signoff=signoff))
        assert record.footer is not None and record.footer.exit_code == 3
        assert ET.fromstring(junit(record)).get("errors") == "1"
        assert annotations(record).startswith("::error ")
        assert "## ✗ template-checks: not clean: nothing was tested" in markdown(record)
        for form in ("junit", "github", "markdown"):
            assert ("nothing reached it" in FORMATS[form](record)) == (signoff is not None)


def test_html_agrees_too(record: Record) -> None:
    html = render_html(record)
    said = dict(re.findall(r'data-count="([\w-]+)".*?</span> ([\d,]+)</li>', html))
    outcomes = Counter(line.outcome for line in record.outcomes)
    assert {name: int(count.replace(",", "")) for name, count in said.items() if count != "0"} == outcomes
    headings = Counter(re.findall(r'<summary><h3>.*?<span class="kind (\w+)">', html))
    assert headings == Counter(defect.standing for defect in record.defects)
    assert html.count("data-finding=") == len(record.findings)


# Markdown


@GFM
@pytest.mark.usefixtures("roomy")
def test_markdown_has_the_structure_of_the_record(record: Record, render: Render) -> None:
    page = Page(render(markdown(record)))
    assert set(page.tags) <= {
        *["h2", "h3", "h4", "p", "pre", "code", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"]
    }
    assert {name for name, _ in page.attributes} <= {"class", "lang"}
    assert not re.search(r"[@<>#`|]|http|:tada:|\d[0-9a-f]{6}", page.plain)
    defects = [defect for defect in record.defects if not defect.accepted]
    headings = [text for tag, text in page.headings if tag == "h4"]
    assert [text.split()[0] for text in headings] == ["✗" if defect.blocking else "·" for defect in defects]
    for text, defect in zip(headings, defects, strict=True):
        assert text.endswith(f"{defect.reach_text[-12:]})")
    assert len(page.blocks) == len(defects) + 1
    assert record.header is not None
    for table, (target, checks) in zip(page.tables, matrices(record).items(), strict=True):
        assert {len(row) for row in table} == {len(record.header.targets[target].renderers) + 1}
        assert len(table) == 1 + len(checks)
        for row, lines in zip(table[1:], checks.values(), strict=True):
            shown = " ".join(row[1:]).split()
            assert Counter(word for word in shown if word.isalpha() and len(word) > 1) == Counter(
                line.purpose for line in lines if line.purpose
            )
            assert sum(word[0] in "✓✗·a!u?" for word in shown if word not in {"train", "generate"}) == len(lines)


def matrices(record: Record) -> dict[str, dict[str, list[OutcomeLine]]]:
    """By target and check, as the table shows them: without checks that are all unsupported."""
    found: dict[str, dict[str, list[OutcomeLine]]] = {}
    for line in record.outcomes:
        found.setdefault(line.target, {}).setdefault(line.check, []).append(line)
    return {
        target: {check: of for check, of in checks.items() if {line.outcome for line in of} != {"unsupported"}}
        for target, checks in found.items()
    }


@GFM
def test_blocks_hold_the_text_of_the_terminal(records: dict[str, Record], render: Render) -> None:
    """White space at the ends of lines counts: it is the strip."""
    record = records["internlm2"]
    blocks = Page(render(markdown(record))).blocks
    shown = FORMATS["terminal"](record)
    assert all(block.strip("\n") in shown for block in blocks[:-1])
    assert blocks[-1] == "template-checks run --example internlm2 --profile dev --seed 7\n"
    assert Page(render(markdown(records["several"]))).blocks[-1].endswith("--seed 7 --target second\n")


@GFM
@pytest.mark.parametrize(
    "text", ["a|b", "a\\|b", "\\", "\\\\|", "`", "``` `", " a ", "", "<b>", "@org", "a\nb", "`" * 300]
)
def test_code_is_what_it_was(text: str, render: Render) -> None:
    """In a line and in a cell; what cannot be kept is escaped, and never lost."""
    kept = text.replace("\n", "⏎") if "`" * 9 not in text else r"\x60" * len(text)
    html = render(f"x {code(text, 2_000)} y\n\n| {code(text, 2_000, cell=True)} | b |\n| --- | --- |\n| c | d |\n")
    line, cell = re.findall("<code>(.*?)</code>", html)
    page = Page(html)
    assert page.tags["code"] == 2 and [len(row) for row in page.tables[0]] == [2, 2]
    assert Page(f"<li>{line}").items[0].strip() == kept.strip()
    assert Page(f"<li>{cell}").items[0].strip() == kept.strip().replace("\\|", "\\\\x7c")


@GFM
@given(st.lists(st.text("`|\\<>@#[]()!&;*_ \n\u202ea", max_size=12), min_size=2, max_size=2))
def test_any_two_texts_are_two_cells(render: Render, texts: list[str]) -> None:
    row = "".join(f"| {code(text, cell=True)} " for text in texts)
    page = Page(render(f"| a | b |\n| --- | --- |\n{row}|\n\n{code(texts[0])}\n\n{fenced(texts[1])}"))
    assert page.tags["code"] == 4 and set(page.tags) == {"p", "pre", "code", *TABLE} and not page.plain.strip("ab\n")
    assert [len(row) for row in page.tables[0]] == [2, 2]


@GFM
@pytest.mark.parametrize("text", ["```\n# a\n```", "`" * 400, "~~~\n", "    a", "</pre><b>", "a\r\n\tb"])
def test_a_block_ends_where_it_ends(text: str, render: Render) -> None:
    page = Page(render(fenced(text) + "after\n"))
    assert page.plain.strip() == "after" and len(page.blocks) == 1
    assert set(page.tags) == {"pre", "code", "p"}


def test_only_plain_sentences_stand_outside_of_code() -> None:
    for text in ("not clean: 10 blocking mismatches, 4 advisory", "the chat_template is gone.", "not-exercised"):
        assert prose(text) == text
    for text in (
        "see @org",
        "fixes #1",
        "GH-1",
        "www.example.org",
        "1. a",
        "_a_",
        "a  b",
        "a*b",
        ":tada:",
        "0d0bcba65",
    ):
        assert prose(text) == f"`{text}`"


def test_a_long_text_is_cut_and_says_so(records: dict[str, Record], monkeypatch: pytest.MonkeyPatch) -> None:
    many = [made.finding(target=f"t{n}", summary="😀 " * 9_000) for n in range(40)]
    untested = [made.outcome(check=f"c{n}", outcome="error", reason=f"{n} " + "y" * 900) for n in range(400)]
    footer = made.footer(*many, *untested, verdict="x" * 99_999)
    text = markdown(made.record(*many, *untested, footer))
    assert len(text.encode("utf-16-le")) // 2 <= LIMIT
    page = Page(by_markdown_it(text))
    shown = sum(tag == "h4" for tag, _ in page.headings)
    left = {unit: int(count) for count, unit in re.findall(r"and (\d+) more (.*?), left out", page.plain)}
    assert shown > 0 and shown + left["defects"] == 40
    assert "template-checks run" in page.blocks[-1] and "cut here" in page.blocks[0]
    monkeypatch.setattr(markdown_view, "LIMIT", 1_000)
    assert len(markdown(records["internlm2"])) < 2_000


# JUnit XML


def test_junit_follows_the_schema(record: Record) -> None:
    import xmlschema

    xmlschema.XMLSchema(SCHEMA).validate(junit(record))


def test_junit_says_what_blocks_and_why_others_were_skipped(records: dict[str, Record]) -> None:
    record = records["internlm2-repaired"]
    cases = {(case.get("classname"), case.get("name")): case for case in ET.fromstring(junit(record)).iter("testcase")}
    for line in record.outcomes:
        case = cases.pop((".".join(filter(None, (line.target, line.renderer))), line.item_id))
        skipped = case.find("skipped")
        if line.outcome in {"accepted", "not-exercised", "unsupported"}:
            assert skipped is not None and line.reason is not None
            assert skipped.get("message", "").startswith(line.outcome)
            assert line.reason[:50] in skipped.get("message", "")
        else:
            assert skipped is None
        out = case.findtext("system-out", "")
        shown = {defect.id for defect in record.defects for ref in defect.findings if ref.fingerprint in line.findings}
        assert all(mark in out for mark in shown)
    assert set(cases) == {("internlm2-chat", "accepted-entries")}


def test_junit_holds_the_text_of_the_terminal(records: dict[str, Record]) -> None:
    root = ET.fromstring(junit(records["internlm2"]))
    (failure,) = root.findall("./testsuite/testcase[@name='same-tokens[web_ui-generate]']/failure")
    assert "duplicated BOS" in failure.get("message", "")
    assert '477 "····"' in (failure.text or "") and "^^^^ inserted" in (failure.text or "")


# GitHub


def unescaped(text: str) -> str:
    for written, meant in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(written, meant)
    return text


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """As the runner of GitHub Actions reads them: kind, properties, message."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"::(error|warning|notice) ([^:]*)::(.*)", line)
        assert match, line
        pairs = (pair.partition("=") for pair in match[2].split(","))
        found.append((match[1], {name: unescaped(value) for name, _, value in pairs}, unescaped(match[3])))
    return found


def test_annotations_are_at_most_ten_of_a_kind() -> None:
    many = [made.finding(renderer=f"r{n}", severity="blocking" if n < 12 else "advisory") for n in range(25)]
    entry = {"reason": "known", "owner": None, "expires": None, "text": "so be it"}
    many += [made.finding(renderer=f"a{n}", accepted=entry) for n in range(12)]
    record = made.record(*many)
    found = commands(annotations(record))
    assert Counter(kind for kind, _, _ in found) == {"error": 10, "warning": 10, "notice": 10}
    assert "2 more of kind error, 3 more of kind warning, 3 more of kind notice" in found[-1][2]
    assert record.footer is not None and found[-1][2].startswith(record.footer.verdict)


def test_hostile_texts_stay_in_their_annotation(records: dict[str, Record]) -> None:
    for kind, properties, text in commands(annotations(records["hostile"])):
        assert set(properties) <= {"file", "line", "title"}
        assert "\n" not in properties["title"]
        assert kind == "notice" or "::error::x" in text or "third" in properties["title"]


def test_annotations_point_into_the_repository(records: dict[str, Record], tmp_path: Path) -> None:
    header, *rest = as_data(records["internlm2"])
    folder = tmp_path / "models" / "chat"
    header["config"]["arguments"] = [str(folder / "my.toml")]
    found = commands(annotations(from_data([header, *rest]), tmp_path))
    places = {(properties.get("file"), properties.get("line")) for _, properties, _ in found}
    script = "models/chat/web_demo.py"
    assert places == {(script, "18"), (script, "53"), (script, "56"), ("models/chat/my.toml", None), (None, None)}
    for outside in ("../web_demo.py", "/elsewhere/web_demo.py"):
        header["targets"]["internlm2-chat"]["renderers"]["web_ui"]["artefacts"][0]["path"] = outside
        found = commands(annotations(from_data([header, *rest]), folder))
        assert {properties.get("file") for _, properties, _ in found} == {"my.toml", None}
    assert {properties.get("file") for _, properties, _ in commands(annotations(records["internlm2"], tmp_path))} == {
        None
    }


# Badge


@pytest.mark.parametrize(
    ("verdict", "exit_code", "message", "colour"),
    [
        ("clean", 0, "clean", "brightgreen"),
        ("holds: 1 accepted defect", 0, "holds", "green"),
        ("not clean: 2 defects block, 1 advisory defect", 1, "2 defects block", "red"),
        ("not clean: 1 stale accepted entry", 2, "1 stale accepted entry", "orange"),
        ("not clean: nothing was tested", 3, "nothing was tested", "lightgrey"),
    ],
)
def test_badge(verdict: str, exit_code: int, message: str, colour: str) -> None:
    shown = json.loads(badge(made.record(made.footer(verdict=verdict, exit_code=exit_code))))
    assert shown == {"schemaVersion": 1, "label": "chat template", "message": message, "color": colour}


# Reading a record


def written(folder: Path, data: bytes | str | list[Any] | Record) -> Path:
    path = folder / "run.ndjson"
    if isinstance(data, Record):
        data = as_data(data)
    if isinstance(data, list):
        data = "".join(f"{json.dumps(line)}\n" for line in data)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_a_record_is_read_as_it_was_written(record: Record, tmp_path: Path) -> None:
    path = written(tmp_path, record)
    assert read_record(path) == record
    assert FORMATS["json"](record) == path.read_text(encoding="ascii")


@pytest.mark.parametrize("end", [b'{"kind": "outc', b'{"kind": "outcome", "target": "\xe4\xbd', b"\n\n{\n"])
def test_a_line_that_was_cut_off_is_left_out(records: dict[str, Record], tmp_path: Path, end: bytes) -> None:
    record = records["cut off"]
    path = written(tmp_path, record)
    path.write_bytes(path.read_bytes() + end)
    assert read_record(path) == record


def test_what_a_later_version_adds_is_let_through(records: dict[str, Record], tmp_path: Path) -> None:
    header, finding, *rest = as_data(records["internlm2"])
    finding["cause"] = "gremlins"
    later = [header | {"weather": 1}, finding, {"kind": "weather", "rain": True}, *rest]
    record = read_record(written(tmp_path, later))
    assert record == from_data([header, finding, *rest])
    for form in FORMATS:
        assert FORMATS[form](record)


BAD: dict[str, tuple[Callable[[list[Any]], Any], str]] = {
    "empty": (lambda lines: "\n", "is empty"),
    "text": (lambda lines: "internlm2-chat  tokenizer tokenizer\n", "not JSON"),
    "UTF-16": (lambda lines: json.dumps(lines[0]).encode("utf-16"), "not UTF-8, at byte 1 "),
    "another JSON": (lambda lines: "[1]", "no line of a record"),
    "no header": (lambda lines: lines[1:], "begins with its header, and not with 'finding'"),
    "version": (lambda lines: [{**lines[0], "record": 1}], "has version 1; this template-checks reads version 2"),
    "broken in between": (lambda lines: json.dumps(lines[0]) + "\n{\n" + json.dumps(lines[1]), "not JSON"),
    "broken after the end": (lambda lines: "\n".join(map(json.dumps, [lines[0], lines[-1]])) + "\n{", "not JSON"),
    "deep": (lambda lines: "[" * 100_000, "not JSON"),
    "two records": (lambda lines: lines + lines, "A second header"),
    "after the end": (lambda lines: [*lines, lines[1]], "goes on after its footer"),
    "key": (lambda lines: [lines[0], {"kind": "finding"}], "finding.target is missing"),
    "type": (lambda lines: [lines[0], lines[1] | {"target": 1}], "finding.target: Input should be a valid string"),
    "value": (lambda lines: [lines[0], lines[1] | {"severity": "<b>"}], "finding.severity: Input should be"),
    "tokens": (lambda lines: [lines[0], lines[1] | {"actual_tokens": []}], "actual_tokens are not as many as its ids"),
    "range": (lambda lines: [lines[0], lines[1] | {"actual_range": [4, 999]}], "actual_range does not lie within"),
    "role": (lambda lines: [lines[0], lines[1] | {"conversation": [{"content": "", "role": 1}]}], "needs a role"),
    "content": (
        lambda lines: [
            lines[0],
            lines[1] | {"conversation": [{"role": "assistant", "content": None, "tool_calls": [{}]}]},
        ],
        "another form",
    ),
    "seconds": (
        lambda lines: [lines[0], lines[-1] | {"seconds": float("nan")}],
        "footer.seconds: Input should be a finite number",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_record_is_said_in_one_message(records: dict[str, Record], tmp_path: Path, name: str) -> None:
    make, expected = BAD[name]
    path = written(tmp_path, make(as_data(records["internlm2"])))
    with pytest.raises(UsageError) as raised:
        read_record(path)
    assert expected in raised.value.what
    assert str(path) in (raised.value.where or "") and raised.value.hint
    assert len(str(raised.value)) < 800


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.ndjson", tmp_path):
        with pytest.raises(UsageError, match="The record cannot be read"):
            read_record(path)
