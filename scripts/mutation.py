"""Mutation test of the suite: chat templates changed in one place, each of which a run must notice.

    python scripts/mutation.py                                        200 mutants; exit code 1 if any was missed
    python scripts/mutation.py --mutants 20 --seed 1 --proof 2000 --jobs 2

The originals are fixtures/pairs/plain.jinja and fixtures/pairs/rich.jinja. A mutant is the template of a second
renderer, beside the original as the reference, and all checks look at both with the profile `ci`. It is killed by

- a check, whose finding is blocking,
- `error`, where an outcome is an error,
- `unsupported`, where an outcome is and that of the original is not.

A mutant that survives is rendered beside its original, on `--proof` other conversations that may hold tools, calls,
reasoning and parts: each prefix, as a training text and as a prompt. It is equivalent where no text differs, and missed
where one does. Conversations with something that the original's template knows nothing of are told apart: no run
renders them, and a mutant may do with them what it likes.
"""

from __future__ import annotations

import argparse
import difflib
import json
import multiprocessing
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import jinja2

from template_checks.checks.findings import Event, Finding, Outcome, Progress
from template_checks.checks.registry import get_checks
from template_checks.config.schema import TargetConfig
from template_checks.config.target import Target, build_target
from template_checks.core.conversation import Conversation
from template_checks.engine.draw import draw, fixed, target_strings
from template_checks.engine.plan import plan
from template_checks.engine.profiles import PROFILES
from template_checks.engine.search import Search, SearchOptions

ROOT = Path(__file__).parent.parent
TOKENIZER = ROOT / "fixtures" / "examples" / "internlm2" / "tokenizer"
SOURCES = {
    name: (ROOT / "fixtures" / "pairs" / f"{name}.jinja").read_text(encoding="utf-8") for name in ("plain", "rich")
}
ORIGINAL, MUTANT = "original", "mutant"
PROOF_SEED = 1_000_000
"""Far from the seeds of runs: a mutant is proved on other conversations than it was hunted on."""
CHUNK = 500
"""Conversations of one proof seed."""

# Places to change


@dataclass(frozen=True)
class Token:
    """A piece of a template: `text` between tags, what opens and closes a tag, and the words of a tag."""

    kind: str
    start: int
    text: str
    tag: str = ""

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True)
class Edit:
    """The characters from `start` to `end` become `text`."""

    start: int
    end: int
    text: str

    def of(self, source: str) -> str:
        return source[: self.start] + self.text + source[self.end :]


_TAG = re.compile(r"(?P<open>\{[{%]-?)(?P<body>(?:'(?:\\.|[^'\\])*'|[^'])*?)(?P<close>-?[%}]\})", re.DOTALL)
_WORD = re.compile(r"(?P<literal>'(?:\\.|[^'\\])*')|(?P<number>\d+)|(?P<name>[A-Za-z_][\w.]*)|(?P<sign>[=!]=|\S)")
_CHARACTER = re.compile(r"\\.|.", re.DOTALL)
FILTERS = ("trim", "tojson", "upper", "length", "string", "first")
OTHER_WAY = {
    "==": ("!=",),
    "!=": ("==",),
    "and": ("or",),
    "or": ("and",),
    "not": ("",),
    "is": ("is not",),
    "loop.first": ("loop.last",),
    "loop.last": ("loop.first", "loop.index"),
    "loop.previtem.role": ("loop.nextitem.role",),
    "loop.nextitem.role": ("loop.previtem.role",),
}


def tokens(source: str) -> list[Token]:
    """The template in pieces; between the words of a tag nothing but blanks is left out."""
    found, at = [], 0
    for tag in _TAG.finditer(source):
        found.append(Token("text", at, source[at : tag.start()]))
        found.append(Token("open", tag.start("open"), tag["open"], tag["body"].split()[0]))
        for word in _WORD.finditer(source, *tag.span("body")):
            found.append(Token(str(word.lastgroup), word.start(), word.group(), tag["body"].split()[0]))
        found.append(Token("close", tag.start("close"), tag["close"], tag["body"].split()[0]))
        at = tag.end()
    return [*found, Token("text", at, source[at:])]


