"""Makes docs/images/report.png: the HTML report of the example, as headless Chromium shows it.

    python scripts/screenshot.py [PATH]

Needs playwright (extra `test`) and Chromium, in /usr/bin/chromium or where CHROMIUM says.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
IMAGE = ROOT / "docs" / "images" / "report.png"
WIDTH, HEIGHT = 1100, 900
COLOURS = 64
"""A palette that keeps text sharp: 16 shows in the tinted cells, 64 does not."""
LIMIT = 150_000
"""Bytes that a clone should pay for the picture at most."""


def report(folder: Path) -> Path:
    """The HTML report of the broken example; its run ends with exit code 1."""
    record, page = folder / "record.ndjson", folder / "report.html"
    run = [sys.executable, "-m", "template_checks", "run", "--example", "internlm2", "--profile", "ci"]
    subprocess.run([*run, "--record", str(record)], cwd=folder, stdout=subprocess.DEVNULL, check=False)
    view = [sys.executable, "-m", "template_checks", "report", str(record), "--format", "html", "--output", str(page)]
    subprocess.run(view, cwd=folder, check=True)
    return page


def picture(page: Path, image: Path) -> None:
    """The top of the page, as a PNG with a palette."""
    executable = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        tab.goto(page.as_uri())
        tab.screenshot(path=image)
        browser.close()
    with Image.open(image) as full:
        small = full.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(image, optimize=True)
    if image.stat().st_size > LIMIT:
        raise SystemExit(f"{image} has {image.stat().st_size} bytes, more than {LIMIT}")


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        print(__doc__, file=sys.stderr)
        return 2
    image = Path(arguments[0]) if arguments else IMAGE
    image.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        picture(report(Path(folder)), image)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
