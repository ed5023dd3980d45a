"""Whether the workspace's files changed since they were last read: asked every few seconds, for years."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from olake_reconcile.spec.environment import overlay_files
from olake_reconcile.spec.files import workspace_files

_Stats = dict[str, tuple[int, int, int]]


class WatchedFiles:
    """The files as they were taken last. Contents count; a file that was only touched did not change."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stats: _Stats = {}
        self._digest = b""

    def take(self) -> None:
        """Remember the files as they are now. Whoever reads them after this misses no change."""
        self._stats = self._look()
        self._digest = _digest(self._root, self._stats)

    def changed(self) -> bool:
        """Whether they are others than those taken. Reads contents only where the system tells of a change."""
        stats = self._look()
        if stats == self._stats:
            return False
        if _digest(self._root, stats) != self._digest:
            return True
        self._stats = stats
        return False

    def _look(self) -> _Stats:
        names, _ = workspace_files(self._root)
        names += overlay_files(self._root)
        stats = {}
        for name in names:
            with suppress(OSError):
                found = (self._root / name).stat()
                stats[name] = (found.st_mtime_ns, found.st_size, found.st_ino)
        return stats


def _digest(root: Path, names: Iterable[str]) -> bytes:
    digest = blake2b(digest_size=16)
    for name in sorted(names):
        digest.update(name.encode(errors="surrogateescape") + b"\0")
        with suppress(OSError):
            digest.update(blake2b((root / name).read_bytes(), digest_size=16).digest())
    return digest.digest()
