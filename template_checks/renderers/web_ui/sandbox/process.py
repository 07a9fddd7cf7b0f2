"""The host side of the sandbox: a long-lived child process in which a script's prompt builder runs.

Nothing the script does may hang, fill or crash the host: every call has a wall-clock limit, answers have a size limit,
and a child that misbehaves is killed and replaced.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from template_checks.core.errors import RenderError, Unsupported

ROOT = Path(__file__).parents[4]
BOOT = """
import sys
sys.path.append(sys.argv[1])
from template_checks.renderers.web_ui.sandbox.worker import main
sys.path.remove(sys.argv[1])
main()
"""
"""Starts the child: this package is importable while its own two modules load, and no longer."""
MAX_ANSWER = 8 * 1024 * 1024
MAX_FAILURES = 3

TemplateCall = Callable[[list[dict[str, Any]], dict[str, Any]], str]
"""Renders messages with the real tokenizer's chat template: (messages, keyword arguments) → text."""


@dataclass(frozen=True, slots=True)
class Program:
    """What the child runs.

    Args:
        name: the script's name, as in tracebacks.
        code: base64 of the marshalled module code.
        entry: name of the function to call.
        standins: names the child provides: name → `streamlit`, `session`, `tokenizer`, `owner`, `quiet`, or a
            sentence part saying what the name is and why it is not run.
        modules: harmless standard modules it may import.
        tokenizer: attributes of the stand-in tokenizer.
        system: what a text box labelled as the system prompt holds; None for its first value.
        boxes_ask: the user's message comes from a text box, as there is no `chat_input`.
    """

    name: str
    code: str
    entry: str
    standins: dict[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    tokenizer: dict[str, Any] = field(default_factory=dict)
    system: str | None = None
    boxes_ask: bool = False


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one call is given: the builder's arguments, the session state, and the message just sent."""

    args: dict[str, Any] = field(default_factory=dict)
    session: dict[str, Any] = field(default_factory=dict)
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """What the builder made.

    Nothing where the app does not send such a message (an empty one, say). Else either `text`, with
    `add_special_tokens` where the builder itself called the tokenizer; or `template`, the (messages, keyword
    arguments) of an `apply_chat_template` call that tokenizes.
    """

    text: str | None = None
    add_special_tokens: bool | None = None
    template: tuple[list[dict[str, Any]], dict[str, Any]] | None = None


class Sandbox:
    """A child process for one program.

    Args:
        program: what to run.
        apply_template: answers the script's `apply_chat_template(..., tokenize=False)` calls.
        seconds: wall-clock limit of one call.
        memory_bytes: address space of the child.
    """

    def __init__(
        self,
        program: Program,
        apply_template: TemplateCall,
        *,
        seconds: float = 5.0,
        memory_bytes: int = 768 * 1024 * 1024,
    ) -> None:
        self._program = program
        self._apply_template = apply_template
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._buffer = bytearray()
        self._failures = 0

    def call(self, inputs: Inputs) -> Built:
        """Build one prompt.

        Raises:
            RenderError: the script fails, runs too long, uses too much memory, or touches what is not run.
            Unsupported: the tokenizer's chat template refuses the messages.
        """
        if self._failures >= MAX_FAILURES:
            raise RenderError(f"{self._program.name} broke the sandbox {self._failures} times in a row; not run again")
        deadline = time.monotonic() + self._seconds
        if self._process is None:
            self._start(time.monotonic() + self._seconds + 10)
            deadline = time.monotonic() + self._seconds
        request = {"args": inputs.args, "session": inputs.session, "message": inputs.message}
        answer = self._exchange(request, deadline)
        while "ask" in answer:
            answer = self._answer_template(answer["ask"], deadline)
        return self._result(answer)

    def forget(self) -> None:
        """Leave the child to the process that started it; the next call starts another."""
        if self._finalizer is not None:
            self._finalizer.detach()
        self._process, self._finalizer = None, None
        self._buffer.clear()

    def close(self) -> None:
        """End the child."""
        if self._finalizer is not None:
            self._finalizer()
        self._process, self._finalizer = None, None
        self._buffer.clear()

    def _start(self, deadline: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", BOOT, str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
        self._finalizer = weakref.finalize(self, _end, self._process)
        program = self._program
        answer = self._exchange(
            {
                "name": program.name,
                "code": program.code,
                "entry": program.entry,
                "standins": program.standins,
                "modules": list(program.modules),
                "tokenizer": program.tokenizer,
                "system": program.system,
                "boxes_ask": program.boxes_ask,
                "memory_bytes": self._memory_bytes,
                "cpu_seconds": max(1, round(self._seconds)) + 1,
            },
            deadline,
        )
        if not answer.get("ready"):
            self.close()
            raise RenderError(self._sentence(answer))

    def _answer_template(self, question: dict[str, Any], deadline: float) -> dict[str, Any]:
        try:
            text = self._apply_template(question["messages"], question["kwargs"])
        except Unsupported as error:
            self._exchange({"error": str(error)}, deadline)
            raise
        except BaseException:
            self.close()  # the child still waits for an answer
            raise
        return self._exchange({"text": text}, deadline)

    def _result(self, answer: dict[str, Any]) -> Built:
        if answer.get("exhausted"):
            self.close()
        if "error" in answer:
            self._failures = 0
            raise RenderError(self._sentence(answer))
        self._failures = 0
        if "template" in answer:
            return Built(template=(answer["template"]["messages"], answer["template"]["kwargs"]))
        return Built(text=answer["text"], add_special_tokens=answer["add_special_tokens"])

    def _sentence(self, answer: dict[str, Any]) -> str:
        line = answer.get("line")
        where = self._program.name if line is None else f"{self._program.name}:{line}"
        return f"{where}: the prompt builder fails: {answer.get('error') or 'no answer'}"

    def _exchange(self, message: dict[str, Any], deadline: float) -> dict[str, Any]:
        """Send one line, read one line."""
        process = self._process
        assert process is not None and process.stdin is not None
        data = json.dumps(message).encode() + b"\n"
        try:
            process.stdin.write(data)
            process.stdin.flush()
        except OSError:
            self._broken("the sandbox ended")
        line = self._read_line(deadline)
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            self._broken("the sandbox sent an answer that is not JSON")
        return answer

    def _read_line(self, deadline: float) -> bytes:
        process = self._process
        assert process is not None and process.stdout is not None
        descriptor = process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while True:
            end = self._buffer.find(b"\n")
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                return line
            if len(self._buffer) > MAX_ANSWER:
                self._broken(f"the prompt is larger than {MAX_ANSWER // 2**20} MiB")
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                self._broken(f"the prompt builder does not end within {self._seconds:g} seconds")
            chunk = os.read(descriptor, 1 << 16)
            if not chunk:
                self._broken("the sandbox ended: the prompt builder used up its memory or processor time")
            self._buffer += chunk

    def _broken(self, why: str) -> NoReturn:
        self._failures += 1
        self.close()
        raise RenderError(f"{self._program.name}: {why}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    process.wait()
