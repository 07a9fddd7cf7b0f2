"""The plan of the house: imports go from higher layers to lower ones, and a class name means one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from template_checks.checks.registry import own_checks
from tests.systems import ROOT

PACKAGE = ROOT / "template_checks"
LAYERS = (
    ("core",),
    ("sources", "strategies", "divergence"),
    ("renderers",),
    ("config",),
    ("seams",),
    ("checks",),
    ("engine",),
    ("record",),
    ("views",),
    ("cli", "pytest", "api"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Modules of this package that a module imports, those inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE.name:
            assert node.level == 0
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in KNOWN else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE.name)


KNOWN = {name_of(path) for path in MODULES}
ARROWS = {name_of(path): set(imports(path)) - {PACKAGE.name} for path in MODULES if path.parent != PACKAGE}


def part(module: str) -> str:
    return module.split(".")[1]


def test_every_part_has_a_layer() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert parts - {"__init__", "__main__"} == set(LEVEL)


@pytest.mark.parametrize("module", sorted(ARROWS))
def test_no_arrow_goes_up(module: str) -> None:
    level = LEVEL[part(module)]
    up = [
        target
        for target in ARROWS[module]
        if LEVEL[part(target)] > level or (LEVEL[part(target)] == level and part(target) != part(module))
    ]
    assert not up


def test_there_is_no_circle() -> None:
    """By a depth-first search; a circle is told with all its modules."""
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join([*path[path.index(module) :], module])
        if module not in done:
            for target in sorted(ARROWS.get(module, ())):
                visit(target, (*path, module))
            done.add(module)

    for module in sorted(ARROWS):
        visit(module, ())


def test_a_class_name_stands_for_one_thing() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(name_of(path))
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_the_top_level_is_small() -> None:
    tops = [path for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    assert len(tops) <= 20
    assert len(LAYERS) <= 10


def test_a_record_is_read_by_its_names() -> None:
    """Outside `record`, no view, command or engine reads a line of a record by string keys."""
    for part_name in ("views", "cli", "pytest", "engine", "checks"):
        for path in (PACKAGE / part_name).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                    assert not (isinstance(node.slice.value, str) and node.slice.value in RECORD_KEYS), (
                        f"{path}:{node.lineno}"
                    )


RECORD_KEYS = {
    "kind",
    "check",
    "renderer",
    "purpose",
    "outcome",
    "severity",
    "fingerprint",
    "cause",
    "findings",
    "targets",
    "footer",
    "verdict",
}


def test_a_check_declares_the_variants_that_it_asks_for() -> None:
    """Asking for another one is an error only in a run that gets there; here all code is read."""
    asked = {}
    for path in (PACKAGE / "checks").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                calls = [n for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
                names = [c for c in calls if c.func.attr in {"variant", "reference_variant"}]  # type: ignore[attr-defined]
                found = {c.args[0].value for c in names if c.args and isinstance(c.args[0], ast.Constant)}
                if found:
                    asked[node.name.replace("_", "-")] = found
    assert {name: set(check.variants) for name, check in own_checks().items() if check.variants} == asked
