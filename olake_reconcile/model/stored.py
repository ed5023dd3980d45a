"""Stored: what was last applied, as the state store keeps it (design §9).

Settings are kept as JSON in the file's words, with the fingerprint of their meaning and the version of
the model that wrote them. Secrets are never in here: references, and fingerprints keyed with the project's key.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from olake_reconcile.model.base import Model
from olake_reconcile.model.deferred import Deferred
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.table import TablePlace

# Raised when a canonical form changes its meaning; records of other versions are canonicalised anew.
MODEL_VERSION = 1


class StreamPhase(StrEnum):
    """Where a stream is in its life (design §7)."""

    PENDING = "pending"  # declared, nothing loaded in this generation yet
    LOADING = "loading"  # its first load has begun
    LIVE = "live"  # its table holds data that a run committed
    NEEDS_RESYNC = "needs_resync"
    QUARANTINED = "quarantined"
    HELD = "held"
    REMOVED = "removed"  # no longer in the files; remembered, so that its return means a rebuild

    @property
    def has_data(self) -> bool:
        """Whether a clear would find something: a stream that never synced is edited in place."""
        return self not in (StreamPhase.PENDING,)


def completed(position: Mapping[str, Any]) -> bool:
    """Whether a stream with `position` goes on from a first load that was completed, and so relies on its table."""
    return bool(position) and not position.get("backfill")


class LastLoad(Model):
    """What the last committed load of a stream moved: the base of the plan's estimates."""

    rows: int
    bytes: int
    seconds: float


class StoredEndpoint(Model):
    """A source or destination. `values` maps the path of each referenced value to its keyed fingerprint."""

    name: str
    uid: str
    spec: dict[str, Any]
    fingerprint: str
    model_version: int = MODEL_VERSION
    values: dict[str, str] = Field(default_factory=dict)
    identity: str | None = None
    serial: int = 0


class StoredStream(Model):
    """A stream of a stored job, removed ones included. `place` is where its table is now.

    `synced_at` is the moment whose data the table shows: when the last committed run had begun to read, not its end.
    """

    id: StreamId
    uid: str
    spec: dict[str, Any]
    fingerprint: str
    place: TablePlace
    model_version: int = MODEL_VERSION
    generation: int = 1
    phase: StreamPhase = StreamPhase.PENDING
    phase_reason: str = ""
    position: dict[str, Any] = Field(default_factory=dict)
    last_load: LastLoad | None = None
    synced_at: datetime | None = None

    @property
    def relies_on_its_table(self) -> bool:
        """Whether it goes on from a position, and so means nothing without the rows that it follows."""
        return self.phase in (StreamPhase.LIVE, StreamPhase.QUARANTINED) and completed(self.position)


class Hold(Model):
    """An operator's pause, outside git."""

    who: str
    why: str = ""
    since: datetime
    until: datetime | None = None

    def holds_at(self, moment: datetime) -> bool:
        """Whether it is still in force."""
        return self.until is None or moment < self.until


class StoredJob(Model):
    """A job with its streams. `due` is the next run that the loop owes it, None for none; `attempt` counts the runs
    that have failed for it so far, 0 where the next one is no retry.

    `serial` counts the writes of its settings: a save names the serial that it saw.
    """

    name: str
    uid: str
    spec: dict[str, Any]
    fingerprint: str
    model_version: int = MODEL_VERSION
    streams: Mapping[StreamId, StoredStream] = Field(default_factory=dict)
    due: datetime | None = None
    due_reason: str = ""
    attempt: int = 0
    hold: Hold | None = None
    serial: int = 0

    def held_at(self, moment: datetime) -> Hold | None:
        """Return the hold that is in force at `moment`."""
        return self.hold if self.hold and self.hold.holds_at(moment) else None

    @property
    def present(self) -> int:
        """How many streams it has, without those that are only remembered."""
        if isinstance(self.streams, Deferred):
            return self.streams.present
        return sum(s.phase is not StreamPhase.REMOVED for s in self.streams.values())

    @property
    def relied_on(self) -> Collection[TablePlace]:
        """The tables that positions of its streams rely on."""
        if isinstance(self.streams, Deferred):
            return self.streams.relied_on
        return [s.place for s in self.streams.values() if s.relies_on_its_table]

    @property
    def active(self) -> bool:
        """Whether its file lets it run."""
        return bool(self.spec.get("active", True))


class Stored(Model):
    """Everything that was applied. `exists` is False before the first apply: `NEW STATE` (design §5)."""

    exists: bool = False
    sources: dict[str, StoredEndpoint] = Field(default_factory=dict)
    destinations: dict[str, StoredEndpoint] = Field(default_factory=dict)
    jobs: dict[str, StoredJob] = Field(default_factory=dict)
