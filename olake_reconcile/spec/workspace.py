"""A workspace's files as `Desired`: read, parse, check, merge; all mistakes of all files in one pass."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from olake_reconcile.diagnostics import Diagnostic
from olake_reconcile.model.catalogue import Catalogue
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.project import Project
from olake_reconcile.secrets import Secrets
from olake_reconcile.spec.assemble import assemble
from olake_reconcile.spec.cache import Remembered, recall, remember
from olake_reconcile.spec.files import find_root
from olake_reconcile.spec.reader import read_documents
from olake_reconcile.spec.report import Report

__all__ = ["Workspace", "find_root", "load_workspace"]


@dataclass(frozen=True)
class Workspace:
    """What the files say. `desired` is None when there are errors; `diagnostics` are in order.

    `project` is there whenever olake.yaml itself is usable: what was applied runs on while a job is mended.
    """

    desired: Desired | None
    diagnostics: tuple[Diagnostic, ...]
    project: Project | None = None


def load_workspace(
    root: Path,
    secrets: Secrets,
    catalogues: Mapping[str, Catalogue],
    *,
    checked_note: bool = True,
    cache: Path | None = None,
) -> Workspace:
    """Read the workspace at `root`; never raises for what its files hold.

    Streams and columns are checked against `catalogues` (by source name); a source that has none there is
    noted unless `checked_note` is false. Files that the folder `cache` remembers are not read again, and
    what is returned is the same with it as without.
    """
    report = Report()
    known = recall(cache) if cache else Remembered()
    with _without_collections():
        files = read_documents(root, secrets, report, lambda text: known.of(text) is not None)
        desired, now_known = assemble(
            files, catalogues, secrets, report, checked_note=checked_note, remembered=known
        )
        if cache and now_known != known:
            remember(cache, now_known)
    diagnostics = report.finish(files.texts)
    project = desired.project if desired else None
    return Workspace(None if report.has_errors else desired, diagnostics, project)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Hold the cyclic collector back: parsing makes a million objects and no cycle, and it would walk them all."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
