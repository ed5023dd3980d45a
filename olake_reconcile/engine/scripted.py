"""An engine whose world is one JSON file: for tests, also of other processes, and for killing.

It passes the same contract suite as the embedded engine. The world says what sources offer and which calls
fail; tables hold the settings they were loaded with, so that a test can see what a load would have made.
"""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from olake_reconcile.engine.base import (
    Cancelled,
    Checked,
    ClearTicket,
    Emit,
    MaintenanceRequest,
    OpenDestination,
    OpenSource,
    StreamTask,
    SyncRequest,
)
from olake_reconcile.errors import Blocked, ReconcileError, Unreachable
from olake_reconcile.model.catalogue import Catalogue, Kind, SourceColumn, SourceStream
from olake_reconcile.model.event import (
    Progress,
    StreamCancelled,
    StreamCheckpoint,
    StreamCommitted,
    StreamFailed,
    StreamStarted,
)
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stored import StreamPhase, completed
from olake_reconcile.model.stream import SyncMode, canonical_stream
from olake_reconcile.model.table import (
    Owner,
    TableAbsent,
    TableFacts,
    TablePlace,
    TableStatus,
    TableTrace,
    TableUnknown,
)

_BYTES_PER_ROW = 100


class ScriptedEngine:
    """Moves numbers instead of rows. `world` is a folder; its `world.json` is replaced as a whole.

    Several processes may share it: who changes it holds a lock on the folder's `lock`.
    """

    def __init__(self, world: Path) -> None:
        self._path = world / "world.json"
        self._lock = world / "lock"

    # The world, for tests

    def read(self) -> dict[str, Any]:
        """Return the world.

        `sources` (stream → rows), `tables`, `failures` (stream, or place for its clear → text), `answers_lost` (streams), `unreachable` (addresses),
        `identities` (address → what its server says it is, instead of where it was looked for), `broken` (stream → why it cannot go on), `outages`
        (stream → how many loads of it fail before one goes well), `held_up` (streams
        whose load, at once or `<stream> after <rows>`, and places whose clear, hangs until it is taken off the list), `clears` (each table that was
        cleared, as it was, with its place).
        """
        empty: dict[str, Any] = {
            "sources": {},
            "tables": {},
            "failures": {},
            "answers_lost": [],
            "unreachable": [],
            "identities": {},
            "outages": {},
            "broken": {},
            "held_up": [],
            "loads": 0,
            "clears": [],
        }
        return empty | (json.loads(self._path.read_text()) if self._path.exists() else {})

    def write(self, world: Mapping[str, Any]) -> None:
        """Replace the world."""
        with self.changing() as current:
            current.clear()
            current.update(world)

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """Give the world to one process at a time; it is stored as it was changed."""
        with self._lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            world = self.read()
            yield world
            self._replace(world)

    def _replace(self, world: Mapping[str, Any]) -> None:
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps(world, indent=1, sort_keys=True))
        temporary.replace(self._path)

    # The port

    def check_source(self, source: OpenSource) -> Checked:
        """Connect, and say what the server is."""
        address = f"source.{source.name}"
        self._reach(address)
        place = f"{source.config.host}/{source.config.database}"
        return Checked(identity=self._identity(address, place), description="scripted source")

    def check_destination(self, destination: OpenDestination) -> Checked:
        """Connect, and say what the catalog is."""
        address = f"destination.{destination.name}"
        self._reach(address)
        identity = self._identity(address, destination.config.jdbc_url)
        return Checked(identity=identity, description="scripted destination")

    def discover(self, source: OpenSource) -> Catalogue:
        """Return every stream of the world."""
        identity = self.check_source(source).identity
        streams = {StreamId.parse(name): int(rows) for name, rows in self.read()["sources"].items()}
        return Catalogue(
            identity=identity, streams={i: _source_stream(i, rows) for i, rows in streams.items()}
        )

    def observe(
        self, destination: OpenDestination, places: Sequence[TablePlace]
    ) -> Mapping[TablePlace, TableStatus]:
        """Return what the world knows of each place."""
        self._reach(f"destination.{destination.name}")
        tables = self.read()["tables"]
        return {place: _status(tables.get(str(place))) for place in places}

    def missing(self, destination: OpenDestination, places: Sequence[TablePlace]) -> frozenset[TablePlace]:
        """Return those of `places` where the world has no table."""
        self._reach(f"destination.{destination.name}")
        tables = self.read()["tables"]
        return frozenset(place for place in places if str(place) not in tables)

    def sync(self, request: SyncRequest, emit: Emit, cancelled: Cancelled) -> None:
        """Load every task's stream, one after the other."""
        for task in request.tasks:
            stream = task.stream.id
            if cancelled():
                emit(StreamCancelled(stream=stream))
                continue
            self._load(request, task, emit, cancelled)

    def _load(self, request: SyncRequest, task: StreamTask, emit: Emit, cancelled: Cancelled) -> None:
        world, stream = self.read(), task.stream.id
        if f"source.{request.source.name}" in world["unreachable"]:
            emit(
                StreamFailed(stream=stream, summary="source unreachable", remedy="Start it.", retryable=True)
            )
            return
        if world["outages"].get(str(stream)):
            with self.changing() as changed:
                changed["outages"][str(stream)] -= 1
            emit(StreamFailed(stream=stream, summary="connection lost", remedy="Wait.", retryable=True))
            return
        if text := world["broken"].get(str(stream)):
            emit(StreamFailed(stream=stream, summary=text, becomes=StreamPhase.QUARANTINED))
            return
        if text := world["failures"].get(str(stream)):
            emit(StreamFailed(stream=stream, summary=text))
            return
        before = world["tables"].get(str(task.place))
        if before is not None and not _same_stream(before.get("owner"), task.owner):
            emit(StreamFailed(stream=stream, summary=f"table {task.place} is not ours"))
            return
        if before is None and completed(task.position):
            text = f"the table {task.place} is gone"
            emit(StreamFailed(stream=stream, summary=text, becomes=StreamPhase.NEEDS_RESYNC))
            return
        if str(stream) not in world["sources"]:
            emit(StreamFailed(stream=stream, summary=f"the source has no {stream}"))
            return
        rows = int(world["sources"][str(stream)])
        steps = _steps(task, before, rows)
        emit(StreamStarted(stream=stream, chunks=max(1, len(steps)), rows=rows))
        done = (before or {}).get("position", {}).get("rows", 0) if _by_cursor(task) else 0
        began, snapshot = done, (before or {}).get("snapshot")
        for number, upto in enumerate(steps, start=1):
            waiting = (str(stream), f"{stream} after {done}")
            while any(map(self._is_held_up, waiting)) and not cancelled():
                pass
            if cancelled():
                emit(StreamCancelled(stream=stream))
                return
            if str(stream) in world["answers_lost"]:
                emit(StreamFailed(stream=stream, summary="the commit's answer was lost", unsure=True))
                return
            snapshot = self._commit(
                task, upto - done if _by_cursor(task) else None, upto, last=number == len(steps)
            )
            done = upto
            size = (done - began) * _BYTES_PER_ROW
            emit(Progress(stream=stream, rows=done - began, bytes=size, chunks=number))
            if number < len(steps):
                position = _position(task, upto, last=False)
                emit(
                    StreamCheckpoint(
                        stream=stream, rows=done - began, bytes=size, snapshot=snapshot, position=position
                    )
                )
        read = done - began
        emit(
            StreamCommitted(
                stream=stream,
                rows=read,
                bytes=read * _BYTES_PER_ROW,
                files=min(read, 1),
                seconds=read / 1000,
                snapshot=snapshot or "",
                position=_position(task, done, last=True),
            )
        )

    def _commit(self, task: StreamTask, more: int | None, upto: int, *, last: bool) -> str:
        """Add `more` rows to the table, or (None) replace them by those up to `upto`; return the snapshot."""
        with self.changing() as world:
            world["loads"] += 1
            snapshot = str(world["loads"])
            before = world["tables"].get(str(task.place))
            world["tables"][str(task.place)] = {
                # A load replaces what a table holds, not the table.
                "born": before.get("born", before["snapshot"]) if before else snapshot,
                "owner": task.owner.model_dump(),
                "rows": upto if more is None else more + (before["rows"] if before else 0),
                "settings": canonical_stream(task.stream),
                "snapshot": snapshot,
                **({"position": _position(task, upto, last=last)} if _by_cursor(task) else {}),
            }
        return snapshot

    def maintain(self, request: MaintenanceRequest, emit: Emit, cancelled: Cancelled) -> None:
        """Note for every table that it was maintained."""
        for task in request.tasks:
            held_up = f"maintenance of {task.place}"
            while self._is_held_up(held_up) and not cancelled():
                pass
            if cancelled():
                emit(StreamCancelled(stream=task.stream))
                continue
            with self.changing() as world:
                table = world["tables"].get(str(task.place))
                ours = table is None or _same_stream(table.get("owner"), task.owner)
                failure = world["failures"].get(held_up) if ours else f"table {task.place} is not ours"
                if table is not None and failure is None:
                    table["maintained"] = table.get("maintained", 0) + 1
            if failure is not None:
                emit(StreamFailed(stream=task.stream, summary=failure))
                continue
            snapshot = str((table or {}).get("snapshot", ""))
            emit(StreamCommitted(stream=task.stream, rows=0, bytes=0, files=0, seconds=0, snapshot=snapshot))

    def adopt(self, destination: OpenDestination, place: TablePlace, owner: Owner) -> None:
        """Make the table at `place` that of `owner`."""
        self._reach(f"destination.{destination.name}")
        with self.changing() as world:
            table = world["tables"].get(str(place))
            if table is None:
                raise ReconcileError(f"there is no table {place} to adopt", remedy="Make the plan again.")
            table["owner"] = owner.model_dump()

    def heal(self, destination: OpenDestination, place: TablePlace, owner: Owner) -> None:
        """Write the marks of `owner` again."""
        self._reach(f"destination.{destination.name}")
        with self.changing() as world:
            table = world["tables"].get(str(place))
            if table is None:
                raise ReconcileError(f"there is no table {place} to heal", remedy="See drift.")
            ours = _same_stream(table["owner"], owner) if table.get("owner") else "trace" in table
            if not ours:
                raise Blocked(f"table {place} is not ours", remedy="Find out whose it is.")
            table["owner"] = owner.model_dump()
            table.get("trace", {}).pop("settings", None)

    def prepare_clear(self, destination: OpenDestination, place: TablePlace, owner: Owner) -> ClearTicket:
        """Look up what clearing `place` would delete."""
        self._reach(f"destination.{destination.name}")
        table = self.read()["tables"].get(str(place))
        if table is None:
            return ClearTicket(place=place, metadata=None)
        if not _same_stream(table.get("owner"), owner):
            raise Blocked(f"table {place} is not ours", remedy="Drop it by hand if it may go.")
        return ClearTicket(place=place, metadata=_born(table))

    def clear(self, destination: OpenDestination, ticket: ClearTicket) -> None:
        """Remove the table of the ticket, if it is still that one."""
        self._reach(f"destination.{destination.name}")
        while self._is_held_up(str(ticket.place)):
            pass
        if text := self.read()["failures"].get(str(ticket.place)):
            raise Unreachable(text)
        with self.changing() as world:
            table = world["tables"].get(str(ticket.place))
            if table is not None and _born(table) == ticket.metadata:
                del world["tables"][str(ticket.place)]
                world["clears"].append({"place": str(ticket.place), **table})

    def _identity(self, address: str, place: str) -> str:
        return str(self.read()["identities"].get(address, place))

    def _is_held_up(self, what: str) -> bool:
        """Whether the world keeps `what` waiting; looks again every 20 ms."""
        held_up = what in self.read()["held_up"]
        if held_up:
            threading.Event().wait(0.02)
        return held_up

    def _reach(self, address: str) -> None:
        if address in self.read()["unreachable"]:
            raise Unreachable("the server does not answer", remedy="Start it, or check the network.")


