"""Signatures of records, made and checked by `ssh-keygen -Y`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from template_checks.core.errors import ArtefactError, UsageError

NAMESPACE = "template-checks"
"""In which a signature counts: one made for something else is refused."""


def sign(record: Path, key: Path) -> Path:
    """Sign a record with a private key (or a public one whose private half the agent holds); returns the signature.

    Raises:
        UsageError: there is no such key.
        ArtefactError: ssh-keygen is missing or refuses.
    """
    if not key.is_file():
        raise UsageError("The key to sign with does not exist.", where=str(key))
    signature = record.with_name(record.name + ".sig")
    signature.unlink(missing_ok=True)
    _run(["-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE, str(record)], str(key))
    return signature


def check(record: Path, signers: Path, identity: str) -> None:
    """Check the signature beside a record.

    Args:
        record: the record; its signature is the file beside it with `.sig`.
        signers: ssh's `allowed_signers` file: who may sign with which key.
        identity: who is said to have signed.

    Raises:
        UsageError: a file is missing.
        ArtefactError: the signature is not that of this record by this identity.
    """
    signature = record.with_name(record.name + ".sig")
    for path, what in ((signature, "signature"), (signers, "file of allowed signers")):
        if not path.is_file():
            raise UsageError(f"The {what} does not exist.", where=str(path))
    arguments = ["-Y", "verify", "-f", str(signers), "-I", identity, "-n", NAMESPACE, "-s", str(signature)]
    _run(arguments, str(record), record.read_bytes())


def _run(arguments: list[str], where: str, given: bytes | None = None) -> None:
    try:
        done = subprocess.run(["ssh-keygen", *arguments], input=given, capture_output=True, timeout=60, check=False)
    except FileNotFoundError as error:
        raise ArtefactError("ssh-keygen is not installed.", where=where, hint="it comes with OpenSSH") from error
    except subprocess.TimeoutExpired as error:
        raise ArtefactError("ssh-keygen did not end.", where=where, hint="it may wait for a passphrase") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise ArtefactError(f"ssh-keygen refuses: {said[-1] if said else done.returncode}", where=where)
