"""The suite notices what is changed in a chat template. A slice; `python scripts/mutation.py` does all of it."""

from __future__ import annotations

import pytest

from scripts import mutation
from scripts.mutation import KINDS, PROOF_SEED, SOURCES, Mutant


@pytest.mark.slow
def test_a_slice_of_the_mutants_is_killed_or_proved_equivalent() -> None:
    result = mutation.run(10, seed=0, conversations=300)
    said = "\n".join(mutation.report(result, 0))
    assert {mutant.kind for mutant in result.killed} == {kind.__name__ for kind in KINDS}
    assert len(result.survivors) <= 4, said
    assert not result.missed, said


def test_a_mutant_that_renders_otherwise_is_not_proved_equivalent() -> None:
    same = Mutant(1, "plain", "literals", SOURCES["plain"].replace("no such role", "no"))
    other = Mutant(2, "rich", "literals", SOURCES["rich"].replace("Tools:", "Tool:"))
    proof = mutation.prove([same, other], (PROOF_SEED, 5))
    assert list(proof.differs) == [2]
    assert "Tool:" in proof.differs[2]


def test_mutants_are_repeatable_and_differ() -> None:
    made = mutation.mutants(200, seed=0)
    assert made == mutation.mutants(200, seed=0)
    assert len({mutant.source for mutant in made} - set(SOURCES.values())) == 200
