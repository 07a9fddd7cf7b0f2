"""What is drawn for a target: its own strings, and conversations with what its renderers know."""

from __future__ import annotations

from pathlib import Path

from template_checks.checks.variants import make_variant, without_control_tokens
from template_checks.config.examples import example_config
from template_checks.config.schema import load_config
from template_checks.config.target import Target, build_target
from template_checks.core.conversation import Conversation
from template_checks.core.errors import Unsupported
from template_checks.core.rendering import Rendering
from template_checks.engine.draw import draw, features, fixed, target_strings
from tests.agents import AgentRenderer
from tests.systems import LabelRenderer, embedded_tokenizer, make_target


def example() -> Target:
    path = example_config("internlm2")
    config = load_config(path)
    return build_target("internlm2-chat", config.target["internlm2-chat"], path.parent, str(path))


def agents() -> Target:
    return make_target(lambda context: [AgentRenderer("other", context)])


def test_own_strings_come_from_three_sources() -> None:
    target = example()
    try:
        own = target_strings(target)
    finally:
        target.close()
    assert {"<|im_start|>", "<|im_end|>", "<s>"} <= set(own), "control tokens"
    assert "<|im_start|>assistant\n" in own, "a literal of the template"
    assert own[0] in target.tokenizer.control_tokens
    assert len(own) == len(set(own))


def test_contents_that_merge_at_a_seam_are_read_off_the_vocabulary() -> None:
    """The answer follows a newline in a piece of its own: what goes on behind a newline in a token may merge."""
    pieces = make_target(lambda context: [LabelRenderer("training", context)])
    whole = make_target(lambda _context: [])
    merging = set(target_strings(pieces)) - set(target_strings(whole))
    assert "\n" in merging
    tokenizer = pieces.tokenizer
    assert all(len(tokenizer.encode("\n" + text).ids) < 1 + len(text.encode()) for text in merging)


def test_what_no_renderer_knows_is_not_drawn() -> None:
    plain, target = make_target(lambda _context: []), agents()
    assert features(plain) == frozenset()
    assert features(target) == {"tools", "tool-calls", "reasoning", "parts"}
    for known, drawn_for in ((plain, frozenset()), (target, features(target))):
        found: list[Conversation] = list(fixed(known, []))
        draw(known, [], range(60), 0, found.append)
        assert frozenset[str]().union(*(conversation.features for conversation in found)) == drawn_for


def test_the_same_seed_draws_the_same() -> None:
    target, runs = agents(), []
    for seed in (3, 3, 4):
        found: list[Conversation] = []
        draw(target, ["<s>"], range(25), seed, found.append)
        assert len(found) == 25
        runs.append(found)
    assert runs[0] == runs[1] != runs[2]


def test_control_tokens_are_taken_out_everywhere() -> None:
    conversation = Conversation.from_list(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "<s>"}, {"type": "text", "text": "b"}]},
                {"role": "tool", "content": "<|im_end|>", "name": "<s>"},
            ],
            "tools": [{"type": "function", "function": {"name": "<s>"}}],
        }
    )
    plain = without_control_tokens(conversation, embedded_tokenizer())
    assert "<" not in str(plain.to_data())
    assert plain.features == conversation.features
    assert without_control_tokens(plain, embedded_tokenizer()) == plain


def test_variants_that_have_nothing_to_vary() -> None:
    target, hi = agents(), Conversation.of(("user", "hi"))
    assert make_variant(target, "other", hi, "generate", "text arguments") is None
    assert make_variant(target, "other", hi, "generate", "joined parts") is None
    assert make_variant(target, "other", hi, "generate", "control tokens removed") is None
    again = make_variant(target, "other", hi, "generate", "rendered twice")
    assert isinstance(again, Rendering)
    assert again.ids == target.renderers["other"].render(hi, "generate").ids


def test_a_process_of_its_own_has_its_own_clock(tmp_path: Path) -> None:
    target = example()
    try:
        later = make_variant(target, "web_ui", Conversation.of(("user", "hi")), "generate", "clock moved")
    finally:
        target.close()
    assert isinstance(later, Unsupported)
