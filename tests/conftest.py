"""Fixtures that several files of tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from template_checks.core.tokenizer import Tokenizer
from template_checks.renderers.base import Context
from template_checks.renderers.web_ui.renderer import WebUIRenderer
from template_checks.renderers.xtuner import library as xtuner_library
from tests import xtuner
from tests.systems import embedded_tokenizer
from tests.web_ui import Make


@pytest.fixture(scope="session")
def embedded() -> Tokenizer:
    return embedded_tokenizer()


@pytest.fixture
def web_ui(embedded: Tokenizer, tmp_path: Path) -> Iterator[Make]:
    """Makes renderers of scripts, over the embedded tokenizer."""
    made: list[WebUIRenderer] = []

    def build(source: str, *, system: str | None = None, stop_ids: Any = None, **options: Any) -> WebUIRenderer:
        (tmp_path / "app.py").write_text(dedent(source).lstrip("\n"), encoding="utf-8")
        table = WebUIRenderer.Options(type="web-ui", script="app.py", **options)
        context = Context(embedded, tmp_path, system=system, stop_ids=stop_ids)
        made.append(WebUIRenderer("web_ui", table, context))
        return made[-1]

    yield build
    for renderer in made:
        renderer.close()


@pytest.fixture(scope="session")
def byte_level() -> Tokenizer:
    return xtuner.tiny()


@pytest.fixture
def own_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The templates of `tests/xtuner.py` instead of the real package's file."""
    found = xtuner_library.Library("0.2.0", xtuner.TEMPLATES)
    monkeypatch.setattr("template_checks.renderers.xtuner.renderer.library", lambda version, offline: found)
