"""A full disk, however a library tells of it."""

from __future__ import annotations

import errno

from olake_reconcile.errors import OutOfSpace

_WORDS = ("no space left on device", "disk quota exceeded", "database or disk is full")


def is_full(error: BaseException | None) -> bool:
    """Whether `error`, or what it came from, is a full disk or quota."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(words in str(error).lower() for words in _WORDS):
            return True
        error = error.__cause__
    return False


def out_of_space(words: str) -> OutOfSpace:
    """Return what to tell of it; `words` are the library's."""
    return OutOfSpace(
        "the destination's disk, or that for temporary files, is full",
        why=f"{words.splitlines()[0][:300]}; what this load had written was removed, the old table is as it was.",
        remedy="Free some space. A load needs that of a second copy of the table until it has committed.",
    )
