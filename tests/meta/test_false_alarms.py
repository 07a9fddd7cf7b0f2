"""Systems that render alike are not told apart. A slice; `python scripts/false_alarms.py` does all of it."""

from __future__ import annotations

import pytest

from scripts.false_alarms import PAIRS, evaluate, table
from template_checks.core.errors import ArtefactError

FEW = 150


def test_no_alarm_with_the_embedded_tokenizer() -> None:
    row = evaluate(PAIRS["embedded"], FEW)
    assert not row.alarms
    assert row.conversations == FEW


@pytest.mark.network
def test_no_alarm_with_a_real_tokenizer() -> None:
    """Qwen3's template: tools, calls and reasoning."""
    try:
        row = evaluate(PAIRS["qwen3"], FEW)
    except ArtefactError as error:
        pytest.skip(f"the tokenizer is neither in the cache nor can it be fetched: {error}")
    assert not row.alarms, "\n".join(table([row]))
    assert row.advisory
