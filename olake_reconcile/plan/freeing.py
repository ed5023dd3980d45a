"""Tables that change hands between jobs in one apply: the job that gives one up goes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from olake_reconcile.model.stored import Stored
from olake_reconcile.model.table import TablePlace
from olake_reconcile.plan.actions import Action
from olake_reconcile.plan.jobs import built_place, freed_place

Uses = Mapping[str, Mapping[str, int]]  # of each job the addresses of its endpoints
Waits = Mapping[str, set[str]]  # of each job those that give up a table which it is to build


def waits(actions: Iterable[Action], uses: Uses) -> dict[str, set[str]]:
    """Return which jobs have to wait for which others."""
    streams = [a for a in actions if a.address.kind == "stream"]
    givers = _givers(streams, uses)
    found: dict[str, set[str]] = {}
    for action in streams:
        giver = givers.get((_destination(uses, action.address.name), built_place(action)))
        if giver is not None and giver.address.name != action.address.name:
            found.setdefault(action.address.name, set()).add(giver.address.name)
    return found


def in_turn(jobs: Iterable[str], waiting: Waits) -> list[str]:
    """Return the jobs, each after those that it waits for, by name otherwise."""
    wanted = sorted(jobs)
    found: dict[str, None] = {}
    begun: set[str] = set()

    def add(job: str) -> None:
        if job in begun:
            return  # a circle, of which one has to be first: the next apply does the other half
        begun.add(job)
        for other in sorted(waiting.get(job, ())):
            add(other)
        found[job] = None

    for job in wanted:
        add(job)
    return [job for job in found if job in wanted]


def held_up(jobs: Iterable[str], waiting: Waits) -> set[str]:
    """Return the jobs, and all that wait for one of them."""
    found = set(jobs)
    while more := {job for job, others in waiting.items() if others & found} - found:
        found |= more
    return found


def with_places_of_other_jobs(actions: Sequence[Action], uses: Uses, stored: Stored) -> list[Action]:
    """Lift the blocks of tables that another job gives up in the same apply; it is applied first.

    Jobs that wait for each other stay blocked: one of two tables would have to be dropped before the other is free.
    """
    givers = _givers([a for a in actions if a.address.kind == "stream"], uses)
    waiting = waits(actions, uses)

    def lifted(action: Action) -> Action:
        if not any(b.code == "table-exists" for b in action.blocked):
            return action
        job, place = action.address.name, built_place(action)
        giver = givers.get((_destination(uses, job), place))
        if (
            giver is None
            or not _gives_there(giver, uses, stored)
            or giver.address.name in held_up([job], waiting)
        ):
            return action
        return action.model_copy(
            update={
                "blocked": tuple(b for b in action.blocked if b.code != "table-exists"),
                "notes": (
                    *action.notes,
                    f"table {place}, which is {giver.address.short}'s now, is cleared first",
                ),
            }
        )

    return [lifted(action) for action in actions]


def _givers(streams: Iterable[Action], uses: Uses) -> dict[tuple[str, TablePlace | None], Action]:
    return {
        (_destination(uses, a.address.name), place): a
        for a in streams
        if (place := freed_place(a)) is not None
    }


def _gives_there(giver: Action, uses: Uses, stored: Stored) -> bool:
    """Whether the table that is given up is in the destination that its job has in the files too."""
    job = stored.jobs.get(giver.address.name)
    return job is not None and f"destination.{job.spec.get('destination')}" in uses.get(job.name, {})


def _destination(uses: Uses, job: str) -> str:
    return next((name for name in uses.get(job, {}) if name.startswith("destination.")), "")
