"""The project: the workspace's own settings (design §3)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from olake_reconcile.model.alert import Alert, MetricsSettings
from olake_reconcile.model.base import Model
from olake_reconcile.model.job import Runtime
from olake_reconcile.model.window import Windows

Percent = Annotated[int, Field(ge=0, le=100)]


class Limits(Model):
    """How much may happen at once."""

    runs: Annotated[int, Field(ge=1, le=1000)] = 4
    runs_per_source: Annotated[int, Field(ge=1, le=1000)] = 2
    rebuilds: Annotated[int, Field(ge=1, le=1000)] = 2


class Safety(Model):
    """What an apply may do before somebody has to say so. Percentages count streams, from 10 streams on."""

    max_rebuilds_percent: Percent = 30
    max_deletes_percent: Percent = 10
    prune: bool = False
    auto_rebuild: bool = False
    self_heal: bool = False
    self_heal_rebuild: bool = False
    keep_cleared: int = 0  # seconds


class Retention(Model):
    """How long the history lasts: a run stays while it is one of the latest `runs` of its job or younger than `days`."""

    runs: Annotated[int, Field(ge=1, le=100_000)] = 100
    days: Annotated[int, Field(ge=1, le=3650)] = 14


class Project(Model):
    """A workspace's name, identity, state store and limits. `state` may hold references."""

    name: str
    uid: str
    environment: str = "default"  # which one the files were read for
    state: dict[str, Any] = Field(default_factory=lambda: {"url": "sqlite:///.olake/state.db"})
    runtime: Runtime = Runtime.EMBEDDED
    limits: Limits = Limits()
    safety: Safety = Safety()
    windows: Windows = Windows()  # beside those of each job
    retention: Retention = Retention()
    alerts: tuple[Alert, ...] = ()
    metrics: MetricsSettings = MetricsSettings()
    catalog_max_age: int = 3600  # seconds
