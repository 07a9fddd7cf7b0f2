"""Detection does not depend on luck: with the profile `ci`, 20 runs of 20 find the defects of a real set-up.

The fixed conversations alone see to that. What drawing alone finds is tested too, since other systems have defects
that no fixed conversation provokes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from template_checks.checks.findings import Finding
from template_checks.checks.registry import get_checks
from template_checks.config.examples import example_config
from template_checks.config.schema import load_config
from template_checks.config.target import Target, build_target, opened
from template_checks.core.causes import Cause
from template_checks.core.conversation import Conversation
from template_checks.engine.plan import plan
from template_checks.engine.profiles import PROFILES
from template_checks.engine.search import Search, SearchOptions
from tests.systems import ROOT, few_of

RUNS = 20
DEFECTS = {
    "four spaces": ("same-tokens[web_ui-generate]", Cause.SCAFFOLD_WHITE_SPACE),
    "BOS twice": ("single-bos[web_ui-generate]", Cause.DUPLICATED_BOS),
    "system text": ("same-tokens[web_ui-generate]", Cause.INJECTED_SYSTEM),
    "seam": ("same-tokens[training-train]", Cause.SEAM),
}
CHECKS = ("same-tokens", "single-bos", "stop-known")

network = pytest.mark.network
without_npm = pytest.mark.skipif(shutil.which("npm") is None and "CI" not in os.environ, reason="npm is not installed")

Found = dict[str, Finding]
"""Defect → the finding that is it; absent where it was not found."""


def built(path: Path) -> Iterator[Target]:
    config = load_config(path)
    (name,) = config.target
    with opened(build_target(name, config.target[name], path.parent, str(path))) as target:
        yield target


@pytest.fixture(scope="module")
def example() -> Iterator[Target]:
    yield from built(example_config("internlm2"))


@pytest.fixture(scope="module")
def internlm2() -> Iterator[Target]:
    """The real tokenizer, and the template of the real XTuner."""
    yield from built(ROOT / "fixtures" / "internlm2" / "template-checks.toml")


def findings(target: Target, seed: int) -> list[Finding]:
    """What one run finds. Nothing is kept, so that no run helps the next."""
    events: list[object] = []
    Search(target, plan(target, get_checks(CHECKS)), SearchOptions(PROFILES["ci"], seed), events.append).run()
    return [event for event in events if isinstance(event, Finding)]


def detected(found: list[Finding]) -> Found:
    by_name = {(finding.item.id, finding.mismatch.cause): finding for finding in found}
    return {name: by_name[key] for name, key in DEFECTS.items() if key in by_name}


def conversation_of(finding: Finding) -> Conversation:
    assert finding.mismatch.conversation is not None
    return finding.mismatch.conversation


def ids_of(finding: Finding) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids at the difference: expected, actual."""
    expected, actual = finding.mismatch.expected, finding.mismatch.actual
    assert expected is not None
    assert actual is not None
    return expected.rendering.ids[slice(*expected.tokens)], actual.rendering.ids[slice(*actual.tokens)]


@pytest.mark.parametrize("seed", few_of(3, RUNS))
def test_every_run_finds_every_defect(example: Target, seed: int) -> None:
    found = detected(findings(example, seed))
    assert found.keys() == DEFECTS.keys()
    assert {len(conversation_of(finding).messages) for finding in found.values()} <= {1, 2}
    assert all(finding.blocking for finding in found.values())


@network
@without_npm
@pytest.mark.parametrize("seed", few_of(2, RUNS))
def test_every_run_finds_them_with_the_real_tokenizer(internlm2: Target, seed: int) -> None:
    everything = findings(internlm2, seed)
    found = detected(everything)
    assert found.keys() == DEFECTS.keys()
    assert conversation_of(found["four spaces"]) == Conversation.of(("user", "0"))
    assert ids_of(found["four spaces"]) == ((), (388,))
    assert conversation_of(found["seam"]) == Conversation.of(("user", ""), ("assistant", "\n"))
    assert ids_of(found["seam"]) == ((402,), (364, 364))
    assert len(conversation_of(found["BOS twice"]).messages) == 1
    assert len(conversation_of(found["system text"]).messages) == 1
    (stop,) = [finding.mismatch for finding in everything if finding.item.id == "stop-known"]
    assert stop.cause is Cause.STOP_NOT_A_TOKEN
    assert "stop “<eoa>” is not one token but 4 ordinary tokens: " in stop.summary
    names = stop.summary.partition("ordinary tokens: ")[2].split()
    assert [name.rpartition("(")[2] for name in names] == ["333)", "261)", "19704)", "330)"]


@pytest.mark.parametrize("count", [3, pytest.param(RUNS, marks=pytest.mark.slow)])
def test_drawing_alone_finds_them(example: Target, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Web UI's defects always, the seam nearly always: it needs an answer that begins with a newline.

    Measured with 600 seeds, 586 runs found the seam. That 4 runs in 20 miss it has then a chance of 1 in 1000.
    """
    monkeypatch.setattr(Search, "_known", lambda self: iter(()))
    runs = [detected(findings(example, seed)) for seed in range(count)]
    found = {name: sum(name in run for run in runs) for name in DEFECTS}
    assert {name: count for name, count in found.items() if name != "seam"} == dict.fromkeys(
        ("four spaces", "BOS twice", "system text"), count
    )
    assert found["seam"] == count
    lengths = {len(conversation_of(finding).messages) for run in runs for finding in run.values()}
    assert lengths <= {1, 2}