def characters(source: str) -> Iterator[Edit]:
    """Drop, duplicate or swap a character of a literal, or of text that no dash takes away."""
    pieces = tokens(source)
    for n, piece in enumerate(pieces):
        start, end = piece.start, piece.end
        if piece.kind == "text":
            if n and pieces[n - 1].text.startswith("-"):
                start = end - len(piece.text.lstrip())
            if n + 1 < len(pieces) and pieces[n + 1].text.endswith("-"):
                end = start + len(source[start:end].rstrip())
        elif piece.kind == "literal":
            start, end = start + 1, end - 1
        else:
            continue
        units = list(_CHARACTER.finditer(source, start, end))
        for unit in units:
            yield Edit(*unit.span(), "")
            yield Edit(*unit.span(), unit.group() * 2)
        for one, other in pairwise(units):
            yield Edit(one.start(), other.end(), other.group() + one.group())


def literals(source: str) -> Iterator[Edit]:
    """Drop, duplicate or swap a literal."""
    found = [token for token in tokens(source) if token.kind == "literal"]
    for token in found:
        yield Edit(token.start, token.end, "''")
        yield Edit(token.start, token.end, f"'{token.text[1:-1] * 2}'")
    for one, other in pairwise(found):
        yield _swapped(source, (one.start, one.end), (other.start, other.end))


def branches(source: str) -> Iterator[Edit]:
    """Drop a branch, negate its condition, or swap it with the next one."""
    for group in _branches(source):
        for condition, body in group:
            yield Edit(*body, "")
            if condition[0] < condition[1]:
                yield Edit(*condition, f"not ({source[slice(*condition)].strip()}) ")
        for (_, one), (_, other) in pairwise(group):
            yield _swapped(source, one, other)
    for token in tokens(source):
        if token.text == "if" and token.tag != "if":
            yield Edit(token.start, token.end, "if not")


def filters(source: str) -> Iterator[Edit]:
    """Drop a filter, or take another."""
    found = tokens(source)
    for bar, name in pairwise(found):
        if bar.text == "|":
            yield Edit(bar.start, name.end, "")
            yield from (Edit(name.start, name.end, other) for other in FILTERS)


def comparisons(source: str) -> Iterator[Edit]:
    """Turn a comparison round, or change an index."""
    for token in tokens(source):
        if token.kind in {"name", "sign"}:
            yield from (Edit(token.start, token.end, other) for other in OTHER_WAY.get(token.text, ()))
        if token.kind == "number":
            yield from (Edit(token.start, token.end, str(int(token.text) + step)) for step in (-1, 1))


def dashes(source: str) -> Iterator[Edit]:
    """Take away a dash that strips white space, or add one."""
    for token in tokens(source):
        if token.kind in {"open", "close"}:
            bare = token.text.strip("-")
            dashed = f"{bare}-" if token.kind == "open" else f"-{bare}"
            yield Edit(token.start, token.end, dashed if token.text == bare else bare)


KINDS: tuple[Callable[[str], Iterator[Edit]], ...] = (characters, literals, branches, filters, comparisons, dashes)

Span = tuple[int, int]


def _swapped(source: str, one: Span, other: Span) -> Edit:
    return Edit(one[0], other[1], source[slice(*other)] + source[one[1] : other[0]] + source[slice(*one)])


def _branches(source: str) -> list[list[tuple[Span, Span]]]:
    """For each `if`, the spans of condition and body of its branches."""
    groups: list[list[tuple[Span, Span]]] = []
    unfinished: list[tuple[list[tuple[Span, Span]], Span, int]] = []
    for tag in _TAG.finditer(source):
        keyword = tag["body"].split()[0]
        if tag["open"][1] != "%" or keyword not in {"if", "elif", "else", "endif"}:
            continue
        if keyword == "if":
            groups.append([])
            group = groups[-1]
        else:
            group, condition, begin = unfinished.pop()
            group.append((condition, (begin, tag.start())))
        if keyword != "endif":
            first = tag.start("body") + tag["body"].index(keyword) + len(keyword) + 1
            unfinished.append((group, (min(first, tag.end("body")), tag.end("body")), tag.end()))
    return groups


# Mutants


@dataclass(frozen=True)
class Mutant:
    """`source` is the original called `original`, changed in one place."""

    number: int
    original: str
    kind: str
    source: str

    @property
    def difference(self) -> str:
        """The lines that differ."""
        lines = difflib.ndiff(SOURCES[self.original].splitlines(), self.source.splitlines())
        return "\n".join(f"    {line[0]} {line[2:].strip()}" for line in lines if line[0] in "-+")


def mutants(count: int, seed: int) -> list[Mutant]:
    """So many mutants, of each kind alike and no two the same; fewer where there are no more."""
    rng = random.Random(seed)
    pools = {
        kind.__name__: [(name, edit) for name, source in SOURCES.items() for edit in kind(source)] for kind in KINDS
    }
    for pool in pools.values():
        rng.shuffle(pool)
    made: list[Mutant] = []
    known = set(SOURCES.values())
    while len(made) < count and any(pools.values()):
        for kind, pool in pools.items():
            while pool:
                name, edit = pool.pop()
                source = edit.of(SOURCES[name])
                if source not in known and _parses(source):
                    known.add(source)
                    made.append(Mutant(len(made) + 1, name, kind, source))
                    break
    return made[:count]


