"""Runs: the history, and the race between finishing and cancelling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from olake_reconcile.errors import Interrupted, ReconcileError, UsageError
from olake_reconcile.model.run import Run, RunStatus, StreamOutcome
from olake_reconcile.state.sqlite import SqliteDatabase
from olake_reconcile.state.tables import run_streams, runs

# What a run that waited was queued with, and keeps when it begins.
_OF_THE_QUEUE = ("cancel_requested", "queued_at", "due", "attempt")
_UNFINISHED = tuple(status.value for status in RunStatus if not status.is_final)


class RunTables:
    """The runs of a store."""

    _database: SqliteDatabase

    def runs(self, job: str | None = None, limit: int = 20) -> Sequence[Run]:
        """Return runs with their streams, the latest first."""
        found = sa.select(runs).order_by(runs.c.started.desc(), runs.c.id.desc()).limit(limit)
        if job is not None:
            found = found.where(runs.c.job == job)
        with self._database.read() as connection:
            return tuple(read_runs(connection, found)) if connection is not None else ()

    def run(self, run_id: str) -> Run | None:
        """Return a run; a unique beginning of its id is enough. Raises `UsageError` when several begin so."""
        begins = sa.func.substr(runs.c.id, 1, len(run_id)) == run_id
        with self._database.read() as connection:
            if connection is None or not run_id:
                return None
            found = list(read_runs(connection, sa.select(runs).where(begins).order_by(runs.c.id).limit(3)))
        exact = [run for run in found if run.id == run_id]
        if len(found) > 1 and not exact:
            several = ", ".join(run.id for run in found)
            raise UsageError(f"Several runs begin with '{run_id}': {several}", remedy="Write more of the id.")
        return next(iter(exact or found), None)

    def begin_run(self, run: Run) -> None:
        """Store a run as running or queued; a queued one may begin to run.

        Raises `Interrupted` when it ended while it waited.
        """
        row = run.model_dump(exclude={"streams", *_OF_THE_QUEUE})
        with self._database.write() as connection:
            stored = _status(connection, run.id)
            if stored is None:
                row |= {name: getattr(run, name) for name in _OF_THE_QUEUE}
                connection.execute(runs.insert().values(row | {"detail": run.detail or None}))
            elif stored == RunStatus.QUEUED:
                row["detail"] = _known(connection, run.id, run.detail)
                connection.execute(runs.update().where(runs.c.id == run.id).values(row))
            elif stored == RunStatus.CANCELED:
                raise Interrupted(f"Run {run.id} was cancelled before it began")
            else:
                raise ReconcileError(f"Run {run.id} has begun already: it is {stored}")
            for outcome in run.streams:
                _save_outcome(connection, run.id, outcome)

    def save_outcome(self, run_id: str, outcome: StreamOutcome) -> None:
        """Insert or replace one stream's outcome."""
        with self._database.write() as connection:
            if connection.scalar(sa.select(runs.c.id).where(runs.c.id == run_id)) is None:
                raise _no_run(run_id)
            _save_outcome(connection, run_id, outcome)

    def end_run(
        self,
        run_id: str,
        status: RunStatus,
        now: datetime,
        error: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> Run:
        """Set the final status if the run has none yet; return the run as it is stored now."""
        unfinished = (runs.c.id == run_id) & runs.c.status.in_(_UNFINISHED)
        with self._database.write() as connection:
            connection.execute(runs.update().where(unfinished).values(status=status, ended=now, error=error))
            if detail:
                known = _known(connection, run_id, detail)
                connection.execute(runs.update().where(runs.c.id == run_id).values(detail=known))
            stored = next(read_runs(connection, sa.select(runs).where(runs.c.id == run_id)), None)
            if stored is None:
                raise _no_run(run_id)
            return stored

    def request_cancel(self, run_id: str) -> bool:
        """Ask a queued or running run to stop; tell whether it was one."""
        if not self._database.exists():
            return False
        unfinished = (runs.c.id == run_id) & runs.c.status.in_(_UNFINISHED)
        with self._database.write() as connection:
            return bool(
                connection.execute(runs.update().where(unfinished).values(cancel_requested=True)).rowcount
            )

    def cancel_requested(self, run_id: str) -> bool:
        """Whether somebody asked the run to stop."""
        with self._database.read() as connection:
            if connection is None:
                return False
            return bool(connection.scalar(sa.select(runs.c.cancel_requested).where(runs.c.id == run_id)))


def read_runs(connection: sa.Connection, found: sa.Select[Any], *, streams: bool = True) -> Iterator[Run]:
    """Yield the runs that a query of their table finds, with the outcomes of their streams unless not wanted."""
    rows = connection.execute(found).all()
    of_runs = run_streams.c.run.in_([row.id for row in rows])
    order = run_streams.c.namespace, run_streams.c.name
    outcomes: dict[str, list[StreamOutcome]] = {row.id: [] for row in rows}
    for row in connection.execute(sa.select(run_streams).where(of_runs).order_by(*order)) if streams else ():
        outcomes[row.run].append(StreamOutcome.model_validate_json(row.record))
    for row in rows:
        yield Run.model_validate({**row._mapping, "streams": outcomes[row.id], "detail": row.detail or {}})


def _status(connection: sa.Connection, run_id: str) -> str | None:
    return connection.scalar(sa.select(runs.c.status).where(runs.c.id == run_id))


def _known(connection: sa.Connection, run_id: str, more: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is known of a run once `more` is."""
    stored = connection.scalar(sa.select(runs.c.detail).where(runs.c.id == run_id))
    return {**(stored or {}), **more} or None


def _save_outcome(connection: sa.Connection, run_id: str, outcome: StreamOutcome) -> None:
    key = {"run": run_id, "namespace": outcome.stream.namespace, "name": outcome.stream.name}
    found = sa.and_(*(run_streams.c[name] == part for name, part in key.items()))
    # Without defaults: most outcomes say that little happened, and there are millions of them.
    record = outcome.model_dump_json(exclude_defaults=True)
    changed = connection.execute(run_streams.update().where(found).values(record=record))
    if not changed.rowcount:
        connection.execute(run_streams.insert().values(record=record, **key))


def _no_run(run_id: str) -> ReconcileError:
    return ReconcileError(f"There is no run {run_id} in the state store")
