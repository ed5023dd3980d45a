"""What of a plan waits: jobs that clear data outside their windows, or while as many others load anew as may.

Nothing of a waiting job is done: it goes on with its stored settings. The time is a value like any other in here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from olake_reconcile.model.project import Project
from olake_reconcile.model.stored import Stored, StoredJob, StreamPhase
from olake_reconcile.model.window import Windows, closed
from olake_reconcile.plan.actions import Action, Rebuild, Update, is_clear
from olake_reconcile.plan.effects import JOB_REASONS
from olake_reconcile.plan.freeing import held_up, waits
from olake_reconcile.plan.plan import Plan, Waiting

_ENDPOINTS = ("source", "destination")
_LOADING = (StreamPhase.PENDING, StreamPhase.LOADING)


def with_waiting(plan: Plan, stored: Stored, project: Project, now: datetime) -> Plan:
    """Return the plan with the jobs that wait at `now`, and why. Which windows count: those stored, and those planned."""
    clearing: dict[str, list[Action]] = {}
    for action in plan.changes:
        if action.address.kind == "stream" and (is_clear(action) or isinstance(action, Rebuild)):
            clearing.setdefault(action.address.name, []).append(action)
    waiting: dict[str, Waiting] = {}
    loading = {name for name, job in stored.jobs.items() if _loads_anew(job, now)}
    for group in _groups(plan, clearing):
        shut = next((w for name in group if (w := _shut(plan, stored, project, name, now))), None)
        rebuilding = {n for n in group if any(isinstance(a, Rebuild) for a in clearing[n])} - loading
        found = shut or _paced(rebuilding, loading, project.limits.rebuilds)
        if found is None:
            loading |= rebuilding
        else:
            waiting |= {name: found.model_copy(update={"job": name}) for name in group}
    return plan.model_copy(update={"waiting": tuple(waiting[name] for name in sorted(waiting))})


def without_waiting(plan: Plan) -> tuple[Plan, list[str]]:
    """Leave out the jobs that wait, whole, with the endpoints that may not change before them; return their names."""
    return without_jobs(plan, {w.job for w in plan.waiting})


def without_jobs(plan: Plan, jobs: set[str]) -> tuple[Plan, list[str]]:
    """Leave jobs out, whole, and what would be wrong without them: another server at an endpoint that they use."""
    if not jobs:
        return plan, []
    groups = list(
        _groups(plan, {a.address.name: [] for a in plan.changes if a.address.kind not in _ENDPOINTS})
    )
    giving = waits(plan.changes, plan.uses)
    left: set[str] = set()
    more = set(jobs)
    while more - left:
        left |= more
        # Those that go with one of them, and those that are to build a table that one of them gives up.
        more = held_up(left, giving).union(*(g for g in groups if left & set(g)))
    moved = {
        endpoint
        for job in left
        for endpoint in plan.uses.get(job, {})
        if _reason_of(endpoint) in {r for a in plan.changes if a.address.name == job for r in a.reasons}
    }
    actions = tuple(
        a
        for a in plan.actions
        if (str(a.address) not in moved if a.address.kind in _ENDPOINTS else a.address.name not in left)
    )
    uses = {job: used for job, used in plan.uses.items() if job not in left}
    return plan.model_copy(update={"actions": actions, "uses": uses}), sorted(left)


def _reason_of(endpoint: str) -> object:
    return JOB_REASONS[endpoint.partition(".")[0]]


def _groups(plan: Plan, jobs: Mapping[str, list[Action]]) -> Iterable[tuple[str, ...]]:
    """Yield the jobs that can only be changed together: an endpoint that they use is another server now."""
    together: dict[str, set[str]] = {name: {name} for name in jobs}
    changed = {str(a.address) for a in plan.changes if a.address.kind in _ENDPOINTS and isinstance(a, Update)}
    reasons: dict[str, set[object]] = {}
    for action in plan.changes:
        reasons.setdefault(action.address.name, set()).update(action.reasons)
    for endpoint in sorted(changed):
        sharing = [
            n for n in jobs if endpoint in plan.uses.get(n, {}) and _reason_of(endpoint) in reasons.get(n, ())
        ]
        whole: set[str] = set().union(*(together[n] for n in sharing)) if sharing else set()
        for name in whole:
            together[name] = whole
    seen: set[str] = set()
    for name in sorted(jobs):
        if name not in seen:
            seen |= together[name]
            yield tuple(sorted(together[name]))


def _shut(plan: Plan, stored: Stored, project: Project, name: str, now: datetime) -> Waiting | None:
    specs = [stored.jobs[name].spec] if name in stored.jobs else []
    specs += [
        a.after
        for a in plan.changes
        if isinstance(a, Update) and a.address.kind == "job" and a.address.name == name
    ]
    levels = [
        project.windows.rebuilds,
        *(Windows.model_validate(s.get("windows", {})).rebuilds for s in specs),
    ]
    found = closed(levels, now)
    return None if found is None else Waiting(job=name, code="window", reason=found.reason, until=found.until)


def _loads_anew(job: StoredJob, now: datetime) -> bool:
    """Whether a job fills tables that were cleared. One that nobody lets run does not hold up the others for ever."""
    if not job.active or job.held_at(now):
        return False
    return any(s.generation > 1 and s.phase in _LOADING for s in job.streams.values())


def _paced(rebuilding: set[str], loading: set[str], limit: int) -> Waiting | None:
    """Return why rebuilds wait for others. Jobs that go together and are more than may load go when none does."""
    if not rebuilding or not loading or len(loading) + len(rebuilding) <= limit:
        return None
    names = sorted(loading)
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return Waiting(job="", code="pace", reason=f"limits.rebuilds lets {limit} load anew at once: {shown}")
