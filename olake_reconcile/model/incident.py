"""Incidents: what is wrong since when, and who was told of it.

Kept in the state, so that neither a restart nor a second loop tells anything twice.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from olake_reconcile.model.alert import AlertKind
from olake_reconcile.model.base import Model


class Incident(Model):
    """One thing that is wrong: `kind` and `address` name it. `text` and `remedy` hold names, never data or errors.

    `told` are the channels that know of it, `told_over` those that know that it is over; `over` is since when.
    """

    kind: AlertKind
    address: str
    job: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    since: datetime
    text: str
    remedy: str
    told: tuple[str, ...] = ()
    over: datetime | None = None
    told_over: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[AlertKind, str]:
        """What makes it one incident."""
        return self.kind, self.address


class Sending(Model):
    """A channel that could not be reached: how often it was tried, and when it is again."""

    tries: int
    again: datetime


class Incidents(Model):
    """All incidents that are open or not yet told to be over, and the channels that fail, by their name."""

    incidents: tuple[Incident, ...] = ()
    sendings: dict[str, Sending] = Field(default_factory=dict)
