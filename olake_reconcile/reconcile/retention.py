"""Old runs, journals and logs go, so that a loop of years fills no disk (design §7).

Safe to be killed anywhere and to be done by several at once: records go first, in one transaction each; a log whose run is
gone is removed by this pass or by a later one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.project import Retention
from olake_reconcile.reconcile.runlog import log_path
from olake_reconcile.reconcile.services import Services

# Whoever passes by looks at one small file; the work itself is done so often.
EVERY = timedelta(hours=6)
# A log that was begun just now may be of a run that is stored a moment later, or by another state.
GRACE = timedelta(days=1)
KEPT_APPLIES = 200
_PORTION = 500


def prune_when_due(services: Services, retention: Retention) -> int:
    """Prune unless somebody did in the last hours; return how many runs went.

    A history that cannot be pruned now (the store is busy, the disk read-only) is pruned later: nothing is raised.
    """
    marker = services.cache / "pruned"
    now = services.clock.now()
    if timedelta() <= now - _told(marker) < EVERY:
        return 0
    try:
        _tell(marker, now)
        return prune(services, retention)
    except (OSError, ReconcileError):
        return 0


def prune(services: Services, retention: Retention) -> int:
    """Remove what is older than the retention, with its logs; return how many runs went."""
    store = services.store
    before = services.clock.now() - timedelta(days=retention.days)
    gone = 0
    while ids := store.prune_runs(before, retention.runs, limit=_PORTION):
        for run_id in ids:
            log_path(services.logs, run_id).unlink(missing_ok=True)
        gone += len(ids)
    while store.prune_applies(before, KEPT_APPLIES, limit=_PORTION) == _PORTION:
        pass
    _prune_logs(services)
    return gone


def _prune_logs(services: Services) -> None:
    """Remove the logs of no run: their records went when nobody could remove the file."""
    old = dict(_old_logs(services.logs, services.clock.now() - GRACE))
    for run_id in old.keys() - services.store.known_runs(old):
        old[run_id].unlink(missing_ok=True)


def _old_logs(folder: Path, before: datetime) -> Iterator[tuple[str, Path]]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".jsonl") and entry.stat().st_mtime < before.timestamp():
                yield entry.name.removesuffix(".jsonl"), Path(entry.path)


def _told(marker: Path) -> datetime:
    try:
        return datetime.fromisoformat(marker.read_text())
    except (OSError, ValueError):
        return datetime.min.replace(tzinfo=UTC)


def _tell(marker: Path, now: datetime) -> None:
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(now.isoformat())
