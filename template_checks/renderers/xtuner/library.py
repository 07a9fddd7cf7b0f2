"""XTuner's own prompt templates, read from its source with `ast`: nothing is imported, nothing is executed.

`xtuner/utils/templates.py` holds `PROMPT_TEMPLATE`, one `ConfigDict(name=dict(...), ...)` literal. It is read
from the installed package if there is one, else from the wheel, which pip fetches once.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from template_checks.core.errors import ArtefactError, UsageError
from template_checks.core.suggest import did_you_mean
from template_checks.renderers.xtuner.literals import UnreadableError, dict_items
from template_checks.renderers.xtuner.templates import PromptTemplate, prompt_template
from template_checks.sources.cache import fetch_once

FILE = "xtuner/utils/templates.py"
MIRRORED_VERSION = "0.2.0"
"""The version whose `template_map_fn` and `encode_fn` are mirrored."""

_WITHOUT_NETWORK = (
    "install xtuner in this environment, or give the template itself: "
    'template = { INSTRUCTION = "…{input}…", SYSTEM = "…{system}…", … }'
)


@dataclass(frozen=True)
class Library:
    """The text of one XTuner's `templates.py` and the templates in it."""

    version: str
    text: str

    def names(self) -> list[str]:
        """Names of all templates, in the order of the file."""
        return list(self._nodes())

    def get(self, name: str, *, place: str) -> PromptTemplate:
        """One template.

        Args:
            name: a key of `PROMPT_TEMPLATE`.
            place: where the name was given, for messages.

        Raises:
            UsageError: no such template.
            ArtefactError: the file is not the one literal it is in XTuner 0.2.0.
        """
        nodes = self._nodes()
        if name not in nodes:
            raise UsageError(
                f"XTuner {self.version} has no prompt template {name!r}.",
                where=place,
                hint=f"{did_you_mean(name, nodes)} XTuner has: {', '.join(nodes)}".lstrip(),
            )
        try:
            values, lines = dict_items(nodes[name], {})
        except UnreadableError as error:
            raise self._unreadable(error.line) from error
        where = {key: f"{FILE}:{line}" for key, line in lines.items()}
        return prompt_template(name, values, where, place=f"{FILE}:{nodes[name].lineno}", strict=False)

    def _nodes(self) -> dict[str, ast.expr]:
        try:
            tree = ast.parse(self.text)
        except SyntaxError as error:
            raise self._unreadable(error.lineno or 0) from error
        for statement in tree.body:
            if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
                continue
            targets = [target.id for target in statement.targets if isinstance(target, ast.Name)]
            if "PROMPT_TEMPLATE" in targets:
                return {keyword.arg: keyword.value for keyword in statement.value.keywords if keyword.arg}
        raise self._unreadable(0)

    def _unreadable(self, line: int) -> ArtefactError:
        return ArtefactError(
            f"The prompt templates of XTuner {self.version} cannot be read: "
            "PROMPT_TEMPLATE is not one ConfigDict(name=dict(...)) literal.",
            where=f"{FILE}:{line}" if line else FILE,
            hint="give the template itself: template = { INSTRUCTION = …, … }",
        )


def library(version: str | None = None, *, offline: bool = False) -> Library:
    """The installed XTuner's templates, else those of the wheel.

    Args:
        version: wanted version; None takes what is installed, else 0.2.0.
        offline: take what is installed or was fetched before, and nothing else.

    Raises:
        ArtefactError: not installed and not to be had through pip.
    """
    found = _installed()
    if found is not None and version in (None, found.version):
        return found
    wanted = version or MIRRORED_VERSION
    with zipfile.ZipFile(wheel(wanted, offline=offline)) as archive:
        try:
            return Library(wanted, archive.read(FILE).decode("utf-8"))
        except KeyError as error:
            raise ArtefactError(
                f"The wheel of XTuner {wanted} has no {FILE}.",
                where=f"xtuner=={wanted}",
                hint=f"prompt templates are known to be there in {MIRRORED_VERSION}",
            ) from error


def _installed() -> Library | None:
    try:
        # A top-level name: found without importing the package, hence without torch.
        spec = importlib.util.find_spec("xtuner")
        version = importlib.metadata.version("xtuner")
    except (ImportError, ValueError, importlib.metadata.PackageNotFoundError):
        return None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, "utils", "templates.py")
        if path.is_file():
            return Library(version, path.read_text(encoding="utf-8"))
    return None


def wheel(version: str = MIRRORED_VERSION, *, offline: bool = False) -> Path:
    """XTuner's wheel, fetched once through pip with the user's own pip configuration; never installed.

    Raises:
        ArtefactError: pip is missing or does not get it, or it would have to be fetched while offline.
    """

    def fetch(folder: Path) -> None:
        if offline:
            raise ArtefactError(
                f"XTuner {version} was not fetched before, and nothing may be fetched now.",
                where=f"xtuner=={version}",
                hint=f"run once without offline; or {_WITHOUT_NETWORK}",
            )
        _download(version, folder)

    folder = fetch_once(f"xtuner/{version}", fetch, what=f"XTuner {version}")
    return next(folder.glob("xtuner-*.whl"))


def _download(version: str, folder: Path) -> None:
    requirement = f"xtuner=={version}"
    command = [sys.executable, "-m", "pip", "download", requirement, "--dest", str(folder)]
    # Wheels only: building a source distribution would run its code. One retry: without network, fail soon.
    command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--quiet", "--no-input"]
    command += ["--retries=1", "--disable-pip-version-check"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ArtefactError(
            f"pip did not fetch {requirement}: {error}.", where="pip download", hint=_WITHOUT_NETWORK
        ) from error
    if result.returncode != 0 or not list(folder.glob("xtuner-*.whl")):
        raise ArtefactError(
            f"pip did not fetch {requirement}: {_reason(result.stderr)}.",
            where="pip download",
            hint=_WITHOUT_NETWORK,
        )


def _reason(stderr: str) -> str:
    """pip's last error line; it says `no matching distribution` as well where it reached no index at all."""
    if "connection broken" in stderr:
        return "the package index cannot be reached"
    lines = [line for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["no wheel came back"]
    return errors[-1].removeprefix("ERROR: ").rstrip(".")
