"""Where artefacts come from: a folder, npm, the Hugging Face Hub or ModelScope."""

from template_checks.sources.generation import load_generation_config
from template_checks.sources.loading import load_tokenizer

__all__ = ["load_generation_config", "load_tokenizer"]
