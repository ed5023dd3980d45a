"""Who is told of what goes wrong while nobody looks, and where figures are shown: settings of the project."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from olake_reconcile.model.base import Model


class AlertKind(StrEnum):
    """What somebody can ask to be told of. The values are stored: never rename one."""

    FAILED_RUN = "failed_run"  # a job's last run failed, and no retry of it is to come
    FAILED_APPLY = "failed_apply"  # changed files cannot be applied
    BLOCKED_PLAN = "blocked_plan"  # a change waits for somebody's consent
    NEEDS_RESYNC = "needs_resync"
    QUARANTINED = "quarantined"
    STALE = "stale"  # a job's data is older than its `max_staleness`
    RECOVERED = "recovered"  # what was told before is over


class Alert(Model):
    """One place to tell, at `url` (references only), `on` what, about which jobs. Without `jobs` and `labels`: all.

    `jobs` are globs; of `labels` a job has to have every one.
    """

    url: str
    on: tuple[AlertKind, ...] = tuple(AlertKind)
    jobs: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)


class MetricsSettings(Model):
    """Where `run` shows figures: `listen` is HOST:PORT, None is nowhere; `token` is a reference."""

    listen: str | None = None
    token: str | None = None
    streams: bool = False
