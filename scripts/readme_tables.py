"""Keeps README.md and CONTRIBUTING.md in step with the code: tables from the models, output from real commands.

    python scripts/readme_tables.py            prints what differs; exit code 1 if anything does
    python scripts/readme_tables.py --write    brings the documents up to date

What it finds in a document:

- `<!-- generated: NAME -->` … `<!-- end -->`: a table, from `TABLES`.
- a fenced block `console`: each line `$ COMMAND` (continued with `> `) is run by bash in a scratch folder that holds a
  copy of fixtures/examples; what it prints, standard error included, follows it. `<!-- only: TEXT -->` right above
  keeps the one finding that holds TEXT, and writes … for the rest. A document that shows `pip install` gets an
  environment of its own to install into.
- a fenced block with `<!-- file: PATH -->` right above: written to PATH in the scratch folder.
- all other blocks are left alone (tests/meta/test_readme.py looks at some of them).
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scripts.environment import Environment
from template_checks.checks.registry import own_checks
from template_checks.config.schema import Accepted, TargetConfig
from template_checks.renderers.registry import own_renderer_types

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
SECONDS = 120
"""Limit of one command."""

TABLE = re.compile(r"(^<!-- generated: (?P<name>[\w-]+) -->\n)(.*?)(^<!-- end -->$)", re.MULTILINE | re.DOTALL)
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
    """The document as the code says it should be. A block that differs in `VARYING` alone stays as it is."""
    with tempfile.TemporaryDirectory() as name:
        return followed(text, Path(name))[0]


def followed(text: str, folder: Path) -> tuple[str, Environment | None]:
    """The same, with all that following the document leaves in `folder`, and the environment it installs into."""
    text = TABLE.sub(lambda match: match[1] + TABLES[match["name"]]() + match[4], text)
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


# Tables


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def checks_table() -> str:
    """Family, name, promise and purposes of every check."""
    return _table(
        ("family", "check", "promise", "purposes"),
        [
            (check.family, f"`{check.name}`", check.promise, ", ".join(check.purposes) or "once for the target")
            for check in own_checks().values()
        ],
    )


def renderers_table() -> str:
    """What each renderer type adapts, and what it gives."""
    return _table(
        ("type", "renders", "purposes", "labels"),
        [
            (
                f"`{name}`",
                kind.summary,
                ", ".join(sorted(kind.purposes, reverse=True)),
                kind.labelled,
            )
            for name, kind in own_renderer_types().items()
        ],
    )


def renderer_options_table() -> str:
    """Options of every renderer type."""
    rows = []
    for name, kind in own_renderer_types().items():
        rows += [(f"`{name}`", *row) for row in _fields(kind.Options) if row[0] != "`type`"]
    return _table(("type", "key", "default", "meaning"), rows)


def model_table(model: type[BaseModel]) -> str:
    """Keys of one model."""
    return _table(("key", "default", "meaning"), _fields(model))


def _fields(model: type[BaseModel]) -> list[tuple[str, ...]]:
    return [(f"`{key}`", _default(field), field.description or "") for key, field in model.model_fields.items()]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


TABLES: dict[str, Callable[[], str]] = {
    "checks": checks_table,
    "renderers": renderers_table,
    "target-options": lambda: model_table(TargetConfig),
    "renderer-options": renderer_options_table,
    "accepted-options": lambda: model_table(Accepted),
}


def difference(name: str) -> str:
    """What a document has (-) and should have (+), as a unified diff; empty where it is up to date."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return difference_of(name, text, refreshed(text))


def difference_of(name: str, text: str, refreshed: str) -> str:
    """The same, where it is known what the document should be."""
    lines = difflib.unified_diff(
        text.splitlines(), refreshed.splitlines(), name, f"{name} as the code says", lineterm=""
    )
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    if arguments == ["--write"]:
        for name in DOCUMENTS:
            text = (ROOT / name).read_text(encoding="utf-8")
            (ROOT / name).write_text(refreshed(text), encoding="utf-8")
        return 0
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    differences = [difference(name) for name in DOCUMENTS]
    print("\n".join(filter(None, differences)))
    return int(any(differences))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
