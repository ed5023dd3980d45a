"""`discover --write-job`: which streams, which file; the text and its checks are `spec/draft.py` and `spec/edit.py`."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from olake_reconcile.cli.session import Session
from olake_reconcile.errors import UsageError
from olake_reconcile.model.catalogue import Catalogue, SourceStream
from olake_reconcile.model.names import NAME


def write_drafted_job(
    session: Session,
    source: str,
    catalogue: Catalogue,
    target: str,
    globs: Sequence[str],
    destination: str | None,
    *,
    force: bool,
) -> str:
    """Write a job for the streams that `globs` name (all without any), and return its file."""
    from olake_reconcile.spec.draft import draft_job
    from olake_reconcile.spec.edit import add_file

    file, name = _file(target)
    streams = _streams(catalogue, globs)
    depth = len(PurePosixPath(file).parts) - 1
    text = draft_job(name, source, destination, streams, depth)
    cached: Mapping[str, Catalogue] = {source: catalogue}
    add_file(session.root, file, text, session.secrets, cached, session.environment, force=force)
    return file


def _file(target: str) -> tuple[str, str]:
    """Return the file below the workspace and the job's name."""
    path = PurePosixPath(target)
    if path.suffix not in (".yaml", ".yml"):
        path = PurePosixPath("jobs") / f"{target}.yaml"
    name = path.stem
    if path.is_absolute() or ".." in path.parts or path.parts[0] != "jobs" or not NAME.match(name):
        raise UsageError(
            f"'{target}' is neither the name of a job nor a file below jobs/",
            remedy="Write --write-job daily_orders, or --write-job jobs/team/daily_orders.yaml.",
        )
    return path.as_posix(), name


def _streams(catalogue: Catalogue, globs: Sequence[str]) -> list[SourceStream]:
    every = dict(sorted(catalogue.streams.items()))
    for glob in globs:
        if not any(fnmatch.fnmatchcase(str(i), glob) for i in every):
            raise UsageError(f"'{glob}' matches no stream", remedy="See them with: olake-reconcile discover")
    found = [
        s for i, s in every.items() if not globs or any(fnmatch.fnmatchcase(str(i), glob) for glob in globs)
    ]
    if not found:
        raise UsageError("the source has no streams", remedy="May its user read any? olake-reconcile check")
    return found
