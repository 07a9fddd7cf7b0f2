"""A virtual environment in which packages are really installed, and which has what this one has besides."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from importlib.metadata import entry_points
from pathlib import Path

COMMANDS = ("template-checks", "pytest")


class Environment:
    """A fresh environment in `folder` that sees the packages of the running one.

    `pip install` and `pip wheel` need no network in it: they build with the hatchling of the running environment.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.bin = folder / "bin"
        self.python = self.bin / "python"
        (packages,) = folder.glob("lib/python*/site-packages")
        # As site directories, so that editable installations in them are seen too.
        seen = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        lines = [f"import site; site.addsitedir({path!r})" for path in seen]
        (packages / "seen.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for entry in entry_points(group="console_scripts"):
            if entry.name in COMMANDS:
                call = f"import sys\nfrom {entry.module} import {entry.attr}\nsys.exit({entry.attr}())\n"
                self._write(entry.name, f"#!{self.python}\n{call}")
        self._write("pip", f'#!/bin/sh\nexec "{self.python}" -m pip "$@" --no-build-isolation --no-index\n')

    def variables(self) -> dict[str, str]:
        """Variables in which commands of this environment run."""
        return {
            "PATH": f"{self.bin}{os.pathsep}{os.environ.get('PATH', '')}",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
        }

    def install(self, folder: Path) -> None:
        """Install the package in `folder`, as `pip install` does."""
        self.run("pip", "install", "-q", str(folder), check=True)

    def run(self, *command: str, check: bool = False, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment."""
        hidden = ("PYTHONPATH", "PYTEST_", "COV_")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=folder,
            env=environment | self.variables(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=check,
        )

    def _write(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text, encoding="utf-8")
        (self.bin / name).chmod(0o755)