def _by_cursor(task: StreamTask) -> bool:
    return task.stream.sync_mode is SyncMode.INCREMENTAL


def _steps(task: StreamTask, table: Any, rows: int) -> list[int]:
    """Return after which rows there is a commit: a first load by cursor has a checkpoint in its middle."""
    if not _by_cursor(task):
        return [rows]
    if table is None or "position" not in table:
        return [rows // 2, rows] if rows > 1 else [rows]
    return [rows] if rows > table["position"]["rows"] else []


def _position(task: StreamTask, rows: int, *, last: bool) -> dict[str, Any]:
    if not _by_cursor(task):
        return {}
    return {"rows": rows} if last else {"rows": rows, "backfill": True}


def _source_stream(stream_id: StreamId, rows: int) -> SourceStream:
    columns = (
        SourceColumn(name="id", type="bigint", kind=Kind.LONG, nullable=False),
        SourceColumn(name="name", type="text", kind=Kind.STRING),
        SourceColumn(name="at", type="timestamp with time zone", kind=Kind.TIMESTAMPTZ),
    )
    return SourceStream(
        id=stream_id,
        relation="table",
        columns=columns,
        primary_key=("id",),
        rows=rows,
        bytes=rows * _BYTES_PER_ROW,
    )


def _same_stream(found: Any, owner: Owner) -> bool:
    if found is None:
        return False
    return all(found[key] == getattr(owner, key) for key in ("project", "environment", "stream"))


def _born(table: Any) -> str:
    return str(table.get("born", table["snapshot"]))


def _status(table: Any) -> TableStatus:
    if table is None:
        return TableAbsent()
    if table.get("damaged"):
        return TableUnknown(reason="its metadata cannot be read")
    owner = Owner(**table["owner"]) if table.get("owner") else None
    rows = table["rows"]
    return TableFacts(
        rows=rows,
        bytes=rows * _BYTES_PER_ROW,
        files=min(rows, 1),
        owner=owner,
        snapshot=table.get("snapshot"),
        position=table.get("position"),
        trace=TableTrace(**table["trace"]) if "trace" in table else None,
    )
