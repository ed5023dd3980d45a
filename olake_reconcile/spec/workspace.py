"""A workspace's files as `Desired`: read, parse, check, merge; all mistakes of all files in one pass."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from olake_reconcile.diagnostics import Diagnostic
from olake_reconcile.model.catalogue import Catalogue
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.project import Project
from olake_reconcile.secrets import Secrets
from olake_reconcile.spec.assemble import assemble
from olake_reconcile.spec.cache import Remembered, recall, remember
from olake_reconcile.spec.environment import Environment
from olake_reconcile.spec.files import ROOT_FILE, find_root, read_text
from olake_reconcile.spec.overlay import Overlay, find_overlay, lay_over, read_variables
from olake_reconcile.spec.reader import read_documents
from olake_reconcile.spec.report import Report
from olake_reconcile.spec.text import SourceText
from olake_reconcile.spec.variables import Variables

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
    environment: Environment | None = None,
) -> Workspace:
    """Read the workspace at `root`; never raises for what its files hold.

    Streams and columns are checked against `catalogues` (by source name); a source that has none there is
    noted unless `checked_note` is false. Files that the folder `cache` remembers are not read again, and
    what is returned is the same with it as without. With an overlay or variables every file is read: what its
    jobs mean depends on both. Raises `UsageError` for a variable on the command line that is not declared.
    """
    environment = environment or Environment()
    report = Report()
    overlay, variables = _circumstances(root, environment, secrets, report)
    cache = None if overlay.text or variables else cache
    known = recall(cache) if cache else Remembered()
    with _without_collections():
        files = read_documents(root, secrets, report, lambda text: known.of(text) is not None, variables)
        lay_over(files, overlay, secrets, report)
        desired, now_known = assemble(
            files, catalogues, secrets, report, checked_note=checked_note, remembered=known
        )
        if cache and now_known != known:
            remember(cache, now_known)
    diagnostics = report.finish(files.texts)
    if desired is not None:
        of_environment = desired.project.model_copy(update={"environment": environment.name})
        desired = replace(desired, project=of_environment)
    project = desired.project if desired else None
    return Workspace(None if report.has_errors else desired, diagnostics, project)


def _circumstances(
    root: Path, environment: Environment, secrets: Secrets, report: Report
) -> tuple[Overlay, Variables]:
    """Return the overlay, and the variables with their values: both must be known before the first file is read."""
    overlay = find_overlay(root, environment, report)
    text = read_text(root, ROOT_FILE)
    declared = text if isinstance(text, SourceText) and "variables" in text.text else None
    return overlay, read_variables(declared, overlay, secrets, report)


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
