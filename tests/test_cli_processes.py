"""The command line as a process: pipes that close, interrupts, kills."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from template_checks.config.examples import shipped_folder
from template_checks.record.reader import read_record
from tests.command_line import Cli, cli, elsewhere, records

assert cli and elsewhere
"""Fixtures."""

COMMAND = [sys.executable, "-m", "template_checks"]

# Real processes


def test_a_traceback_never_reaches_the_user(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "run", "nowhere.toml"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("template-checks: The configuration file does not exist.\n  where  nowhere.toml\n")


def test_a_reader_that_leaves_early(tmp_path: Path) -> None:
    """As `| head -1` does. The exit code is a killed writer's, never that of a run that holds."""
    run = [*COMMAND, "run", "--example", "internlm2", "-c", "single-bos", "--format", "json"]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["kind"] == "header"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(120) == 128 + signal.SIGPIPE


def test_a_reader_that_never_comes(tmp_path: Path) -> None:
    """What is still buffered when the command ends is not the interpreter's to complain about."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, "checks"], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 128 + signal.SIGPIPE


def test_ctrl_c_ends_a_long_run(tmp_path: Path) -> None:
    """The terminal sends it to the whole process group. What was found is shown, and the record is whole."""
    run = [*COMMAND, "run", "--example", "internlm2", "--profile", "signoff", "--record", "run.ndjson"]
    record = tmp_path / "run.ndjson"
    with subprocess.Popen(
        run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
    ) as process:
        limit = time.monotonic() + 180
        while not (record.exists() and '"finding"' in record.read_text(encoding="ascii")):
            assert time.monotonic() < limit
            time.sleep(0.05)
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)  # about 1 s on an idle machine, and minutes to the end
    assert "Traceback" not in out + err
    lines = records(record.read_text(encoding="ascii"))
    assert lines[-1]["kind"] == "footer"
    assert lines[-1]["interrupted"] is True
    assert "interrupted" in lines[-1]["verdict"]
    assert lines[-1]["counts"]["error"] == 0, [line for line in lines if line.get("outcome") == "error"]
    assert process.returncode == lines[-1]["exit_code"] == 3
    assert sum(line["kind"] == "finding" for line in lines) >= 1
    assert "✗ " in out
    assert lines[-1]["verdict"] in out


# Runs that are ended


def test_an_interrupt_inside_exec_ends_with_the_same_code(tmp_path: Path) -> None:
    """Hypothesis runs text with exec(); CPython would end `python -m` by a signal after that."""
    (tmp_path / "slow.py").write_text(
        "def build(messages):\n"
        "    exec('import os, signal, time\\nos.kill(os.getpid(), signal.SIGINT)\\ntime.sleep(60)')\n",
        encoding="ascii",
    )
    tokenizer = json.dumps(str(shipped_folder("examples") / "internlm2" / "tokenizer"))
    (tmp_path / "template-checks.toml").write_text(
        f"[target.m]\ntokenizer = {tokenizer}\n[target.m.renderers]\nchat_template = {{ type = 'tokenizer' }}\n"
        "slow = { type = 'python', function = 'slow.py:build' }\n",
        encoding="utf-8",
    )
    done = subprocess.run([*COMMAND, "run"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 3
    assert "interrupted" in done.stdout


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "run", "--example", "internlm2", *words]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_at_any_moment_the_record_can_be_read(cli: Cli, tmp_path: Path) -> None:
    chance, whole, found = random.Random(0), 0, 0
    for number in range(10):
        file = tmp_path / f"{number}.ndjson"
        process = started(tmp_path, "--profile", "signoff", "--record", str(file))
        deadline = time.monotonic() + 60
        while not (file.is_file() and file.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1.5))
        process.kill()
        process.communicate()
        record = read_record(file)
        whole += record.footer is not None
        assert "This record has no footer: the run was cut off." in cli("report", str(file)).out
        found += len(record.findings)
        marks = [line.fingerprint for line in record.findings if line.conversation is not None]
        if marks:
            replayed = cli("replay", chance.choice(marks))
            assert replayed.code in {0, 1}, replayed.err
            assert "is gone" not in replayed.out
    assert whole == 0
    assert found > 0


def test_an_interrupt_ends_it_soon_and_keeps_what_was_found(tmp_path: Path) -> None:
    file = tmp_path / "r.ndjson"
    process = started(tmp_path, "--profile", "signoff", "--record", str(file))
    while not (file.is_file() and '"finding"' in file.read_text(encoding="ascii")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)  # a second on an idle machine, and minutes to the end
    assert "Traceback" not in errors
    footer = read_record(file).footer
    assert footer is not None
    assert footer.interrupted
    assert process.returncode == 3
    assert "interrupted" in output
