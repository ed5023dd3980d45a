"""Which program this is: what another one remembered is not trusted."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import olake_reconcile
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.stored import MODEL_VERSION

_PACKAGE = Path(__file__).parent.parent


@cache
def program() -> str:
    """Return a digest of the release, the version of the model, and the code that reads files, patched or not."""
    code = [
        (folder, entry.name, entry.stat().st_size, entry.stat().st_mtime_ns)
        for folder in ("spec", "model")
        for entry in os.scandir(_PACKAGE / folder)
        if entry.name.endswith(".py")
    ]
    return fingerprint([olake_reconcile.__version__, MODEL_VERSION, sorted(code)])
