"""The plan: ordered actions from stored to desired, with what they were made from.

Pure: equal inputs give equal plans, byte for byte, whatever the order of files, keys and streams.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from pydantic import Field

from olake_reconcile.model.base import Model
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.endpoint import Endpoint, show_endpoint
from olake_reconcile.model.job import show_job
from olake_reconcile.model.names import Address
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.stored import Stored, StoredEndpoint
from olake_reconcile.model.table import TablePlace
from olake_reconcile.plan.actions import (
    Action,
    Block,
    Create,
    Forget,
    Import,
    Move,
    Rebuild,
    Remove,
    Update,
    is_change,
    is_clear,
)
from olake_reconcile.plan.consent import with_consent
from olake_reconcile.plan.context import Context, Verdict
from olake_reconcile.plan.drift import DriftReport
from olake_reconcile.plan.effects import Reason
from olake_reconcile.plan.endpoints import Kind, endpoint_action, removed_endpoints, verdict_of
from olake_reconcile.plan.freeing import held_up, waits, with_places_of_other_jobs
from olake_reconcile.plan.hints import with_hints
from olake_reconcile.plan.jobs import job_actions
from olake_reconcile.plan.leaving import leaves, leaving_jobs
from olake_reconcile.plan.moves import planned_moves
from olake_reconcile.plan.narrow import Narrowed, check_replaced, narrow
from olake_reconcile.plan.options import DEFAULT_ENVIRONMENT, Options
from olake_reconcile.plan.radius import Cost, cost_of, with_radius

_ENDPOINTS = ("source", "destination")


class Unmanaged(Model):
    """A stored job that no file declares any more: it goes on syncing."""

    job: str
    streams: int


class Waiting(Model):
    """A job of which nothing is done now, and why; `until` is when a window opens, None when that is not known."""

    job: str
    code: Literal["window", "pace"]
    reason: str
    until: datetime | None = None


class Summary(Model):
    """How many resources of each fate: sources, destinations, jobs and streams count one each (design §5)."""

    add: int = 0
    change: int = 0
    rebuild: int = 0
    remove: int = 0
    destroy: int = 0
    # `import` is a keyword of Python: the document spells it so.
    import_: int = 0
    forget: int = 0
    move: int = 0


class Plan(Model):
    """What an apply would do, in this order: moves, endpoints, jobs with their streams, removed endpoints.

    `actions` holds unchanged resources only when they were asked for.
    """

    project: str
    new_state: bool
    actions: tuple[Action, ...]
    unmanaged: tuple[Unmanaged, ...] = ()
    # What moved without us, as far as somebody looked: beside the actions, and never part of the plan's hash.
    drift: DriftReport = DriftReport()
    # What the plan starts from: the state itself, an exported one, or a revision of the files as if applied.
    against: Literal["state", "export", "revision"] = "state"
    revision: str = Field("", pattern=r"^[0-9a-f]{0,64}$")
    rebuilds_at_once: int = 2  # limits.rebuilds: how many tables load at a time
    environment: str = DEFAULT_ENVIRONMENT
    # What is left for later when it is applied now; decided anew by whoever applies it.
    waiting: tuple[Waiting, ...] = ()
    # Why nothing of it may be done at all.
    blocked: tuple[Block, ...] = ()
    # What the plan was narrowed to; None: it is about everything.
    narrowed: Narrowed | None = None
    # For each touched job the serials of the endpoints that it uses, by address: what the plan was made from too.
    uses: dict[str, dict[str, int]] = Field(default_factory=dict)
    owners: dict[str, str] = Field(default_factory=dict)  # who owns each touched job, where its file says

    @property
    def changes(self) -> list[Action]:
        """The actions that do something."""
        return [a for a in self.actions if is_change(a)]

    @property
    def clears(self) -> list[Action]:
        """The actions that clear data."""
        return [a for a in self.actions if is_clear(a)]

    @property
    def cost(self) -> Cost:
        """What its clears cost together."""
        return cost_of(self.actions, self.rebuilds_at_once)

    @property
    def asked(self) -> str:
        """The options that made the plan what it is, to be given again with any consent."""
        elsewhere = [] if self.environment == DEFAULT_ENVIRONMENT else [f"--env {self.environment}"]
        replaced = [a.address.short for a in self.actions if Reason.BY_REQUEST in a.reasons]
        flags = self.narrowed.flags if self.narrowed else []
        return " ".join([*elsewhere, *flags, *(f"--replace {shlex.quote(name)}" for name in replaced)])

    @property
    def is_blocked(self) -> bool:
        """Whether something in it may not be done."""
        return bool(self.blocked) or any(a.blocked for a in self.actions)


def build_plan(desired: Desired, stored: Stored, observed: Observed, options: Options | None = None) -> Plan:
    """Return the plan that makes what is stored equal to what is desired."""
    options = options or Options()
    stored, moves = planned_moves(desired, stored, observed.identities)
    moved = {move.address: move.origin for move in moves if not move.blocked}
    context = Context(desired, stored, observed, options, moved=moved)
    context = replace(context, verdicts=_verdicts(context))
    actions: list[Action] = [*moves]
    actions += [endpoint_action(context, "source", s) for _, s in sorted(desired.sources.items())]
    actions += [endpoint_action(context, "destination", d) for _, d in sorted(desired.destinations.items())]
    for _, job in sorted(desired.jobs.items()):
        actions += job_actions(context, job)
    actions += leaving_jobs(context)
    kept = {name for name in stored.jobs if name not in desired.jobs and not leaves(context, name)}
    actions += removed_endpoints(context, "source", kept)
    actions += removed_endpoints(context, "destination", kept)
    if not options.show_all:
        actions = [a for a in actions if is_change(a)]
    check_replaced(context, actions)
    actions, narrowed = narrow(context, actions)
    # After narrowing: a table is given up only by what is in the plan.
    actions = with_places_of_other_jobs(actions, _uses(desired, stored, actions), stored)
    return Plan(
        project=desired.project.uid,
        new_state=not stored.exists,
        actions=tuple(with_hints(context, with_consent(context, with_radius(context, actions)))),
        rebuilds_at_once=desired.project.limits.rebuilds,
        environment=options.environment,
        narrowed=narrowed,
        uses=_uses(desired, stored, actions),
        owners=_owners(desired, stored, actions),
        unmanaged=tuple(
            Unmanaged(job=name, streams=len(job.streams))
            for name, job in sorted(stored.jobs.items())
            if name in kept
        ),
    )


def _uses(desired: Desired, stored: Stored, actions: Sequence[Action]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name in {a.address.name for a in actions if a.address.kind in ("job", "stream") and is_change(a)}:
        # A job that leaves uses what it was stored with.
        used = show_job(desired.jobs[name]) if name in desired.jobs else stored.jobs[name].spec
        source, destination = str(used.get("source")), str(used.get("destination"))
        found[name] = {
            f"source.{source}": stored.sources[source].serial if source in stored.sources else 0,
            f"destination.{destination}": stored.destinations[destination].serial
            if destination in stored.destinations
            else 0,
        }
    return dict(sorted(found.items()))


def _owners(desired: Desired, stored: Stored, actions: Sequence[Action]) -> dict[str, str]:
    names = sorted({a.address.name for a in actions if a.address.kind in ("job", "stream")})
    found = {
        name: desired.jobs[name].owner
        if name in desired.jobs
        else str(stored.jobs[name].spec.get("owner", ""))
        for name in names
    }
    return {name: owner for name, owner in found.items() if owner}


def without_blocked(plan: Plan) -> tuple[Plan, list[str]]:
    """Leave out what is blocked: whole jobs, and the jobs whose endpoints are; return their names as well."""
    if plan.blocked:
        names = sorted(
            {a.address.name if a.address.kind not in _ENDPOINTS else str(a.address) for a in plan.changes}
        )
        return plan.model_copy(update={"actions": (), "uses": {}, "blocked": ()}), names
    endpoints = {str(a.address) for a in plan.actions if a.blocked and a.address.kind in _ENDPOINTS}
    jobs = {a.address.name for a in plan.actions if a.blocked and a.address.kind not in _ENDPOINTS}
    jobs |= {job for job, used in plan.uses.items() if endpoints & used.keys()}
    jobs = held_up(jobs, waits(plan.actions, plan.uses))
    kept = [
        a
        for a in plan.actions
        if (a.address.name not in jobs if a.address.kind not in _ENDPOINTS else not a.blocked)
    ]
    uses = {job: used for job, used in plan.uses.items() if job not in jobs}
    return plan.model_copy(update={"actions": tuple(kept), "uses": uses}), sorted(jobs | endpoints)


def _verdicts(context: Context) -> dict[Address, Verdict]:
    desired, stored = context.desired, context.stored
    sides: tuple[tuple[Kind, Mapping[str, Endpoint], Mapping[str, StoredEndpoint]], ...] = (
        ("source", desired.sources, stored.sources),
        ("destination", desired.destinations, stored.destinations),
    )
    found = {}
    for kind, declared, before in sides:
        for name in declared.keys() & before.keys():
            address = Address(kind, name)
            found[address] = verdict_of(context, address, before[name], show_endpoint(declared[name]))
    return found


def summarise(actions: Sequence[Action]) -> Summary:
    """Count the actions. A rebuild counts once; `remove` keeps data, `destroy` loses it."""
    counts = dict.fromkeys(Summary.model_fields, 0)
    for action in actions:
        match action:
            case Create():
                counts["add"] += 1
            case Import():
                counts["import_"] += 1
            case Update():
                counts["change"] += 1
            case Rebuild():
                counts["rebuild"] += 1
            case Remove():
                counts["destroy" if action.erase else "remove"] += 1
            case Forget():
                counts["forget"] += 1
            case Move():
                counts["move"] += 1
            case _:
                pass
    return Summary(**counts)


def affected_places(plan: Plan, stored: Stored, desired: Desired) -> dict[str, set[TablePlace]]:
    """Return the tables, by destination, whose metadata would tell what the plan costs and whether it fits."""
    found: dict[str, set[TablePlace]] = {}

    def add(destination: str, place: TablePlace) -> None:
        found.setdefault(destination, set()).add(place)

    for action in plan.changes:
        if action.address.kind != "stream":
            continue
        job = desired.jobs.get(action.address.name)
        before = stored.jobs.get(action.address.name)
        old = str(before.spec.get("destination")) if before else ""
        match action:
            case Create() | Import() | Update():
                if job:
                    add(job.destination, _place(action.after))
            case Rebuild():
                add(old, action.old)
                if job:
                    add(job.destination, action.new)
            case Remove():
                if action.old:
                    add(old, action.old)
            case _:
                pass
    return found


def _place(spec: dict[str, object]) -> TablePlace:
    return TablePlace(database=str(spec["destination_database"]), table=str(spec["destination_table"]))
