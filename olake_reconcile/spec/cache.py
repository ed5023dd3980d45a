"""The outlines of jobs in `.olake/cache`: disposable, never state (design §3).

A file is trusted only when this user wrote it, here: it is private, and it is sealed with its own inode and time of
writing, which nobody can know beforehand. So one that came with a clone, a pull request or an archive counts as absent.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from pathlib import Path

import orjson

from olake_reconcile.model.fingerprint import canonical_json
from olake_reconcile.spec.outline import Outline
from olake_reconcile.spec.text import SourceText

FILE = "workspace.json"
_KIND = b"olake-workspace-1"
_LARGEST = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileOutline:
    """The jobs of one file. `text` is the digest of the text that was read."""

    text: str
    jobs: tuple[Outline, ...]


@dataclass(frozen=True, slots=True)
class Remembered:
    """Outlines by file. `context` is the digest of all that they depend on beside their own file."""

    context: str = ""
    files: dict[str, FileOutline] = field(default_factory=dict)

    def of(self, text: SourceText) -> FileOutline | None:
        """Return what is remembered of a file, if it still says the same."""
        found = self.files.get(text.file)
        return found if found is not None and found.text == text.digest else None


def recall(folder: Path) -> Remembered:
    """Return what the cache holds; nothing when it is damaged, or not ours."""
    try:
        body = _sealed_body(folder / FILE)
        context, files = orjson.loads(body) if body is not None else ("", {})
        return Remembered(
            str(context),
            {
                name: FileOutline(text, tuple(Outline(*job) for job in jobs))
                for name, (text, jobs) in files.items()
            },
        )
    except (OSError, ValueError, TypeError, AttributeError):
        return Remembered()


def remember(folder: Path, found: Remembered) -> None:
    """Replace the cache as a whole: readers see the old one or the new one, whoever dies or writes beside us.

    A folder that cannot be written is no mistake: the next run reads the files again.
    """
    files = {name: [f.text, [astuple(job) for job in f.jobs]] for name, f in found.files.items()}
    with suppress(OSError):
        _write_sealed(folder / FILE, canonical_json([found.context, files]))


def _sealed_body(path: Path) -> bytes | None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    with open(handle, "rb") as file:
        facts = os.fstat(handle)
        ours = facts.st_uid == os.geteuid() and not facts.st_mode & 0o077
        if not (stat.S_ISREG(facts.st_mode) and ours and facts.st_size <= _LARGEST):
            return None
        seal, _, body = file.read().partition(b"\n")
    return body if seal == _seal(facts, body) else None


def _write_sealed(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # private: 0600
    try:
        with open(handle, "wb") as file:
            facts = os.fstat(handle)
            file.write(_seal(facts, body) + b"\n" + body)
            file.flush()
            os.utime(handle, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _seal(facts: os.stat_result, body: bytes) -> bytes:
    digest = hashlib.blake2b(body, digest_size=16).hexdigest().encode()
    return b" ".join([_KIND, b"%d" % facts.st_ino, b"%d" % facts.st_mtime_ns, digest])
