"""The child side of the sandbox: runs a script's prompt builder, and nothing else of the script.

Runs under `python -I -S -B`: standard library and its stand-ins only, no environment. Speaks JSON lines: a set-up, then
one request and one answer per call; a call of `apply_chat_template` asks the host for its result in between.

The code it is given has passed `isolate.refuse_escapes`: no attribute with two underscores, no frames. Here it
meets restricted builtins, stand-ins for its libraries, resource limits, and an audit hook that refuses files, sockets
and processes.
"""

from __future__ import annotations

import base64
import builtins
import contextlib
import importlib
import json
import marshal
import os
import sys
import types
from collections.abc import Iterator
from typing import Any

from template_checks.renderers.web_ui.name_lists import split_names
from template_checks.renderers.web_ui.sandbox import standins as standins
from template_checks.renderers.web_ui.sandbox.standins import Captured, RefusedError

with contextlib.suppress(ImportError):
    import resource

# Imported before the hook is armed, because the standard library imports them late.
PRELOAD = (
    "_strptime",
    "time",
    "calendar",
    "locale",
    "encodings.utf_8",
    "encodings.ascii",
    "encodings.latin_1",
)

BUILTINS = split_names(
    """
    abs all any ascii bool bytes callable chr dict divmod enumerate filter float format frozenset
    hash hex int isinstance issubclass iter len list map max min next object oct ord pow property
    classmethod staticmethod super range repr reversed round set slice sorted str sum tuple zip True
    False None NotImplemented Ellipsis __build_class__ Exception ValueError TypeError KeyError
    IndexError AttributeError RuntimeError LookupError NotImplementedError StopIteration
    AssertionError ArithmeticError ZeroDivisionError UnicodeError NameError OSError ImportError
    OverflowError
    """
)

# Members that reach code objects, modules or arbitrary attributes.
WITHHELD = {
    "string": {"Formatter"},
    "typing": {"get_type_hints", "ForwardRef", "evaluate_forward_ref"},
    "functools": {"update_wrapper", "wraps", "singledispatch", "singledispatchmethod", "cached_property"},
    "dataclasses": {"make_dataclass"},
}

HARMLESS = "builtins.id"  # copy.deepcopy and a dataclass's repr

# What making a dataclass, an enum or a named tuple raises; allowed only while definitions are loaded.
LOADING = {
    "exec",
    "compile",
    "object.__getattr__",
    "object.__setattr__",
    "sys._getframe",
    "sys._getframemodulename",
}


class Guard:
    """The audit hook. Armed while foreign code runs; it then refuses every event but the `allowed`."""

    def __init__(self) -> None:
        self._armed = False
        self._allowed: frozenset[str] = frozenset()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self._armed and event not in self._allowed and event != HARMLESS:
            raise RefusedError(f"{event} is refused in the sandbox")

    @contextlib.contextmanager
    def armed(self, allowed: frozenset[str] = frozenset()) -> Iterator[None]:
        """Run foreign code."""
        self._allowed, self._armed = allowed, True
        try:
            yield
        finally:
            self._armed = False


