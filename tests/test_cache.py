"""What is fetched is kept whole, checked on every use, and never left half done."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from template_checks.core.errors import ArtefactError
from template_checks.sources import cache
from template_checks.sources.cache import SUMS, cache_folder, fetch_once, sha256_file, sha256_text


@pytest.fixture(autouse=True)
def cache_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("TEMPLATE_CHECKS_CACHE", str(folder))
    return folder


def write_one(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.txt").write_text("a", encoding="utf-8")


def never(_: Path) -> None:
    raise AssertionError("fetched again")


def test_the_variable_names_the_folder(cache_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == cache_path
    monkeypatch.delenv("TEMPLATE_CHECKS_CACHE")
    assert cache_folder().name == "template-checks"


def test_sha256_of_file_and_text_agree(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("é\n", encoding="utf-8", newline="\n")
    assert sha256_file(path) == sha256_text("é\n")
    assert sha256_text("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_fetched_once_and_then_reused(cache_path: Path) -> None:
    first = fetch_once("kind/name@1", write_one, what="a thing")
    assert first == cache_path / "kind" / "name@1"
    assert json.loads((first / SUMS).read_text(encoding="utf-8")) == {"sub/a.txt": sha256_text("a")}
    assert fetch_once("kind/name@1", never, what="a thing") == first


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_a_changed_file_is_named(damage: str) -> None:
    folder = fetch_once("k", write_one, what="a thing")
    path = folder / "sub" / "a.txt"
    path.write_text("b", encoding="utf-8") if damage == "change" else path.unlink()
    with pytest.raises(ArtefactError) as caught:
        fetch_once("k", never, what="a thing")
    assert "sub/a.txt" in caught.value.what
    assert caught.value.where == str(folder)
    assert "delete the folder" in str(caught.value.hint)


@pytest.mark.parametrize("sums", [None, "{", "[]"])
def test_a_folder_without_checksums_is_refused(sums: str | None) -> None:
    folder = fetch_once("k", write_one, what="a thing")
    if sums is None:
        (folder / SUMS).unlink()
    else:
        (folder / SUMS).write_text(sums, encoding="utf-8")
    with pytest.raises(ArtefactError, match="no readable list of checksums"):
        fetch_once("k", never, what="a thing")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, ArtefactError])
def test_an_interrupted_fetch_leaves_nothing(cache_path: Path, error: type[BaseException]) -> None:
    def broken(folder: Path) -> None:
        write_one(folder)
        raise error("stop")

    with pytest.raises(error):
        fetch_once("k", broken, what="a thing")
    assert list(cache_path.iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("", encoding="utf-8")
    monkeypatch.setenv("TEMPLATE_CHECKS_CACHE", str(in_the_way / "cache"))
    with pytest.raises(ArtefactError) as caught:
        fetch_once("k", never, what="a thing")
    assert str(caught.value).splitlines() == [
        "a thing cannot be kept: the cache folder cannot be written (Not a directory).",
        f"  where  {in_the_way / 'cache'}",
        "  hint   set TEMPLATE_CHECKS_CACHE to a writable folder",
    ]


def test_what_a_killed_process_left_is_removed(cache_path: Path) -> None:
    old, new = cache_path / ".incoming-old", cache_path / ".incoming-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    fetch_once("k", write_one, what="a thing")
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("key", ["", "/etc", "../x", "a/../../x"])
def test_a_key_stays_inside_the_cache(key: str) -> None:
    with pytest.raises(ValueError, match="not a cache key"):
        fetch_once(key, never, what="a thing")


def test_the_slower_of_two_uses_what_the_faster_fetched() -> None:
    def slow(folder: Path) -> None:
        write_one(folder)
        fetch_once("k", write_one, what="a thing")  # meanwhile, another process finishes

    assert (fetch_once("k", slow, what="a thing") / "sub" / "a.txt").read_text(encoding="utf-8") == "a"


def slow_write(folder: Path) -> None:
    write_one(folder)
    time.sleep(0.2)


def fetch_in_process(queue: multiprocessing.Queue[str]) -> None:
    try:
        queue.put(str(fetch_once("k", slow_write, what="a thing")))
    except BaseException as error:
        queue.put(repr(error))


def test_processes_at_once_agree(cache_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[str] = context.Queue()
    processes = [context.Process(target=fetch_in_process, args=(queue,)) for _ in range(4)]
    for process in processes:
        process.start()
    results = {queue.get(timeout=30) for _ in processes}
    for process in processes:
        process.join()
    assert results == {str(cache_path / "k")}
    assert [path.name for path in cache_path.iterdir()] == ["k"]
    assert cache.fetch_once("k", never, what="a thing")
