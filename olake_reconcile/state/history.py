"""The history of runs and applies: looked through by those who watch, and kept from growing for ever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from olake_reconcile.model.journal import ApplyStatus
from olake_reconcile.model.run import Run, RunQuery, RunStatus, RunType
from olake_reconcile.state.runs import read_runs
from olake_reconcile.state.sqlite import SqliteDatabase
from olake_reconcile.state.tables import applies, jobs, runs

_UNFINISHED = tuple(status.value for status in RunStatus if not status.is_final)
_ENDED = runs.c.status.not_in(_UNFINISHED)
_LATEST_FIRST = runs.c.started.desc(), runs.c.id.desc()


class HistoryTables:
    """What was, in a store."""

    _database: SqliteDatabase

    def find_runs(self, query: RunQuery) -> Sequence[Run]:
        """Return the runs that a query asks for, with their streams, the latest first."""
        found = sa.select(runs).order_by(*_LATEST_FIRST).limit(query.limit)
        for column, wanted in (
            (runs.c.job, query.job),
            (runs.c.status, query.status),
            (runs.c.type, query.type),
        ):
            if wanted is not None:
                found = found.where(column == str(wanted))
        if query.since is not None:
            found = found.where(runs.c.started >= query.since)
        with self._database.read() as connection:
            return tuple(read_runs(connection, found)) if connection is not None else ()

    def unfinished_runs(self) -> Sequence[Run]:
        """Return the runs that are queued or running, with their streams, the oldest first."""
        found = sa.select(runs).where(runs.c.status.in_(_UNFINISHED)).order_by(runs.c.started, runs.c.id)
        with self._database.read() as connection:
            return tuple(read_runs(connection, found)) if connection is not None else ()

    def latest_runs(self, status: RunStatus | None = None) -> Mapping[str, Run]:
        """Return the latest run of each stored job, of that status if one is given, without its streams.

        Maintenance does not count: how it went says nothing of how a job's syncs do.
        """
        # One look at the index per job: a history of 60,000 runs is not read for it.
        counts = runs.c.type != RunType.MAINTENANCE.value
        one = sa.select(runs.c.id).where(runs.c.job == jobs.c.name, counts).order_by(*_LATEST_FIRST).limit(1)
        if status is not None:
            one = one.where(runs.c.status == status)
        ids = sa.select(one.correlate(jobs).scalar_subquery().label("id")).select_from(jobs).subquery()
        found = sa.select(runs).join(ids, runs.c.id == ids.c.id)
        with self._database.read() as connection:
            if connection is None:
                return {}
            return {run.job: run for run in read_runs(connection, found, streams=False)}

    def known_runs(self, ids: Iterable[str]) -> frozenset[str]:
        """Return those of `ids` that are stored."""
        asked, known = list(ids), set[str]()
        with self._database.read() as connection:
            for start in range(0, len(asked) if connection is not None else 0, 500):
                assert connection is not None
                found = sa.select(runs.c.id).where(runs.c.id.in_(asked[start : start + 500]))
                known.update(connection.scalars(found))
        return frozenset(known)

    def prune_runs(
        self, before: datetime, keep: int, *, job: str | None = None, limit: int = 500
    ) -> Sequence[str]:
        """Remove finished runs that began before `before` and are not among the latest `keep` of their job.

        The last one that completed, of each type, stays. At most `limit` at once; returns their ids.
        """
        if not self._database.exists():
            return ()
        old = _old_runs(before, keep, job).limit(limit)
        with self._database.read() as connection:
            if connection is None or not (ids := list(connection.scalars(old))):
                return ()  # nearly always: no write lock is taken for it
        with self._database.write() as connection:
            connection.execute(runs.delete().where(runs.c.id.in_(ids), _ENDED))
        return ids

    def prune_applies(self, before: datetime, keep: int, *, limit: int = 500) -> int:
        """Remove ended applies, with their journals, that began before `before` and are not the latest `keep`.

        An apply that is unfinished stays, whatever its age. Returns how many went.
        """
        if not self._database.exists():
            return 0
        order = applies.c.started.desc(), applies.c.id.desc()
        rank = sa.func.row_number().over(order_by=order).label("rank")
        all_ = sa.select(applies.c.id, applies.c.status, applies.c.started, rank).subquery()
        ended = all_.c.status != ApplyStatus.RUNNING
        old = sa.select(all_.c.id).where(ended, all_.c.rank > keep, all_.c.started < before).limit(limit)
        with self._database.read() as connection:
            if connection is None or not (ids := list(connection.scalars(old))):
                return 0
        with self._database.write() as connection:
            gone = applies.c.id.in_(ids) & (applies.c.status != ApplyStatus.RUNNING)
            return connection.execute(applies.delete().where(gone)).rowcount


def _old_runs(before: datetime, keep: int, job: str | None) -> sa.Select[Any]:
    """Return what finds the runs that may go. Each job's edge is one look at the index; only what is past it is read."""
    names = sa.select(runs.c.job).distinct()
    if job is not None:
        names = names.where(runs.c.job == job)
    named, ranked, later = names.subquery(), runs.alias(), runs.alias()
    edge = (
        sa.select(ranked.c.started)
        .where(ranked.c.job == named.c.job)
        .order_by(ranked.c.started.desc(), ranked.c.id.desc())
        .limit(1)
        .offset(max(1, keep) - 1)
        .correlate(named)
        .scalar_subquery()
    )
    edges = sa.select(named.c.job, edge.label("edge")).subquery()
    better = sa.exists().where(
        later.c.job == runs.c.job,
        later.c.type == runs.c.type,
        later.c.status == RunStatus.COMPLETED,
        later.c.started > runs.c.started,
    )
    return (
        sa.select(runs.c.id)
        .join(edges, edges.c.job == runs.c.job)
        .where(_ENDED, runs.c.started < before, runs.c.started < edges.c.edge)
        .where((runs.c.status != RunStatus.COMPLETED) | better)
        .order_by(runs.c.started)
    )
