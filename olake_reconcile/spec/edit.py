"""What commands write into a workspace: a new one, a drafted job, formatted files. Checked first, never over what is there."""

from __future__ import annotations

import secrets as random
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from olake_reconcile.diagnostics import Diagnostic
from olake_reconcile.errors import InvalidWorkspace, ReconcileError
from olake_reconcile.model.catalogue import Catalogue
from olake_reconcile.secrets import Secrets
from olake_reconcile.spec.editor import SCHEMA_FILE, write_editor_schema
from olake_reconcile.spec.environment import FOLDER, Environment, overlay_files
from olake_reconcile.spec.files import JOBS_FOLDER, POLICIES_FOLDER, ROOT_FILE, read_text, workspace_files
from olake_reconcile.spec.format import Unformattable, formatted
from olake_reconcile.spec.starter import Answers, ignoring, starter_files
from olake_reconcile.spec.workspace import load_workspace
from olake_reconcile.spec.writing import write_whole

# -- a new workspace ---------------------------------------------------------------------------------------


def begin_workspace(root: Path, answers: Answers, secrets: Secrets) -> list[str]:
    """Write a new workspace, and return its files. Raises `InvalidWorkspace`, `ReconcileError`; then nothing is written."""
    files = starter_files(answers, random.token_hex(4))
    with tempfile.TemporaryDirectory() as folder:
        _lay_down(Path(folder), files)
        _check(Path(folder), secrets, {})
    there = [name for name in files if (root / name).exists()]
    if there:
        raise ReconcileError(
            f"{root / there[0]} is there already",
            why="Nothing is overwritten, and nothing was written.",
            remedy="Begin in another folder: olake-reconcile init FOLDER",
        )
    ignored = root / ".gitignore"
    before = ignored.read_text(encoding="utf-8") if ignored.is_file() else ""
    if (after := ignoring(before)) != before:
        write_whole(ignored, after, replace=True)
    write_editor_schema(root)
    # olake.yaml makes it a workspace: last, so that a half-written one can be begun again.
    for name, text in sorted(files.items(), key=lambda item: item[0] == ROOT_FILE):
        write_whole(root / name, text, replace=False)
    return [".gitignore", SCHEMA_FILE, *sorted(files)]


def _lay_down(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _check(
    root: Path, secrets: Secrets, catalogues: Mapping[str, Catalogue], environment: Environment | None = None
) -> tuple[Diagnostic, ...]:
    found = load_workspace(root, secrets, catalogues, checked_note=False, environment=environment)
    if found.desired is None:
        raise InvalidWorkspace(found.diagnostics)
    return found.diagnostics


# -- one file more -----------------------------------------------------------------------------------------


def add_file(
    root: Path,
    name: str,
    text: str,
    secrets: Secrets,
    catalogues: Mapping[str, Catalogue],
    environment: Environment,
    *,
    force: bool,
) -> None:
    """Write a file of the workspace if the workspace is without mistakes with it. Raises `InvalidWorkspace`, `ReconcileError`."""
    path = root / name
    if path.exists() and not force:
        raise ReconcileError(
            f"{name} is there already",
            why="It would be overwritten.",
            remedy=f"Choose another file, or add --force to replace {name}.",
        )
    with tempfile.TemporaryDirectory() as folder:
        beside = Path(folder)
        for part in (JOBS_FOLDER, POLICIES_FOLDER, FOLDER):
            if (root / part).is_dir():
                shutil.copytree(root / part, beside / part)
        shutil.copyfile(root / ROOT_FILE, beside / ROOT_FILE)
        _lay_down(beside, {name: text})
        _check(beside, secrets, catalogues, environment)
    write_whole(path, text, replace=force)


# -- the look of files -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Formatted:
    """A file's text before and after; `problem` says why there is no after."""

    before: str = ""
    after: str = ""
    problem: str = ""


def formattable_files(root: Path) -> list[str]:
    """Return the names of the files that `fmt` looks at, `olake.yaml` first."""
    return [*workspace_files(root)[0], *overlay_files(root)]


def format_file(root: Path, name: str) -> Formatted:
    """Return a file in its canonical look; nothing is written."""
    text = read_text(root, name)
    if isinstance(text, Diagnostic):
        return Formatted(problem=text.message)
    try:
        return Formatted(text.text, formatted(text.text))
    except Unformattable as error:
        return Formatted(text.text, text.text, str(error))
