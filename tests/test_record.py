"""The record of a run: whole, plain about what it was made of, and enough to see each finding again."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from template_checks.checks.findings import Finding
from template_checks.checks.registry import get_checks
from template_checks.cli.main import main
from template_checks.config.examples import example_config
from template_checks.config.schema import load_config
from template_checks.config.target import Target, build_target, opened
from template_checks.core.conversation import Conversation
from template_checks.engine import profiles
from template_checks.engine.plan import plan
from template_checks.engine.profiles import PROFILES, Profile
from template_checks.engine.search import Search, SearchOptions

Line = dict[str, Any]
EXAMPLE = example_config("internlm2")
DRAWS = 20


def run(folder: Path, *args: str) -> tuple[int, str]:
    """Exit code and standard output of `template-checks run` in this folder and this process."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(profiles.PROFILES, "dev", Profile("dev", DRAWS, None, ""))
        with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
            main.main(["run", *args], prog_name="template-checks")
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue()


def parsed(data: bytes) -> list[Line]:
    """The lines of a record, which is ASCII and ends with a newline."""
    *lines, rest = data.decode("ascii").split("\n")
    assert rest == ""
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    """What `--format json` prints for the example."""
    folder = tmp_path_factory.mktemp("printed")
    code, out = run(folder, "--example", "internlm2", "--seed", "7", "--format", "json")
    lines = parsed(out.encode())
    assert lines[-1]["exit_code"] == code
    return lines


@pytest.fixture(scope="module")
def example() -> Iterator[Target]:
    config = load_config(EXAMPLE)
    (name,) = config.target
    with opened(build_target(name, config.target[name], EXAMPLE.parent, str(EXAMPLE))) as target:
        yield target


def findings(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["kind"] == "finding"]


def test_a_header_then_what_was_found_then_a_footer(printed: list[Line]) -> None:
    kinds = [line["kind"] for line in printed]
    assert kinds[0] == "header"
    assert kinds[-1] == "footer"
    assert set(kinds[1:-1]) == {"finding", "outcome", "coverage", "defect"}
    assert kinds.index("defect") > max(n for n, kind in enumerate(kinds) if kind not in {"defect", "footer"})


def test_a_record_file_holds_what_json_prints(printed: list[Line], tmp_path: Path) -> None:
    code, out = run(tmp_path, "--example", "internlm2", "--seed", "7", "--record", "run.ndjson")
    written = parsed((tmp_path / "run.ndjson").read_bytes())
    assert code == written[-1]["exit_code"]
    assert written[-1]["verdict"] in out

    def timeless(lines: list[Line]) -> list[Line]:
        return [{key: value for key, value in line.items() if key not in {"started", "seconds"}} for line in lines]

    assert timeless(written) == timeless(printed)
    assert timeless(written) != written


def test_the_header_says_what_the_run_was_made_of(printed: list[Line], example: Target) -> None:
    header = printed[0]
    assert header["versions"] == {
        "template-checks": version("template-checks"),
        "python": platform.python_version(),
        **{name: version(name) for name in ("transformers", "tokenizers", "jinja2", "hypothesis")},
    }
    assert (header["profile"], header["draws"], header["seed"]) == ("dev", DRAWS, 7)
    assert list(header["targets"]) == [example.name]
    target = header["targets"][example.name]
    assert target["renderers"].keys() == example.renderers.keys()
    assert {name: renderer["type"] for name, renderer in target["renderers"].items()} == {
        "chat_template": "tokenizer",
        "web_ui": "web-ui",
        "training": "xtuner",
    }
    artefacts = [*target["artefacts"], *target["renderers"]["web_ui"]["artefacts"]]
    files = {Path(artefact["name"]).name: artefact["sha256"] for artefact in artefacts}
    read = [*(EXAMPLE.parent / "tokenizer").iterdir(), EXAMPLE.parent / "web_demo.py"]
    assert files == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in read}
    assert all(len(a["sha256"]) == 64 for renderer in target["renderers"].values() for a in renderer["artefacts"])


def test_the_footer_counts_what_stands_above_it(printed: list[Line]) -> None:
    footer, found = printed[-1], findings(printed)
    outcomes = [line for line in printed if line["kind"] == "outcome"]
    assert {name: count for name, count in footer["counts"].items() if count} == Counter(
        line["outcome"] for line in outcomes
    )
    assert footer["counts"]["pass"] and footer["counts"]["mismatch"]
    defects = [line for line in printed if line["kind"] == "defect"]
    severities = Counter(line["severity"] for line in defects)
    assert (footer["blocking"], footer["advisory"]) == (severities["blocking"], severities["advisory"])
    assert footer["findings"] == len(found) == sum(len(line["findings"]) for line in defects)
    for outcome in outcomes:
        of_item = [
            line
            for line in found
            if all(line[key] == outcome[key] for key in ("target", "check", "renderer", "purpose"))
        ]
        assert outcome["findings"] == [line["fingerprint"] for line in of_item]
        assert outcome["blocking"] == sum(line["severity"] == "blocking" for line in of_item)
        assert (outcome["outcome"] == "mismatch") == bool(of_item)
    assert len({(line["check"], line["renderer"], line["purpose"]) for line in outcomes}) == len(outcomes)


def rendered(target: Target, name: str, conversation: Conversation) -> tuple[int, ...]:
    """The ids that are said to come from `RENDERER` or, of a prefix, `RENDERER of LENGTH`."""
    name, _, length = name.partition(" of ")
    prefix = conversation.prefix(int(length)) if length else conversation
    return target.renderers[name].render(prefix, prefix.purpose).ids


