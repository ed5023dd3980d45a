"""The only writer of workspace files: as a whole or not at all, with the mode that a file had."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def write_whole(path: Path, content: str, *, replace: bool) -> None:
    """Write a file; a reader sees the old content or the new one. A link's target is written, its mode stays.

    Without `replace` a file that is there is left alone. Raises `FileExistsError`, `OSError`.
    """
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(content)
            os.fchmod(handle, _mode(target))
            file.flush()
            os.fsync(handle)
        if replace:
            os.replace(temporary, target)
        else:
            os.link(temporary, target)  # unlike a rename, it fails where somebody was faster
            os.unlink(temporary)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int:
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
