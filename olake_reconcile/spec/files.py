"""The only reader of workspace files: finds them, and refuses what is no honest text file inside the workspace."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from olake_reconcile.diagnostics import Diagnostic, Place, Severity
from olake_reconcile.errors import ReconcileError
from olake_reconcile.spec.text import SourceText

ROOT_FILE = "olake.yaml"
JOBS_FOLDER = "jobs"
POLICIES_FOLDER = "policies"
MAX_BYTES = 1_048_576
MAX_FOLDERS = 40  # levels

_SUFFIXES = (".yaml", ".yml")
# A lone carriage return is a line break to YAML and to nobody's editor: places would be wrong.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]|\r(?!\n)")
_MARKS = {b"\xef\xbb\xbf": "UTF-8 with a byte order mark", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def find_root(start: Path) -> Path:
    """Return the folder that holds `olake.yaml`: `start` or the nearest above. Raises `ReconcileError`."""
    here = start.resolve()
    for folder in (here, *here.parents):
        if (folder / ROOT_FILE).is_file():
            return folder
    raise ReconcileError(
        f"no {ROOT_FILE} in {start} or above it",
        why="It marks a workspace; without it there are no jobs to look at.",
        remedy="Run `olake-reconcile init` to begin one, or point at one with -C DIR.",
    )


def workspace_files(root: Path) -> tuple[list[str], list[Diagnostic]]:
    """Return the names of the files that make the workspace, `olake.yaml` first, and what was refused."""
    found: list[str] = []
    refused: list[Diagnostic] = []
    for folder in (root / JOBS_FOLDER, root / POLICIES_FOLDER):
        if folder.is_symlink() and not _inside(folder, root.resolve()):
            refused.append(_outside(folder.name))
        elif folder.is_dir():
            for name, problem in _below(folder, root, root.resolve(), frozenset(), 0):
                refused.append(problem) if problem else found.append(name)
    first = [ROOT_FILE] if (root / ROOT_FILE).exists() else []
    return first + sorted(found), refused


def _below(
    folder: Path, root: Path, real_root: Path, above: frozenset[Path], depth: int
) -> Iterator[tuple[str, Diagnostic | None]]:
    name = folder.relative_to(root).as_posix()
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError as error:
        yield name, _problem("unreadable-file", f"cannot be listed: {error.strerror}", name)
        return
    for entry in entries:
        path = folder / entry.name
        name = path.relative_to(root).as_posix()
        is_file = entry.name.endswith(_SUFFIXES)
        # Hidden entries are editors' swap files and tools' folders.
        if entry.name.startswith(".") or not (is_file or _is_folder(entry)):
            continue
        if not name.isprintable():
            yield name, _problem("unreadable-file", "the name has unprintable characters", ascii(name)[1:-1])
        elif entry.is_symlink() and not _inside(path, real_root):
            yield name, _outside(name)
        elif not _is_folder(entry):
            yield name, None
        elif (real := path.resolve()) not in above and depth < MAX_FOLDERS:
            yield from _below(path, root, real_root, above | {real}, depth + 1)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False


def _inside(path: Path, real_root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(real_root)
    except (OSError, RuntimeError):  # links in a circle
        return False


def _outside(name: str) -> Diagnostic:
    message = "the link leads out of the workspace: copy the file, or link to one inside"
    return _problem("outside-workspace", message, name)


def read_text(root: Path, name: str) -> SourceText | Diagnostic:
    """Return the text of a workspace file, or why it is refused. Reads no more than the cap."""
    if not _inside(root / name, root.resolve()):
        return _outside(name)
    try:
        data = _read_bytes(root / name)
    except OSError as error:
        return _problem("unreadable-file", f"cannot be read: {error.strerror}", name)
    if data is None:
        return _problem("unreadable-file", "not a regular file", name)
    if len(data) > MAX_BYTES:
        return _problem(
            "file-too-large", f"larger than {MAX_BYTES:,} bytes: split it into several files", name
        )
    return decode(data, name)


def _read_bytes(path: Path) -> bytes | None:
    # Without O_NONBLOCK, opening a named pipe would wait for somebody to write into it.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        return file.read(MAX_BYTES + 1)


def decode(data: bytes, name: str) -> SourceText | Diagnostic:
    """Return the text that `data` encodes, or why it is refused."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return _problem("bad-encoding", f"{encoding}: save the file as plain UTF-8", name)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        message = f"not UTF-8: byte 0x{data[error.start]:02x}"
        return _problem("bad-encoding", message, name, before)
    if control := _CONTROL.search(text):
        message = f"control character U+{ord(control.group()[0]):04X}"
        return _problem("control-character", message, name, text[: control.start()])
    return SourceText(name, text)


def _problem(code: str, message: str, name: str, before: str = "") -> Diagnostic:
    """Return an error that shows no line: what was refused here is nothing to print."""
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return Diagnostic(Severity.ERROR, code, message, Place(name, line, column))
