"""The real Hub client against a small Hub on this machine: pinned commits, what is missing, no network."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

EMBEDDED = Path(__file__).resolve().parent.parent / "fixtures" / "examples" / "internlm2" / "tokenizer"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "org/name"
FILES = {path.name: path.read_bytes() for path in EMBEDDED.iterdir()} | {
    "model.safetensors": b"weights",
    "tokenization_own.py": b"raise RuntimeError",
}

# Runs in a process of its own, since the client reads its settings when it is imported.
SCRIPT = """
import json, sys
from pathlib import Path
from template_checks.core.errors import TemplateChecksError
from template_checks.sources.loading import load_tokenizer

spec, folder, options = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
try:
    tokenizer = load_tokenizer(spec, folder=folder, **options)
except TemplateChecksError as error:
    print(json.dumps({"error": type(error).__name__, "what": error.what, "hint": error.hint}))
else:
    print(json.dumps({
        "ids": tokenizer.encode("\\n\\n").ids,
        "notes": tokenizer.notes,
        "artefacts": [artefact.name for artefact in tokenizer.artefacts],
        "files": sorted(path.name for path in tokenizer.folder.iterdir()),
    }))
"""


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as its client asks for."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0].strip("/")
        self.server.asked.append(path)  # type: ignore[attr-defined]
        if path == f"api/models/{REPOSITORY}" or path in self._revisions():
            self._answer(json.dumps(self._info()).encode(), kind="application/json")
        elif path == f"api/models/{REPOSITORY}/tree/{COMMIT}":
            self._answer(json.dumps(self._tree()).encode(), kind="application/json")
        elif path.startswith(f"api/models/{REPOSITORY}/revision/"):
            self._fail("RevisionNotFound")
        elif path.startswith(f"{REPOSITORY}/resolve/{COMMIT}/") and path.rpartition("/")[2] in FILES:
            self._answer(FILES[path.rpartition("/")[2]])
        elif path.startswith(f"{REPOSITORY}/resolve/"):
            self._fail("EntryNotFound")
        else:
            self._fail("RepoNotFound")

    def _revisions(self) -> list[str]:
        return [f"api/models/{REPOSITORY}/revision/{revision}" for revision in ("main", "v1", COMMIT)]

    def _info(self) -> dict[str, Any]:
        names = [{"rfilename": name} for name in FILES]
        return {
            "_id": "1",
            "id": REPOSITORY,
            "modelId": REPOSITORY,
            "sha": COMMIT,
            "siblings": names,
            "tags": [],
        }

    def _tree(self) -> list[dict[str, Any]]:
        return [
            {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for name, content in FILES.items()
        ]

    def _answer(self, content: bytes, kind: str = "application/octet-stream") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _fail(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def load(folder: Path, port: int, spec: str = f"hub:{REPOSITORY}", **options: Any) -> dict[str, Any]:
    """What `load_tokenizer` gives, or how it fails, in a process whose Hub is at `port`."""
    dropped = ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_OFFLINE")
    environment = {key: value for key, value in os.environ.items() if key not in dropped} | {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        "TEMPLATE_CHECKS_CACHE": str(folder / "cache"),
    }
    # transformers 4.x takes a cache without this file for one of before 4.22, and says at length that it moves it.
    version = folder / "hf" / "hub" / "version.txt"
    version.parent.mkdir(parents=True, exist_ok=True)
    version.write_text("1", encoding="ascii")
    command = [sys.executable, "-c", SCRIPT, spec, str(folder), json.dumps(options)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "nothing but the message is printed"
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_commit_is_recorded(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    loaded = load(tmp_path, hub.server_port)
    assert loaded["ids"] == [478]
    assert loaded["artefacts"] == [
        f"hub:{REPOSITORY}@{COMMIT}/tokenizer.json",
        f"hub:{REPOSITORY}@{COMMIT}/tokenizer_config.json",
    ]
    assert loaded["notes"] == [
        f'{REPOSITORY}: the default branch is commit {COMMIT} today; pin it with revision = "{COMMIT}"'
    ]
    assert loaded["files"] == sorted(path.name for path in EMBEDDED.iterdir())
    assert not any("safetensors" in path for path in hub.asked)  # type: ignore[attr-defined]


def test_a_branch_is_resolved(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    loaded = load(tmp_path, hub.server_port, REPOSITORY, revision="v1")
    assert "revision 'v1' is commit" in loaded["notes"][0]


def test_a_pinned_commit_is_fetched_once(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    first = load(tmp_path, hub.server_port, revision=COMMIT)
    assert first["notes"] == []
    hub.asked.clear()  # type: ignore[attr-defined]
    assert load(tmp_path, hub.server_port, revision=COMMIT) == first
    assert load(tmp_path, hub.server_port, revision=COMMIT, offline=True) == first
    assert hub.asked == []  # type: ignore[attr-defined]
    assert list((tmp_path / "cache").rglob("tokenizer*")) == [], "the files are in the client's cache alone"


@pytest.mark.parametrize("options", [{}, {"revision": "v1"}])
def test_what_was_fetched_unpinned_is_found_offline(
    hub: ThreadingHTTPServer, tmp_path: Path, options: dict[str, str]
) -> None:
    first = load(tmp_path, hub.server_port, **options)
    hub.asked.clear()  # type: ignore[attr-defined]
    offline = load(tmp_path, hub.server_port, offline=True, **options)
    assert "on this machine" in offline["notes"][0]
    assert offline | {"notes": first["notes"]} == first
    pinned = load(tmp_path, hub.server_port, offline=True, revision=COMMIT)
    assert pinned == first | {"notes": []}
    assert hub.asked == []  # type: ignore[attr-defined]


def test_what_another_program_fetched_is_found_offline(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    first = load(tmp_path, hub.server_port)
    shutil.rmtree(tmp_path / "cache")
    assert load(tmp_path, hub.server_port, offline=True)["artefacts"] == first["artefacts"]


def test_code_is_fetched_once_it_is_trusted(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    load(tmp_path, hub.server_port, revision=COMMIT)
    failed = load(tmp_path, hub.server_port, revision=COMMIT, trust_remote_code=True, offline=True)
    assert failed["hint"] == "run once with network"
    assert "tokenization_own.py" in load(tmp_path, hub.server_port, revision=COMMIT, trust_remote_code=True)["files"]


def test_a_missing_repository(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    failed = load(tmp_path, hub.server_port, "org/other")
    assert failed["error"] == "ArtefactError"
    assert failed["what"] == "org/other is not on the Hub, or it is private."
    assert failed["hint"].endswith(f"looked for a folder first: {tmp_path / 'org/other'}")


def test_a_missing_revision(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    assert load(tmp_path, hub.server_port, revision="v2")["what"] == f"{REPOSITORY} has no revision 'v2'."


@pytest.mark.parametrize("options", [{}, {"revision": COMMIT}])
def test_no_network_fails_soon(tmp_path: Path, options: dict[str, str]) -> None:
    with socket.socket() as taken:  # bound and not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        failed = load(tmp_path, taken.getsockname()[1], **options)
    assert failed["error"] == "ArtefactError"
    assert "refused" in failed["what"]
    assert "check the network" in failed["hint"]


def connections(listening: socket.socket) -> int:
    """How many wait to be accepted."""
    listening.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listening.accept()[0].close()
            count += 1
    return count


def test_a_silent_network_fails_soon(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # takes the connection and never answers
        failed = load(tmp_path, silent.getsockname()[1])
        assert connections(silent) <= 2
    assert "timed out" in failed["what"]


def test_offline_asks_nothing(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    failed = load(tmp_path, hub.server_port, offline=True)
    assert failed["what"] == f"{REPOSITORY} is not on this machine, and the network is not to be used."
    assert hub.asked == []  # type: ignore[attr-defined]


def test_a_broken_download_is_not_used(
    hub: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Hub._answer

    def half(self: Hub, content: bytes, kind: str = "application/octet-stream") -> None:
        if self.command == "GET" and self.path.endswith("/tokenizer.json"):
            self.close_connection = True
            self.send_response(403)
            self.end_headers()
        else:
            whole(self, content, kind)

    with monkeypatch.context() as broken:
        broken.setattr(Hub, "_answer", half)
        failed = load(tmp_path, hub.server_port)
    assert failed["error"] == "ArtefactError"
    assert "could not be fetched" in failed["what"]
    for options in ({}, {"revision": COMMIT}):
        failed = load(tmp_path, hub.server_port, offline=True, **options)
        assert failed["error"] == "ArtefactError"
        assert failed["hint"] == "run once with network"
    assert load(tmp_path, hub.server_port, revision=COMMIT)["ids"] == [478]


@pytest.mark.parametrize("options", [{}, {"revision": COMMIT}])
def test_a_snapshot_that_lost_a_file_is_not_used(
    hub: ThreadingHTTPServer, tmp_path: Path, options: dict[str, str]
) -> None:
    load(tmp_path, hub.server_port, **options)
    for known in [*(tmp_path / "hf").rglob("trees")]:  # by it newer clients notice it themselves
        shutil.rmtree(known)
    next((tmp_path / "hf").rglob("tokenizer.json")).unlink()
    failed = load(tmp_path, hub.server_port, offline=True, **options)
    assert failed["what"] == f"{REPOSITORY} was fetched only in part: tokenizer.json is missing."
    assert load(tmp_path, hub.server_port, **options)["ids"] == [478]
