"""The workspace as it was at a git revision, read by plumbing alone.

What a repository holds is hostile input: nothing is checked out, so no hook, filter or attribute of it runs, and
nothing is fetched. Names that would leave the folder are refused; links are made last, and whoever reads the folder
refuses those that lead out of it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from olake_reconcile.errors import ReconcileError
from olake_reconcile.spec.files import MAX_BYTES, ROOT_FILE

_FOLDERS = ("jobs/", "environments/", "policies/")
_SUFFIXES = (".yaml", ".yml")
_MOST_FILES = 50_000
_MOST_BYTES = 512 * 1024 * 1024
_SECONDS = 120

# All that git gets of our environment: secrets are none of its business. `safe.directory` may come by GIT_CONFIG_….
_PASSED = ("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "SYSTEMROOT")
_SET = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    # A partial clone would fetch what it lacks: from wherever the clone's configuration says.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit, and the folder that holds its workspace; None when it has none there."""

    commit: str
    root: Path | None


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: str
    kind: str
    id: str
    size: int
    path: str


@contextmanager
def workspace_at(root: Path, ref: str) -> Iterator[Revision]:
    """Give the workspace of `root` as `ref` has it, for as long as the context lasts.

    Raises `ReconcileError`: no git, no repository, no such commit here, objects that are missing.
    """
    top, prefix = _repository(root)
    commit = _commit(top, ref)
    with TemporaryDirectory(prefix="olake-reconcile-") as folder:
        target = Path(folder).resolve() / "workspace"
        entries = _entries(top, commit, prefix)
        if not any(e.path == ROOT_FILE for e in entries):
            yield Revision(commit, None)
            return
        _lay_out(top, entries, target)
        yield Revision(commit, target)


def _repository(root: Path) -> tuple[Path, str]:
    top, prefix = _git(root, "rev-parse --show-toplevel --show-prefix").decode().split("\n")[:2]
    return Path(top), prefix.rstrip("/")


def _commit(top: Path, ref: str) -> str:
    if not ref or ref.startswith("-") or not ref.isprintable():
        raise ReconcileError(f"{ref!r} names no git revision")
    found = _run(top, "rev-parse --verify --quiet --end-of-options", f"{ref}^{{commit}}")
    if found.returncode == 0:
        return found.stdout.decode().strip()
    shallow = _git(top, "rev-parse --is-shallow-repository").strip() == b"true"
    raise ReconcileError(
        f"git knows no commit {ref} here",
        why="This clone is shallow: it has the newest commits only." if shallow else "",
        remedy="Fetch it, such as: git fetch --unshallow (in CI: `fetch-depth: 0`, or GIT_DEPTH: 0)."
        if shallow
        else "Look it up with `git log`, or fetch it: git fetch origin",
    )


def _entries(top: Path, commit: str, prefix: str) -> list[_Entry]:
    """Return the files that may make the workspace, by their path in it."""
    tree = commit
    if prefix:
        above = _listed(_git(top, "ls-tree -z -l --full-tree", commit, prefix))
        if not (above and above[0].kind == "tree"):
            return []
        tree = above[0].id
    found = [e for e in _listed(_git(top, "ls-tree -r -z -l --full-tree", tree)) if _wanted(e)]
    if len(found) > _MOST_FILES or sum(e.size for e in found if e.size <= MAX_BYTES) > _MOST_BYTES:
        raise ReconcileError(f"the workspace at {commit[:12]} is too large to be one")
    return found


def _listed(output: bytes) -> list[_Entry]:
    entries = []
    for line in output.split(b"\0")[:-1]:
        about, _, path = line.partition(b"\t")
        mode, kind, name, size = about.decode("ascii").split()
        entries.append(
            _Entry(mode, kind, name, int(size) if size != "-" else 0, path.decode(errors="surrogateescape"))
        )
    return entries


def _wanted(entry: _Entry) -> bool:
    if entry.kind != "blob":  # a submodule is another repository
        return False
    return entry.path == ROOT_FILE or (
        entry.path.startswith(_FOLDERS) and (entry.path.endswith(_SUFFIXES) or _is_link(entry))
    )


def _is_link(entry: _Entry) -> bool:
    return entry.mode == "120000"


def _lay_out(top: Path, entries: Sequence[_Entry], target: Path) -> None:
    target.mkdir()
    contents = _contents(top, [e.id for e in entries if e.size <= MAX_BYTES])
    # Links come last: no file can be written through one.
    for entry in sorted(entries, key=_is_link):
        if any(part in ("", ".", "..") for part in entry.path.split("/")):
            raise ReconcileError("the revision holds a path that leaves its folder: the tree is damaged")
        path = target / entry.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if entry.size > MAX_BYTES:
                with path.open("xb") as file:
                    file.truncate(entry.size)  # refused by its size, like any other
            elif _is_link(entry):
                path.symlink_to(os.fsdecode(contents[entry.id]))
            else:
                with path.open("xb") as file:
                    file.write(contents[entry.id])
        except (OSError, ValueError):
            raise ReconcileError(
                f"a file of the revision cannot be laid out: {ascii(entry.path)[1:-1]}"
            ) from None


def _contents(top: Path, ids: Sequence[str]) -> dict[str, bytes]:
    wanted = list(dict.fromkeys(ids))
    output = _git(top, "cat-file --batch", given="".join(f"{i}\n" for i in wanted).encode())
    found, position = {}, 0
    for name in wanted:
        end = output.index(b"\n", position)
        about = output[position:end].split()
        if len(about) != 3:
            raise _partial()
        size = int(about[2])
        found[name] = output[end + 1 : end + 1 + size]
        position = end + 1 + size + 1
    return found


def _git(folder: Path, command: str, *arguments: str, given: bytes = b"") -> bytes:
    done = _run(folder, command, *arguments, given=given)
    if done.returncode != 0:
        raise _failure(folder, done.stderr.decode(errors="replace").strip())
    return done.stdout


def _run(
    folder: Path, command: str, *arguments: str, given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    passed = {k: v for k, v in os.environ.items() if k in _PASSED or k.startswith("GIT_CONFIG")}
    try:
        return subprocess.run(
            [
                "git",
                "-c",
                "core.fsmonitor=false",
                "-c",
                "core.hooksPath=/dev/null",
                *command.split(),
                *arguments,
            ],
            cwd=folder,
            env=passed | _SET,
            input=given,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise ReconcileError(
            "git is not installed, and a revision cannot be read without it",
            remedy="Install git, or plan against an exported state: --state-from FILE",
        ) from None
    except subprocess.TimeoutExpired:
        raise ReconcileError(f"git did not answer within {_SECONDS} s") from None


def _partial() -> ReconcileError:
    return ReconcileError(
        "git lacks objects of the revision",
        why="The clone is partial (`--filter`), and nothing is fetched for a plan.",
        remedy="Fetch all of it: git fetch --refetch --no-filter origin",
    )


def _failure(folder: Path, said: str) -> ReconcileError:
    if any(words in said for words in ("lazy fetching disabled", "promisor remote", "not allowed")):
        return _partial()
    if "not a git repository" in said:
        return ReconcileError(
            "the workspace is in no git repository",
            remedy="Plan against an exported state instead: --state-from FILE",
        )
    if "dubious ownership" in said:
        return ReconcileError(
            "git does not trust this repository: it belongs to another user",
            remedy=f"If you do: git config --global --add safe.directory {folder}",
        )
    line = next(iter(said.splitlines()), "no message")
    return ReconcileError(f"git failed: {line.encode('ascii', 'backslashreplace').decode()}")