def test_every_finding_can_be_rendered_again(printed: list[Line], example: Target) -> None:
    of_pair: dict[tuple[str, str], list[Line]] = {}
    for line in findings(printed):
        conversation = Conversation.from_list(line["conversation"])
        for side in ("expected", "actual"):
            ids = line[f"{side}_ids"]
            if ids is None:
                assert side == "expected"
                continue
            assert tuple(ids) == rendered(example, line[f"{side}_name"], conversation)
            assert len(line[f"{side}_tokens"]) == len(ids)
            start, end = line[f"{side}_range"]
            assert 0 <= start <= end <= len(ids)
        if line["check"] == "same-tokens":
            of_pair.setdefault((line["renderer"], json.dumps(line["conversation"])), []).append(line)
    assert len(of_pair) >= 3
    for lines in of_pair.values():
        ids, position = [], 0
        for line in sorted(lines, key=lambda line: line["expected_range"]):
            (start, end), actual = line["expected_range"], line["actual_range"]
            ids += line["expected_ids"][position:start] + line["actual_ids"][slice(*actual)]
            position = end
        assert ids + lines[0]["expected_ids"][position:] == lines[0]["actual_ids"]


def test_only_where_both_sides_cover_the_same_text_is_the_text_the_same(printed: list[Line]) -> None:
    """A seam between a prompt and what follows it is none: there the longer text goes on."""
    seams = [line for line in findings(printed) if line["cause"] == "seam"]
    said = {line["check"]: line["same_text"] for line in seams}
    assert said == {"same-tokens": True, "prefix-stable": False}
    for line in seams:
        want, have = (
            "".join(token.strip('"') for token in line[f"{side}_tokens"][slice(*line[f"{side}_range"])])
            for side in ("expected", "actual")
        )
        assert line["same_text"] == (want == have)


@pytest.mark.slow
def test_a_fingerprint_is_the_same_whatever_was_drawn(
    printed: list[Line], example: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {line["fingerprint"]: (line["check"], line["renderer"], line["cause"]) for line in findings(printed)}
    always = {line["fingerprint"] for line in findings(printed) if line["renderer"] == "web_ui"}
    monkeypatch.setattr(Search, "_known", lambda self: iter(()))
    until: dict[str, list[int]] = {mark: [] for mark in always}
    for seed in range(3):
        found: list[Finding] = []
        options = SearchOptions(PROFILES["ci"], seed)
        Search(example, plan(example, get_checks(())), options, lambda event, f=found: f.append(event)).run()
        found = [event for event in found if isinstance(event, Finding)]
        for finding in found:
            said = (finding.item.check.name, finding.item.renderer, finding.mismatch.cause.value)
            assert known[finding.fingerprint] == said
            if finding.fingerprint in always:
                until[finding.fingerprint].append(finding.conversations)
    assert all(len(numbers) == 3 and len(set(numbers)) > 1 for numbers in until.values()), until


ODD = ("\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\ufffd", "e\u0301", "👩\u200d💻", "你")


def test_odd_characters_survive(tmp_path: Path) -> None:
    """One renderer for each loses it, so that it is all that is left of the counterexample."""
    functions = "".join(
        f"def lose_{n}(messages):\n    return chatml(messages, {lost!a})\n\n\n" for n, lost in enumerate(ODD)
    )
    (tmp_path / "prompts.py").write_text(
        "def chatml(messages, lost):\n"
        '    turns = [(m["role"], m["content"].replace(lost, "")) for m in messages]\n'
        '    return "<s>" + "".join(f"<|im_start|>{role}\\n{text}<|im_end|>\\n" for role, text in turns)\n\n\n'
        + functions,
        encoding="ascii",
    )
    others = "".join(
        f'lose_{n} = {{ type = "python", function = "prompts.py:lose_{n}", purposes = ["train"] }}\n'
        for n in range(len(ODD))
    )
    (tmp_path / "template-checks.toml").write_text(
        f'[target."模型"]\ntokenizer = {json.dumps(str(EXAMPLE.parent / "tokenizer"))}\nconversations = "real.jsonl"\n'
        f'[target."模型".renderers]\nchat_template = {{ type = "tokenizer" }}\n{others}',
        encoding="utf-8",
    )
    real = [{"role": "user", "content": "a" + "b".join(ODD) + "c"}, {"role": "assistant", "content": "d"}]
    (tmp_path / "real.jsonl").write_text(json.dumps(real, ensure_ascii=False) + "\n", encoding="utf-8")
    code, _ = run(tmp_path, "--check", "content-verbatim", "--record", "run.ndjson", "--seed", "0")
    lines = parsed((tmp_path / "run.ndjson").read_bytes())
    assert code == 1
    assert list(lines[0]["targets"]) == ["模型"]
    left: dict[str, set[str]] = {}
    for line in findings(lines):
        text = "".join(message["content"] for message in line["conversation"])
        left.setdefault(line["renderer"], set()).add(text.replace("0", ""))
    assert left == {f"lose_{n}": {odd} for n, odd in enumerate(ODD)}


def test_a_run_that_is_cut_off_has_no_footer(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "template_checks.cli.main",
        "run",
        "--example",
        "internlm2",
        "--profile",
        "signoff",
    ]
    record = tmp_path / "run.ndjson"
    with subprocess.Popen(
        [*command, "--record", record.name], cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        limit = time.monotonic() + 60
        while not (record.exists() and '"finding"' in record.read_text(encoding="ascii")):
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    kinds = [line["kind"] for line in parsed(record.read_bytes())]
    assert kinds[0] == "header"
    assert set(kinds[1:]) == {"finding"}