def _parses(source: str) -> bool:
    try:
        jinja2.Environment(trim_blocks=True, lstrip_blocks=True).compile(source)
    except jinja2.TemplateSyntaxError:
        return False
    return True


# Hunting


def target_of(original: str, source: str) -> Target:
    """The original as the reference, and `source` beside it."""
    with tempfile.TemporaryDirectory() as name:
        for file, text in ((ORIGINAL, SOURCES[original]), (MUTANT, source)):
            (Path(name) / f"{file}.jinja").write_text(text, encoding="utf-8")
        renderers = {file: {"type": "tokenizer", "chat_template": f"{file}.jinja"} for file in (ORIGINAL, MUTANT)}
        config = TargetConfig(tokenizer=str(TOKENIZER), renderers=renderers, reference=ORIGINAL)
        return build_target(original, config, Path(name), __file__, offline=True)


def hunt(mutant: Mutant) -> str | None:
    """What notices the mutant: a check's name, `error`, `unsupported`, `refused`; None where nothing does."""
    target = target_of(mutant.original, mutant.source)
    found: list[Finding] = []
    outcomes: dict[tuple[str, str | None, str | None], Outcome] = {}

    def wanted(finding: Finding) -> bool:
        if finding.blocking and finding.item.renderer == MUTANT:
            found.append(finding)
        return bool(found)

    def emit(event: Event) -> None:
        if isinstance(event, Outcome):
            outcomes[event.item.check.name, event.item.purpose, event.item.renderer] = event
        elif isinstance(event, Progress):  # an error is no finding, and ends the hunt as well
            search.ended = search.ended or any(tally.error for tally in search.tallies.values())

    search = Search(target, plan(target, get_checks(())), SearchOptions(PROFILES["ci"], 0), emit, wanted)
    search.run()
    if found:
        return found[0].item.check.name
    names = set()
    for (check, purpose, renderer), outcome in outcomes.items():
        original = outcomes.get((check, purpose, ORIGINAL))
        if renderer == MUTANT and (original is None or original.name != outcome.name):
            names.add(outcome.name)
        if renderer == MUTANT and outcome.refused:  # said beside a pass
            names.add("refused")
    return next((name for name in ("error", "unsupported", "refused") if name in names), None)


# Proving


@dataclass
class Proof:
    """Renderings that were compared, and for each mutant's number a conversation whose text differs.

    `beyond` holds conversations with what the original's template knows nothing of: no run looks at them.
    """

    renderings: int = 0
    differs: dict[int, str] = field(default_factory=dict)
    beyond: dict[int, str] = field(default_factory=dict)


@cache
def originals() -> tuple[dict[str, Target], list[str]]:
    """A target for each original, and the strings of all of them."""
    targets = {name: target_of(name, source) for name, source in SOURCES.items()}
    return targets, list(dict.fromkeys(text for target in targets.values() for text in target_strings(target)))


def prove(survivors: list[Mutant], chunk: tuple[int, int]) -> Proof:
    """Render one chunk of conversations, (seed, how many), with survivors and originals."""
    seed, count = chunk
    targets, own = originals()
    rich = targets["rich"]
    conversations = list(fixed(rich, own)) if seed % 1000 == 0 else []
    draw(rich, own, range(count), seed, conversations.append)
    prefixes = {c.prefix(length) for c in conversations for length in range(1, len(c.messages) + 1)}
    proof = Proof()
    for prefix, prompt in sorted(((p, q) for p in prefixes for q in (False, True)), key=_as_runs_look):
        proof.renderings += 1
        texts = {name: rendered(rich, source, prefix, prompt) for name, source in SOURCES.items()}
        for mutant in survivors:
            known = prefix.features <= targets[mutant.original].reference.features
            differing = proof.differs if known else proof.beyond
            if mutant.number not in differing:
                text = rendered(rich, mutant.source, prefix, prompt)
                if text != texts[mutant.original]:
                    shown = json.dumps(prefix.to_data(), ensure_ascii=False)
                    differing[mutant.number] = (
                        f"{'prompt' if prompt else 'training text'} of {shown}\n"
                        f"      original {texts[mutant.original]!r}\n      mutant   {text!r}"
                    )
    return proof


