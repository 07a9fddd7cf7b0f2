"""Keeps the documents in step with the code: generated parts from the code, output from real commands.

    python scripts/docs.py                  prints what differs; exit code 1 if anything does
    python scripts/docs.py --write          brings the documents up to date
    python scripts/docs.py [--write] NAME…  only these documents, such as docs/guide.md

docs_tables.py says what is generated, docs_blocks.py how commands are run.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from scripts import docs_blocks, docs_tables
from scripts.environment import Environment

ROOT = docs_blocks.ROOT
DOCUMENTS = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def refreshed(text: str) -> str:
    """The document as the code says it should be."""
    return docs_blocks.refreshed(docs_tables.refreshed(text))


def followed(text: str, folder: Path) -> tuple[str, Environment | None]:
    """The same, with all that following the document leaves in `folder`, and the environment it installs into."""
    return docs_blocks.followed(docs_tables.refreshed(text), folder)


def difference(name: str) -> str:
    """What a document has (-) and should have (+), as a unified diff; empty where it is up to date."""
    text = read(name)
    return difference_of(name, text, refreshed(text))


def difference_of(name: str, text: str, refreshed: str) -> str:
    """The same, where it is known what the document should be."""
    lines = difflib.unified_diff(
        text.splitlines(), refreshed.splitlines(), name, f"{name} as the code says", lineterm=""
    )
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    names = [argument for argument in arguments if argument != "--write"]
    if not set(names) <= set(DOCUMENTS):
        print(__doc__, file=sys.stderr)
        return 2
    if "--write" in arguments:
        for name in names or DOCUMENTS:
            (ROOT / name).write_text(refreshed(read(name)), encoding="utf-8")
        return 0
    differences = [difference(name) for name in names or DOCUMENTS]
    print("\n".join(filter(None, differences)))
    return int(any(differences))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
