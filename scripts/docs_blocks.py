"""The fenced blocks of a document: which there are, and what their commands print.

- a fenced block `console`: each line `$ COMMAND` (continued with `> `) is run by bash in a scratch folder that holds a
  copy of fixtures/examples; what it prints, standard error included, follows it. `<!-- only: TEXT -->` right above
  keeps the one finding that holds TEXT, and writes … for the rest. A document that shows `pip install` gets an
  environment of its own to install into.
- a fenced block with `<!-- file: PATH -->` right above: written to PATH in the scratch folder.
- all other blocks are left alone (tests/meta/test_docs.py looks at some of them).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.environment import Environment

ROOT = Path(__file__).parent.parent
SECONDS = 120
"""Limit of one command."""

FENCE = re.compile(
    r"(?:^<!-- (?P<word>only|file|code): (?P<value>[^\n]+) -->\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
VARYING = (
    (re.compile(r"(?<= in )\d+\.\d+ ?s\b"), "0.0 s"),
    (re.compile(r"(?<=, seed )\d+|(?<=--check-seed )\d+"), "0"),
    (re.compile(r"\b(transformers|tokenizers|hypothesis) \d[\w.]*"), r"\1 0"),
)
"""What differs between two runs that say the same: seconds, a random seed, versions of other packages."""


@dataclass(frozen=True)
class Block:
    """One fenced block; `word` and `value` are those of the comment right above, or empty."""

    language: str
    word: str
    value: str
    body: str


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a document."""
    for match in FENCE.finditer(text):
        yield _block(match)


def _block(match: re.Match[str]) -> Block:
    return Block(match["language"], match["word"] or "", match["value"] or "", match["body"])


def normalised(text: str) -> str:
    """Without what differs between two runs that say the same."""
    for pattern, replacement in VARYING:
        text = pattern.sub(replacement, text)
    return text


def refreshed(text: str) -> str:
    """The document with what its commands print now. A block that differs in `VARYING` alone stays as it is."""
    with tempfile.TemporaryDirectory() as name:
        return followed(text, Path(name))[0]


def followed(text: str, folder: Path) -> tuple[str, Environment | None]:
    """The same, with all that following the document leaves in `folder`, and the environment it installs into."""
    scratch = folder / "scratch"
    shutil.copytree(
        ROOT / "fixtures" / "examples",
        scratch / "fixtures" / "examples",
        ignore=shutil.ignore_patterns(".template-checks"),
    )
    installs = re.search(r"^\$ pip install", text, re.MULTILINE)
    environment = Environment(folder / "environment") if installs else None
    return FENCE.sub(lambda match: _refreshed_block(match, scratch, environment), text), environment


def _refreshed_block(match: re.Match[str], folder: Path, environment: Environment | None) -> str:
    block = _block(match)
    if block.word == "file":
        _write_file(folder, block)
    if block.language != "console":
        return match[0]
    body = _rerun(block, folder, environment)
    if normalised(body) == normalised(block.body):
        return match[0]
    return match[0].removesuffix(block.body + "```") + body + "```"


# Commands


def _rerun(block: Block, folder: Path, environment: Environment | None) -> str:
    lines: list[str] = []
    for shown in re.findall(r"^\$ .*(?:\n> .*)*", block.body, re.MULTILINE):
        command = "\n".join(line[2:] for line in shown.split("\n"))
        output = _run(command, folder, environment)
        lines.append(shown)
        lines += [line.rstrip() for line in (_only(output, block.value) if block.word else output).splitlines()]
        while lines[-1] == "":
            lines.pop()
    return "\n".join(lines) + "\n"


def _run(command: str, folder: Path, environment: Environment | None) -> str:
    """Standard output and error of a command."""
    variables = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "PYTHONPATH", "COV_", "CI"))
    }
    variables |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "80",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
    }
    variables |= environment.variables() if environment is not None else {}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    if "Traceback (most recent call last)" in done.stdout:
        raise RuntimeError(f"{command}\n{done.stdout}")
    return done.stdout.replace(str(folder), "…")


def _only(output: str, text: str) -> str:
    """The one finding that holds `text`, with … for what stands before and after."""
    findings = re.findall(r"^[✗·a] .*\n(?:(?: .*)?\n)+", output, re.MULTILINE)
    found = [finding for finding in findings if text in finding]
    if len(found) != 1:
        raise LookupError(f"{len(found)} findings hold {text!r}:\n{output}")
    return f"…\n\n{found[0].rstrip()}\n\n…"


def _write_file(folder: Path, block: Block) -> None:
    path = folder / block.value
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.body, encoding="utf-8")