def _as_runs_look(rendering: tuple[Conversation, bool]) -> tuple[bool, int]:
    """What runs look at before what they do not, and short ones first."""
    prefix, prompt = rendering
    return prompt != (prefix.purpose == "generate") or prefix.roles[-1] == "system", len(prefix.messages)


def rendered(target: Target, source: str, conversation: Conversation, prompt: bool) -> str | type[Exception]:
    """The text, or how it is refused."""
    try:
        text: Any = target.tokenizer.hf.apply_chat_template(
            conversation.to_list(),
            tools=conversation.tool_list() or None,
            chat_template=source,
            tokenize=False,
            add_generation_prompt=prompt,
        )
    except Exception as error:  # whatever a broken template raises
        return type(error)
    return str(text)


# The run


@dataclass(frozen=True)
class Result:
    """What became of each mutant: what killed it, or None; and of the survivors."""

    killed: dict[Mutant, str | None]
    proof: Proof

    @property
    def survivors(self) -> list[Mutant]:
        return [mutant for mutant, by in self.killed.items() if by is None]

    @property
    def missed(self) -> list[Mutant]:
        return [mutant for mutant in self.survivors if mutant.number in self.proof.differs]


def run(
    count: int, seed: int, conversations: int, jobs: int = 1, tell: Callable[[str], None] = lambda _line: None
) -> Result:
    """Hunt the mutants, then prove the survivors."""
    made = mutants(count, seed)
    killed: dict[Mutant, str | None] = {}
    for mutant, by in zip(made, _mapped(jobs, hunt, made), strict=True):
        killed[mutant] = by
        tell(f"{len(killed)} of {len(made)}: {by or 'survives'}")
    result = Result(killed, Proof())
    sizes = [min(CHUNK, conversations - begin) for begin in range(0, conversations, CHUNK)] if result.survivors else []
    chunks = [(PROOF_SEED + seed * 1000 + n, size) for n, size in enumerate(sizes)]
    for n, part in enumerate(_mapped(jobs, partial(prove, result.survivors), chunks), start=1):
        result.proof.renderings += part.renderings
        result.proof.differs = {**part.differs, **result.proof.differs}
        result.proof.beyond = {**part.beyond, **result.proof.beyond}
        tell(f"proof {n} of {len(chunks)}: {len(result.proof.differs)} differ")
    return result


def _mapped(jobs: int, function: Callable[[Any], Any], items: list[Any]) -> Iterable[Any]:
    if jobs == 1:
        yield from map(function, items)
        return
    with multiprocessing.Pool(jobs) as pool:
        yield from pool.imap(function, items)


def report(result: Result, seed: int) -> Iterator[str]:
    """The summary, a line each."""
    by = Counter(name or "survived" for name in result.killed.values())
    yield f"{len(result.killed)} mutants (seed {seed}), {len(result.killed) - by['survived']} killed"
    yield from (f"  {count:4}  {name}" for name, count in by.most_common())
    yield "by kind: killed of made"
    made = Counter(mutant.kind for mutant in result.killed)
    lost = Counter(mutant.kind for mutant in result.survivors)
    yield from (f"  {made[kind] - lost[kind]:4} of {made[kind]:3}  {kind}" for kind in made)
    for mutant, name in result.killed.items():
        if name == "unsupported":
            yield f"mutant {mutant.number} of {mutant.original}.jinja, {mutant.kind}: unsupported\n{mutant.difference}"
    for mutant in result.survivors:
        shown = ""
        if mutant.number in result.proof.differs:
            verdict, shown = "MISSED", result.proof.differs[mutant.number]
        elif mutant.number in result.proof.beyond:
            verdict, shown = "differs only beyond what the original knows", result.proof.beyond[mutant.number]
        else:
            verdict = f"equivalent: identical on {result.proof.renderings:,} renderings"
        yield f"mutant {mutant.number} of {mutant.original}.jinja, {mutant.kind}: {verdict}\n{mutant.difference}"
        if shown:
            yield f"      {shown}"
    yield f"{len(result.missed)} missed, {len(result.survivors) - len(result.missed)} proved"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the mutants")
    parser.add_argument("--proof", type=int, default=20_000, help="conversations on which survivors are compared")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    for name, source in SOURCES.items():
        assert hunt(Mutant(0, name, "none", source)) is None, f"{name}.jinja differs from itself"
    result = run(
        options.mutants,
        options.seed,
        options.proof,
        options.jobs,
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    print("\n".join(report(result, options.seed)))
    return 1 if result.missed else 0


if __name__ == "__main__":
    sys.exit(main())
