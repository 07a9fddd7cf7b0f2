"""Renderer types by name, from the entry point group `template_checks.renderers`."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from template_checks.core.errors import UsageError
from template_checks.core.suggest import did_you_mean
from template_checks.renderers.base import Renderer

GROUP = "template_checks.renderers"


@dataclass
class Catalogue:
    """Renderer types by name, loaded when first asked for."""

    _entries: dict[str, Any] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Names of all known renderer types."""
        return sorted(self._load())

    def get(self, name: str, where: str) -> type[Renderer]:
        """The renderer type `name`.

        Raises:
            UsageError: no such type; names the nearest.
        """
        entries = self._load()
        if name not in entries:
            raise UsageError(
                f"Unknown renderer type {name!r}.",
                where=where,
                hint=f"{did_you_mean(name, entries)} known types: {', '.join(self.names())}".lstrip(),
            )
        loaded: type[Renderer] = entries[name].load()
        return loaded

    def _load(self) -> dict[str, Any]:
        if not self._entries:
            self._entries = {entry.name: entry for entry in entry_points(group=GROUP)}
        return self._entries


catalogue = Catalogue()
