"""The blast radius: what a clear takes with it that no reload brings back, and who else feels it (design §5)."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from olake_reconcile.model.base import Model
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.model.stream import DeleteMode, SyncMode, WriteMode
from olake_reconcile.model.table import TableFacts
from olake_reconcile.plan.actions import Action, Impact, Loss, Rebuild, Remove, Update, is_clear
from olake_reconcile.plan.context import Context

LONG_LOAD = 3600  # seconds: a snapshot held longer keeps the source's vacuum or purge from cleaning up

_LOG_MODES = (SyncMode.CDC.value, SyncMode.STRICT_CDC.value)


class Cost(Model):
    """What all clears of a plan cost together. Sums are of what is known; `…_unknown` count the tables left out.

    `seconds` is the time until the last table is full again when `rebuilds_at_once` of them load at a time.
    """

    tables: int = 0
    rows: int = 0
    rows_unknown: int = 0
    bytes: int = 0
    bytes_unknown: int = 0
    seconds: int = 0
    seconds_unknown: int = 0
    long_loads: int = 0
    rebuilds_at_once: int = 2


def with_radius(context: Context, actions: Sequence[Action]) -> list[Action]:
    """Return the actions, the clears with what they lose and whom they touch, edits with what stays behind."""
    shares: Callable[[Address], tuple[str, ...]] | None = None
    found: list[Action] = []
    for action in actions:
        match action:
            case Rebuild() | Remove() if is_clear(action):
                shares = shares or partial(_shares, context, _users(context))
                deleted = _soft_deleted(context, action)
                impact = action.impact.model_copy(
                    update={
                        "loses": tuple(
                            x for x in losses(action) if deleted != 0 or x is not Loss.SOFT_DELETED
                        ),
                        "soft_deleted": deleted,
                        "shared_with": shares(action.address),
                    }
                )
                found.append(action.model_copy(update={"impact": impact}))
            case Update() if action.address.kind == "stream":
                found.append(_with_columns(context, action))
            case _:
                found.append(action)
    return found


def losses(action: Rebuild | Remove) -> tuple[Loss, ...]:
    """Return the history that the table holds and the source can no longer give back."""
    before = action.before
    mode = before.get("sync_mode")
    if mode == SyncMode.FULL_REFRESH.value:
        return ()  # each load replaces the table: it holds nothing older
    lost = []
    if before.get("write_mode") == WriteMode.APPEND.value:
        lost.append(Loss.ROW_VERSIONS)
    if mode in _LOG_MODES and before.get("delete_mode") != DeleteMode.HARD.value:
        lost.append(Loss.SOFT_DELETED)
    if isinstance(action, Rebuild) and action.after.get("sync_mode") == SyncMode.STRICT_CDC.value:
        lost.append(Loss.BEFORE_THE_LOG)
    return tuple(lost)


def _soft_deleted(context: Context, action: Rebuild | Remove) -> int | None:
    if Loss.SOFT_DELETED not in losses(action) or action.old is None:
        return 0
    destination = context.stored.jobs[action.address.name].spec.get("destination")
    status = context.observed.tables.get((str(destination), action.old))
    return status.soft_deleted if isinstance(status, TableFacts) else None


def cost_of(actions: Sequence[Action], rebuilds_at_once: int) -> Cost:
    """Add up what the clears cost."""
    clears = [a for a in actions if isinstance(a, Rebuild | Remove) and is_clear(a)]
    impacts = [a.impact for a in clears]
    # An empty table takes no time, whatever the last load took.
    loads = [0 if a.impact.rows == 0 else a.impact.seconds for a in clears if isinstance(a, Rebuild)]
    known = [seconds for seconds in loads if seconds is not None]
    return Cost(
        tables=len(clears),
        rows=sum(i.rows or 0 for i in impacts),
        rows_unknown=sum(i.rows is None for i in impacts),
        bytes=sum(i.bytes or 0 for i in impacts),
        bytes_unknown=sum(i.bytes is None for i in impacts),
        seconds=_paced(known, rebuilds_at_once),
        seconds_unknown=len(loads) - len(known),
        long_loads=sum(seconds > LONG_LOAD for seconds in known),
        rebuilds_at_once=rebuilds_at_once,
    )


def _paced(loads: Sequence[int], at_once: int) -> int:
    """Return when the last load ends, each beginning as soon as one of `at_once` places is free."""
    ends = [0] * at_once
    for seconds in loads:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


def is_long(impact: Impact) -> bool:
    """Whether the load holds a snapshot of the source for so long that it hurts there."""
    return impact.seconds is not None and impact.seconds > LONG_LOAD


def _with_columns(context: Context, action: Update) -> Action:
    """Name the columns that stop being replicated while their old values stay."""
    stream = _stored(context, action.address)
    before, after = (spec.get("columns") or {} for spec in (action.before, action.after))
    gone = sorted(set(after.get("exclude", ())) - set(before.get("exclude", ())))
    if "include" in before and "include" in after:
        gone = sorted(set(before["include"]) - set(after["include"]))
    if not gone or stream is None or not stream.phase.has_data:
        return action
    names = ", ".join(gone)
    stays = action.after.get("sync_mode") != SyncMode.FULL_REFRESH.value
    note = (
        f"rows loaded before keep their values of {names}: only a rebuild takes them out"
        if stays
        else f"the table keeps {names} until the next load replaces it"
    )
    return action.model_copy(update={"notes": (*action.notes, note)})


def _stored(context: Context, address: Address) -> Any:
    job = context.stored.jobs.get(address.name)
    return job.streams.get(StreamId.parse(address.stream)) if job else None


def _users(context: Context) -> Mapping[Any, set[str]]:
    """Return who reads each replication slot or consumer group (jobs), and who writes each table (streams)."""
    users: dict[Any, set[str]] = {}
    for name, job in context.stored.jobs.items():
        destination = job.spec.get("destination")
        for stream in job.streams.values():
            if stream.phase is StreamPhase.REMOVED:
                continue
            address = Address.of_stream(name, stream.id)
            users.setdefault((destination, stream.place), set()).add(address.short)
            if (slot := _slot(context, name, stream.spec)) is not None:
                users.setdefault(slot, set()).add(name)
    return users


def _shares(context: Context, users: Mapping[Any, set[str]], address: Address) -> tuple[str, ...]:
    job, stream = context.stored.jobs[address.name], _stored(context, address)
    table = users.get((job.spec.get("destination"), stream.place), set()) - {address.short}
    slot = users.get(_slot(context, address.name, stream.spec), set()) - {address.name}
    return (*sorted(table), *sorted(slot))


def _slot(context: Context, job: str, spec: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return what tells one log position holder from others; None for streams that read no log."""
    if spec.get("sync_mode") not in _LOG_MODES:
        return None
    source = context.stored.sources.get(str(context.stored.jobs[job].spec.get("source")))
    config = source.spec.get("config", {}) if source else {}
    method = config.get("update_method")
    slot = method.get("replication_slot") if isinstance(method, Mapping) else config.get("consumer_group_id")
    if not slot:
        return None
    where = (config.get("host"), config.get("port"), config.get("database"), config.get("bootstrap_servers"))
    return (*map(str, where), str(slot))
