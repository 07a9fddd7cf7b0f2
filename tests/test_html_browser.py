"""The HTML report in a browser: it opens by itself, can be walked by keyboard, and nothing in it runs or overflows."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from template_checks.views.html.page import render_html
from tests.test_html_report import EVIL, example_lines, full, many, of_kind, outsider, recorded

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")

WIDTHS = (1280, 400)
SUMMARY = "details.finding > summary"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        # As root, as in a container, Chromium does not start with its sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def example() -> str:
    return example_lines()


@pytest.fixture(scope="module")
def reports(example: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The published example as it is, one with everything a report can hold, a hostile one and a large one."""
    folder = tmp_path_factory.mktemp("reports")
    long = outsider(full(json.loads(example)), EVIL + "W" * 3000)
    records = {
        "example": recorded(json.loads(example)),
        "full": recorded(full(json.loads(example))),
        "hostile": recorded(outsider(full(json.loads(example)), EVIL)),
        "long": recorded(long),
        "large": many(json.loads(example), 500, 20_000),
    }
    written = {}
    for name, record in records.items():
        written[name] = folder / f"{name}.html"
        written[name].write_text(render_html(record), encoding="utf-8")
    return written


class Visit:
    """One report opened in a page of its own: what it asked for, and what went wrong in it."""

    def __init__(self, browser: Browser, report: Path, **options: Any) -> None:
        self.page: Page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.requests: list[str] = []
        self.trouble: list[str] = []
        self.address = report.as_uri()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", lambda dialog: self.trouble.append(f"dialog {dialog.message}"))
        self.page.on("pageerror", lambda error: self.trouble.append(f"error {error}"))
        self.page.on("console", lambda message: self.trouble.append(f"console {message.text}"))
        self.page.goto(self.address)

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def focused(self) -> str:
        """The id of the finding whose summary has the focus."""
        return str(self.page.evaluate("document.activeElement.closest('details')?.id ?? ''"))

    def check(self) -> None:
        """Nothing but the file was asked for, and nothing went wrong."""
        assert [url for url in self.requests if not url.startswith("data:")] == [self.address]
        assert self.trouble == []


@pytest.fixture
def visit(browser: Browser, reports: dict[str, Path]) -> Iterator[Any]:
    """Open a report by name; at the end each visit is checked."""
    visits: list[Visit] = []

    def opened(name: str, **options: Any) -> Visit:
        visits.append(Visit(browser, reports[name], **options))
        return visits[-1]

    yield opened
    for one in visits:
        one.check()
        one.page.close()


def test_the_published_example_opens_by_itself(visit: Any, example: str) -> None:
    record = json.loads(example)
    report = visit("example")
    assert report.page.locator(".sentence").inner_text() == f"Verdict: {record[-1]['verdict']}"
    assert report.count("[data-finding]") == len(of_kind(record, "finding"))
    assert report.count("[data-outcome]") == len(of_kind(record, "outcome"))
    scaffold = report.page.locator("[data-finding]", has_text="4 spaces before <|im_start|>assistant").first
    assert scaffold.locator(".strip .d td", has_text="····").first.is_visible()


def test_a_link_of_the_matrix_opens_its_finding(visit: Any) -> None:
    report = visit("example")
    links = report.page.locator(".matrix .links a[href^='#finding-']")
    assert links.count() > 5
    for number in range(links.count()):
        target = links.nth(number).get_attribute("href")
        links.nth(number).click()
        report.page.locator(f"{target}[open] > summary:focus").wait_for()
        assert report.page.url.endswith(str(target))
        # The same link once more, after its finding was closed.
        report.page.keyboard.press("Enter")
        report.page.locator(f"{target}:not([open])").wait_for()
        links.nth(number).click()
        report.page.locator(f"{target}[open] > summary:focus").wait_for()


def test_an_address_with_a_finding_opens_it(browser: Browser, reports: dict[str, Path]) -> None:
    page = browser.new_page()
    page.goto(f"{reports['example'].as_uri()}#finding-3-1")
    page.locator("#finding-3-1[open] > summary:focus").wait_for()
    assert page.locator("#finding-3-1 .facts").is_visible()
    page.close()


def test_clicking_through_the_findings_opens_and_closes_each(visit: Any) -> None:
    report = visit("full")
    for details in report.page.locator("main details.finding:not(details details)").all():
        before = details.get_attribute("open")
        details.locator("> summary").click()
        assert (details.get_attribute("open") is None) == (before is not None)
    report.page.click("#open-all")
    assert report.count("details:not([open])") == 0
    report.page.click("#open-all")
    assert report.count("details[open]") == 0


