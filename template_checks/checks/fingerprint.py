"""Fingerprints: eight hexadecimal digits that name the same defect in every run and on every machine."""

from __future__ import annotations

import hashlib
import json

from template_checks.checks.base import Mismatch


def fingerprint(check: str, renderer: str | None, mismatch: Mismatch) -> str:
    """From check, renderer, cause and detail.

    Neither the conversation nor the purpose nor the target's name: one defect has one fingerprint wherever it shows.
    """
    parts = [check, renderer or "", mismatch.cause.value, *mismatch.detail]
    data = json.dumps(parts, ensure_ascii=True)
    return hashlib.sha256(data.encode()).hexdigest()[:8]
