"""The xtuner renderer: what it tells of its template, wrong templates, and where they come from."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from template_checks.core.errors import ArtefactError, UsageError
from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.xtuner import library as xtuner_library
from tests.xtuner import CHATML, EOS_EACH_TURN, TEMPLATES, make


def test_taught_stops(byte_level: Tokenizer) -> None:
    words, suffix = make(byte_level, CHATML).taught
    assert (words.text, words.by_text) == ("<|im_end|>", True)
    assert (suffix.text, suffix.by_text) == ("<|im_end|>", False)
    assert "STOP_WORDS" in words.source and "SUFFIX" in suffix.source
    (eos,) = make(byte_level, EOS_EACH_TURN).taught
    assert eos.id == byte_level.eos_id


def test_origins_name_the_keys(byte_level: Tokenizer) -> None:
    source_literals = {origin.name: (origin.value, origin.where) for origin in make(byte_level, CHATML).source_literals}
    assert source_literals["template.SEP"] == ("\n", "training.template.SEP")
    assert set(source_literals) == {f"template.{key}" for key in ("SYSTEM", "INSTRUCTION", "SUFFIX", "SEP")}


@pytest.mark.usefixtures("own_library")
def test_a_named_template_tells_lines_and_version(byte_level: Tokenizer) -> None:
    renderer = make(byte_level, "joined")
    assert renderer.template.values["SYSTEM"] == "one {system} two"
    assert {origin.where for origin in renderer.source_literals} == {
        "xtuner/utils/templates.py:9",
        "xtuner/utils/templates.py:10",
    }
    assert renderer.artefacts[0].name == "xtuner 0.2.0: joined"
    assert renderer.describe()["xtuner"] == "0.2.0"
    assert renderer.describe()["keys"]["INSTRUCTION"] == "xtuner/utils/templates.py:10"


@pytest.mark.usefixtures("own_library")
def test_the_artefact_changes_with_the_template(byte_level: Tokenizer) -> None:
    sums = [make(byte_level, template).artefacts[0].sha256 for template in ("plain", "joined", CHATML, CHATML)]
    assert len(set(sums)) == 3 and sums[2] == sums[3]


@pytest.mark.parametrize(
    ("template", "what", "hint"),
    [
        ({"SYSTEM": "{system}"}, "no INSTRUCTION", "{input}"),
        ({"INSTRUCTION": "{input}", "SUFIX": ""}, "'SUFIX'", "did you mean 'SUFFIX'"),
        ({"INSTRUCTION": "{input}", "instruction": ""}, "'instruction'", "did you mean 'INSTRUCTION'"),
        ({"INSTRUCTION": "{inputs}"}, r"\{inputs\}", "did you mean '{input}'"),
        ({"INSTRUCTION": "{}"}, r"\{\}", "{input} and {round}"),
        ({"INSTRUCTION": "{input} }"}, "not a format string", "twice"),
        ({"INSTRUCTION": "{input:d}"}, "cannot be filled", "{input}"),
        ({"INSTRUCTION": "{input.name}"}, "cannot be filled", "{input}"),
        ({"INSTRUCTION": "{input}", "SYSTEM": "{bot_name}"}, r"\{bot_name\}", "{system}"),
        ({"INSTRUCTION": "{input}", "SYSTEM": "{input}"}, r"\{input\}", "{system}"),
        ({"INSTRUCTION": 1}, "must be text", None),
        ({"INSTRUCTION": "", "SUFFIX_AS_EOS": "yes"}, "true or false", None),
        ({"INSTRUCTION": "", "STOP_WORDS": "x"}, "list of texts", None),
    ],
)
def test_a_wrong_template_is_wrong_usage(
    byte_level: Tokenizer, template: dict[str, Any], what: str, hint: str | None
) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        make(byte_level, template)
    assert caught.value.where is not None and caught.value.where.startswith("training.template")
    assert hint is None or hint in (caught.value.hint or "")


def test_exactly_one_of_template_and_config(byte_level: Tokenizer) -> None:
    for options in ({}, {"template": "plain", "config": "c.py"}):
        with pytest.raises(UsageError, match="exactly one"):
            make(byte_level, **options)


@pytest.mark.usefixtures("own_library")
def test_an_unknown_name_lists_the_names(byte_level: Tokenizer) -> None:
    with pytest.raises(UsageError, match="no prompt template 'plan'") as caught:
        make(byte_level, "plan")
    assert caught.value.hint == "did you mean 'plain'? XTuner has: plain, joined, shown, wild"


@pytest.mark.usefixtures("own_library")
def test_a_file_that_is_not_literal_is_an_artefact_error(byte_level: Tokenizer) -> None:
    with pytest.raises(ArtefactError, match="cannot be read") as caught:
        make(byte_level, "wild")
    assert caught.value.where == "xtuner/utils/templates.py:14"
    assert make(byte_level, "shown").template.ignored == ("NOVELTY",)
    for text in ("x = 1", "PROMPT_TEMPLATE = {}", "def"):
        with pytest.raises(ArtefactError, match="cannot be read"):
            xtuner_library.Library("9", text).names()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed xtuner 0.1.23 whose import would fail."""
    package = tmp_path / "xtuner"
    (package / "utils").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "utils" / "templates.py").write_text(TEMPLATES)
    (tmp_path / "xtuner-0.1.23.dist-info").mkdir()
    (tmp_path / "xtuner-0.1.23.dist-info" / "METADATA").write_text("Name: xtuner\nVersion: 0.1.23\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "xtuner"]:
        monkeypatch.delitem(sys.modules, name)  # another test's stand-in
    return package


@pytest.mark.usefixtures("installed")
def test_an_installed_xtuner_is_read_not_imported(byte_level: Tokenizer) -> None:
    renderer = make(byte_level, "plain")
    assert renderer.describe()["xtuner"] == "0.1.23"
    assert renderer.notes == ["templates of XTuner 0.1.23, encoded as XTuner 0.2.0 encodes them"]
    assert "xtuner" not in sys.modules


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEMPLATE_CHECKS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fake_pip(monkeypatch: pytest.MonkeyPatch, stderr: str = "", files: dict[str, str] | None = None) -> list[Any]:
    """`subprocess.run` that behaves like `pip download`; returns the list of its calls."""
    calls: list[Any] = []

    def run(command: list[str], **_: Any) -> Any:
        calls.append(command)
        if files is not None:
            wheel = Path(command[command.index("--dest") + 1], "xtuner-0.2.0-py3-none-any.whl")
            with zipfile.ZipFile(wheel, "w") as archive:
                for name, text in files.items():
                    archive.writestr(name, text)
        return subprocess.CompletedProcess(command, 1 if files is None else 0, "", stderr)

    monkeypatch.setattr(xtuner_library.subprocess, "run", run)
    monkeypatch.setattr(xtuner_library, "_installed", lambda: None)
    return calls


@pytest.mark.usefixtures("empty_cache")
def test_the_wheel_is_fetched_once(byte_level: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_pip(monkeypatch, files={"xtuner/utils/templates.py": TEMPLATES})
    for _ in range(2):
        assert make(byte_level, "plain").template.sep == "\n"
    (command,) = calls
    assert command[:5] == [sys.executable, "-m", "pip", "download", "xtuner==0.2.0"]
    assert not any("://" in argument for argument in command), "the user's pip configuration says where"


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("/usr/bin/python: No module named pip\n", "No module named pip"),
        (
            "WARNING: retrying\nERROR: Could not find a version\nERROR: No matching distribution\n",
            "No matching",
        ),
        ("WARNING: Retrying after connection broken\nERROR: No matching\n", "index cannot be reached"),
        ("", "no wheel came back"),
    ],
)
def test_no_wheel_is_an_artefact_error(
    byte_level: Tokenizer, monkeypatch: pytest.MonkeyPatch, empty_cache: Path, stderr: str, reason: str
) -> None:
    fake_pip(monkeypatch, stderr)
    with pytest.raises(ArtefactError, match=reason) as caught:
        make(byte_level, "plain")
    assert "INSTRUCTION" in (caught.value.hint or "")
    assert not list(empty_cache.glob("xtuner/*")), "a failed download leaves nothing behind"


@pytest.mark.usefixtures("empty_cache")
def test_offline_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_pip(monkeypatch, files={"xtuner/utils/templates.py": TEMPLATES})
    with pytest.raises(ArtefactError, match="nothing may be fetched"):
        xtuner_library.library(offline=True)
    assert not calls
    xtuner_library.library()
    assert xtuner_library.library(offline=True).names()[0] == "plain"


@pytest.mark.usefixtures("empty_cache")
def test_a_wheel_without_templates(byte_level: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, files={"xtuner/__init__.py": ""})
    with pytest.raises(ArtefactError, match=r"has no xtuner/utils/templates\.py"):
        make(byte_level, "plain")