def test_findings_can_be_walked_by_keyboard(visit: Any) -> None:
    report = visit("example")
    press, top = report.page.keyboard.press, report.count("main details.finding:not(details details)")
    walked = []
    for _ in range(3):
        press("j")
        walked.append(report.focused())
    assert walked[0] == "finding-1"
    assert len(set(walked)) == 3
    outline = report.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    press("k")
    assert report.focused() == walked[1]
    press("ArrowDown")
    assert report.focused() == walked[2]
    press("ArrowUp")
    press("k")
    press("k")
    assert report.focused() == "finding-1"
    for _ in range(report.count(SUMMARY)):
        press("j")
    assert report.focused().split("-")[1] == str(top)
    is_open = "document.activeElement.parentElement.open"
    before = report.page.evaluate(is_open)
    press("Enter")
    assert report.page.evaluate(is_open) is not before


def test_a_finding_in_a_closed_one_is_not_walked_to(visit: Any) -> None:
    report = visit("example")
    report.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = false; })")
    walked = set()
    for _ in range(report.count(SUMMARY)):
        report.page.keyboard.press("j")
        walked.add(report.focused())
    assert not any(
        report.page.evaluate(f"!!document.querySelector('#{one}').closest('details details')") for one in walked
    )


def test_the_first_tab_leads_past_the_navigation(visit: Any) -> None:
    report = visit("example")
    report.page.keyboard.press("Tab")
    skip = report.page.locator(":focus")
    assert skip.inner_text() == "Skip to the report"
    box = skip.bounding_box()
    assert box and box["y"] >= 0
    report.page.keyboard.press("Enter")
    assert report.page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize(("scheme", "first"), [("light", "Dark colours"), ("dark", "Light colours")])
def test_colours_follow_the_system_and_the_button(visit: Any, scheme: str, first: str) -> None:
    report = visit("example", color_scheme=scheme)
    ground = "getComputedStyle(document.body).backgroundColor"
    button, before = report.page.locator("#theme"), report.page.evaluate(ground)
    assert button.inner_text() == first
    button.click()
    assert button.inner_text() != first
    after = report.page.evaluate(ground)
    assert after != before
    report.page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
    assert report.page.evaluate(ground) == after, "what was chosen stays"
    button.click()
    assert report.page.evaluate(ground) == before


def test_without_scripts_everything_can_be_read(visit: Any) -> None:
    report = visit("full", java_script_enabled=False)
    assert not report.page.locator("#theme").is_visible()
    assert not report.page.locator("#open-all").is_visible()
    report.page.locator("#finding-1 > summary").click()
    assert report.page.locator(".matrix").is_visible()


def test_on_paper_every_finding_is_open(visit: Any) -> None:
    report = visit("full", color_scheme="dark")
    assert report.count("details:not([open])") > 0
    report.page.emulate_media(media="print")
    assert all(strip.bounding_box()["height"] > 20 for strip in report.page.locator(".strip").all())
    assert report.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not report.page.locator("#theme").is_visible()
    report.page.emulate_media(media="screen")
    closed = report.count("details:not([open])")
    report.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert report.count("details:not([open])") == 0
    report.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert report.count("details:not([open])") == closed


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["example", "full", "hostile", "long"])
def test_the_page_never_scrolls_sideways(visit: Any, name: str, width: int) -> None:
    report = visit(name, viewport={"width": width, "height": 900})
    for _ in range(2):
        assert report.page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = report.page.locator(".scroll").all()
        assert all(box.bounding_box()["width"] <= width for box in boxes)
        report.page.click("#open-all")


def test_hostile_contents_are_text(visit: Any) -> None:
    report, tame = visit("hostile"), visit("full")
    report.page.click("#open-all")
    assert report.count("img") == 0
    assert report.count("script") == tame.count("script") == 1
    assert report.count("[onerror]") == 0
    shown = report.page.locator("#finding-1 .conversation code").first.inner_text()
    assert shown.startswith("</script></title><script>alert(1)</script><img·src=x")
    assert "\\u202e\\u2066\\x00\\x1b\\u200b" in shown
    assert "alert(1)" in report.page.title()


def test_five_hundred_long_findings_open_in_two_seconds(visit: Any) -> None:
    taken = []
    for _ in range(3):  # the best of three: this machine may be testing other things meanwhile
        start = time.monotonic()
        report = visit("large")
        report.page.evaluate("document.body.offsetHeight")
        taken.append(time.monotonic() - start)
    assert min(taken) < 6  # under 2 on an idle machine; another may be three times slower
    assert report.count("[data-finding]") == 500
    report.page.keyboard.press("j")
    assert report.focused() == "finding-1"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screenshots_for_whoever_wants_to_look(visit: Any, width: int, scheme: str, tmp_path: Path) -> None:
    """With TEMPLATE_CHECKS_SCREENSHOTS set they are kept in that folder."""
    folder = Path(os.environ.get("TEMPLATE_CHECKS_SCREENSHOTS", tmp_path))
    report = visit("example", viewport={"width": width, "height": 900}, color_scheme=scheme)
    path = folder / f"report-{width}-{scheme}.png"
    report.page.screenshot(path=path, full_page=True)
    assert path.stat().st_size > 50_000