class Worker:
    """One script's builder, loaded once, called many times."""

    def __init__(self, setup: dict[str, Any], guard: Guard) -> None:
        self._name: str = setup["name"]
        self._guard = guard
        self._cpu_seconds: int = setup["cpu_seconds"]
        self._streamlit = standins.Streamlit(setup["system"], boxes_ask=setup["boxes_ask"])
        self._modules = {name: expose(name) for name in setup["modules"]}
        self._entry_name: str = setup["entry"]
        self._globals = self._make_globals(setup)
        self._code: str = setup["code"]

    def _make_globals(self, setup: dict[str, Any]) -> dict[str, Any]:
        safe = {name: getattr(builtins, name) for name in BUILTINS if hasattr(builtins, name)}
        safe.update(
            {
                "print": lambda *_, **__: None,
                "getattr": standins.safe_getattr,
                "hasattr": standins.safe_hasattr,
                "type": lambda value: type(value),
                "__import__": self._import,
            }
        )
        sys.modules["script"] = types.ModuleType("script")  # dataclasses look their module up
        namespace: dict[str, Any] = {"__name__": "script", "__builtins__": safe}
        tokenizer = standins.TokenizerStandIn(setup["tokenizer"], lambda question: exchange(question))
        for name, kind in setup["standins"].items():
            namespace[name] = {
                "streamlit": lambda: self._streamlit,
                "session": lambda: standins.SessionProxy(self._streamlit),
                "tokenizer": lambda: tokenizer,
                "owner": lambda: types.SimpleNamespace(tokenizer=tokenizer),
                "quiet": standins.Quiet,
            }.get(kind, lambda kind=kind: standins.Blocked(kind))()
        return namespace

    def _import(self, name: str, _g: Any = None, _l: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if name in {"time", "_strptime"} and isinstance(fromlist, list):
            return None  # datetime's own C code; it takes the loaded module, whatever is given back
        if level or name not in self._modules:
            raise RefusedError(f"it imports {name or '.'}, which is not run here")
        return self._modules[name]

    def load(self) -> None:
        """Run the definitions."""
        code = marshal.loads(base64.b64decode(self._code))
        with self._guard.armed(frozenset(LOADING)):
            exec(code, self._globals)

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Build one prompt."""
        limit_cpu(self._cpu_seconds)
        session = {key: standins.records(value) for key, value in request["session"].items()}
        self._streamlit.start(session, request["message"])
        args = {name: standins.records(value) for name, value in request["args"].items()}
        try:
            with self._guard.armed():
                result = self._globals[self._entry_name](**args)
                if isinstance(result, types.GeneratorType):
                    next(result, None)  # a generator runs only when it is read
        except Captured as captured:
            return captured.answer
        if not isinstance(result, (str, type(None))):
            return {"error": f"it gives back {type(result).__name__}, not a text", "line": None}
        return {"text": result, "add_special_tokens": None}

    def failure(self, error: BaseException) -> dict[str, Any]:
        """What went wrong, and on which line of the script."""
        line, trace = None, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self._name:
                line = trace.tb_lineno
            trace = trace.tb_next
        try:
            text = str(error)[:400]
        except Exception:
            text = ""
        kind = "" if isinstance(error, RefusedError) else type(error).__name__[:80]
        exhausted = isinstance(error, (MemoryError, RecursionError))
        return {
            "error": ": ".join(part for part in (kind, text) if part),
            "line": line,
            "exhausted": exhausted,
        }


def expose(name: str) -> types.SimpleNamespace:
    """A module's public members, without the modules it happens to import."""
    module = importlib.import_module(name)
    public = getattr(module, "__all__", None) or [key for key in vars(module) if not key.startswith("_")]
    members = {key: getattr(module, key) for key in public if hasattr(module, key)}
    withheld = WITHHELD.get(name, set())
    return types.SimpleNamespace(
        **{k: v for k, v in members.items() if k not in withheld and not isinstance(v, types.ModuleType)}
    )


def limit(setup: dict[str, Any]) -> None:
    """Resource limits; one that the system does not know is left out."""
    for name, value in (
        ("RLIMIT_AS", setup["memory_bytes"]),
        ("RLIMIT_NOFILE", 16),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_CORE", 0),
    ):
        with contextlib.suppress(NameError, AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (value, value))


def limit_cpu(seconds: int) -> None:
    """So many seconds of processor time from now on: the worker ends itself even if its host is gone."""
    with contextlib.suppress(NameError, AttributeError, ValueError, OSError):
        usage = resource.getrusage(resource.RUSAGE_SELF)
        used = int(usage.ru_utime + usage.ru_stime)
        resource.setrlimit(resource.RLIMIT_CPU, (used + seconds + 1, resource.RLIM_INFINITY))


def send(answer: dict[str, Any]) -> None:
    """One JSON line to the host."""
    data = memoryview(json.dumps(answer).encode() + b"\n")
    while data:
        data = data[os.write(1, data) :]


def exchange(question: dict[str, Any]) -> dict[str, Any]:
    """Ask the host in the middle of a call."""
    send(question)
    line = sys.stdin.buffer.readline()
    if not line:
        os._exit(0)
    answer: dict[str, Any] = json.loads(line)
    if "text" not in answer:
        raise Captured({"template_error": answer.get("error", "")})
    return answer


def main() -> None:
    """Set up, then answer until the host closes the pipe."""
    setup = json.loads(sys.stdin.buffer.readline())
    for name in PRELOAD:
        importlib.import_module(name)
    worker = Worker(setup, Guard())
    limit(setup)
    limit_cpu(setup["cpu_seconds"])
    try:
        worker.load()
    except BaseException as error:
        send(worker.failure(error))
        return
    send({"ready": True})
    for line in sys.stdin.buffer:
        try:
            answer = worker.call(json.loads(line))
        except BaseException as error:
            answer = worker.failure(error)
        try:
            send(answer)
        except (TypeError, ValueError, MemoryError, RecursionError) as error:
            send({"error": f"it hands over something that is not plain data: {error}"[:400], "line": None})
