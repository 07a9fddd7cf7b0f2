"""What a run costs over the work it cannot avoid. Prints two ratios, all measured in this process.

    python benchmarks/search.py [TOML] [--draws N]

The first ratio is a run's time to the time of drawing the same conversations and rendering and tokenizing every prefix
of them bare; the second to bare rendering and tokenizing alone.
"""

import argparse
import contextlib
import statistics
import time
from pathlib import Path

from template_checks.checks.registry import get_checks
from template_checks.config.examples import example_config
from template_checks.config.schema import load_config
from template_checks.config.target import Target, build_target
from template_checks.core.conversation import Conversation
from template_checks.core.errors import RenderError, Unsupported
from template_checks.engine.draw import draw, target_strings
from template_checks.engine.plan import plan
from template_checks.engine.profiles import Profile
from template_checks.engine.search import Search, SearchOptions
from template_checks.renderers.tokenizer import TokenizerRenderer

SEED = 0


def build(path: Path, target: str | None) -> Target:
    config = load_config(path)
    name = target or next(iter(config.target))
    return build_target(name, config.target[name], path.parent, str(path))


def drawn_for(target: Target, draws: int) -> list[Conversation]:
    """As a run draws: same strategy, same settings, same seed."""
    drawn: list[Conversation] = []
    draw(target, target_strings(target), range(draws), SEED, drawn.append)
    return drawn


def bare(target: Target, found: list[Conversation]) -> None:
    """Render and tokenize each prefix with each renderer, as a plain script would."""
    for conversation in found:
        for length in range(1, len(conversation.messages) + 1):
            prefix = conversation.prefix(length)
            if prefix.messages[-1].role == "system":
                continue
            for renderer in target.renderers.values():
                if prefix.purpose not in renderer.purposes:
                    continue
                if isinstance(renderer, TokenizerRenderer):
                    target.tokenizer.hf.apply_chat_template(
                        prefix.to_list(), tokenize=True, add_generation_prompt=prefix.purpose == "generate"
                    )
                else:
                    with contextlib.suppress(RenderError, Unsupported):
                        _ = renderer.render(prefix, prefix.purpose).ids


def timed(function, *args) -> tuple[float, object]:
    begin = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - begin, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("toml", nargs="?", type=Path, default=example_config("internlm2-repaired"))
    parser.add_argument("--target")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    profile = Profile("benchmark", options.draws, SEED, "")
    drawn_for(build(options.toml, options.target), 20)  # warm up Hypothesis' tables
    rounds = []
    for _ in range(options.rounds):
        target = build(options.toml, options.target)
        bare(target, drawn_for(target, 5))
        draw_time, drawn = timed(drawn_for, target, options.draws)
        fixed = []
        search = Search(target, plan(target, get_checks(())), SearchOptions(profile, SEED), lambda _event: None)
        fixed = list(search._known())
        bare_time, _ = timed(bare, target, [*fixed, *drawn])
        target.close()

        target = build(options.toml, options.target)
        bare(target, fixed[:2])
        search = Search(target, plan(target, get_checks(())), SearchOptions(profile, SEED), lambda _event: None)
        run_time, _ = timed(search.run)
        assert search.examined == len(fixed) + len(drawn), "the run examined other conversations"
        target.close()
        rounds.append((run_time, draw_time, bare_time))
        times = f"run {run_time:.2f} s   drawing {draw_time:.2f} s   bare {bare_time:.2f} s"
        print(f"{times}   {search.examined} conversations")
    to_both = statistics.median(run / (drawing + rendering) for run, drawing, rendering in rounds)
    to_bare = statistics.median(run / rendering for run, _, rendering in rounds)
    print(f"run / (drawing + bare rendering and tokenizing)  {to_both:.2f}")
    print(f"run / bare rendering and tokenizing              {to_bare:.2f}")


if __name__ == "__main__":
    main()
