"""The collector of one template-checks.toml. What it needs is imported when there is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from template_checks.pytest.state import STATE


class ChecksFile(pytest.File):
    """One configuration file."""

    def collect(self) -> Iterator[pytest.Collector]:
        """One node for each selected target."""
        from template_checks.pytest.items import collect_targets

        state = self.config.stash[STATE]
        state.files.append(self)
        yield from collect_targets(self, state)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our errors without traceback."""
        from template_checks.core.errors import TemplateChecksError

        if isinstance(excinfo.value, TemplateChecksError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)
