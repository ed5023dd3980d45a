"""Why a run began, what it waits for, and why it failed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from olake_reconcile.model.figures import span
from olake_reconcile.model.project import Limits
from olake_reconcile.model.run import Run, RunStatus
from olake_reconcile.model.stored import Stored
from olake_reconcile.plan.words import counted
from olake_reconcile.reconcile.explanation import Statement, Topic, sentence
from olake_reconcile.reconcile.overview import JobOverview
from olake_reconcile.reconcile.services import Services

_SHOWN_ERRORS = 5


def why_it_ran(run: Run) -> str:
    """Return what started a run, in words."""
    words = {"manual": "started by hand", "schedule": "due by its schedule", "apply": "made due by an apply"}
    attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
    return words.get(run.trigger.value, f"started by {run.trigger.value}") + attempt


def queued(services: Services, limits: Limits, job: JobOverview, run: Run, now: datetime) -> Statement:
    """Return what a queued run waits for."""
    unfinished = services.store.unfinished_runs()
    going_on = [r for r in unfinished if r.status is RunStatus.RUNNING]
    others = [r for r in going_on if r.job == job.name]
    stored = services.store.read() if going_on and not others else Stored()
    same = [
        r for r in going_on if r.job in stored.jobs and stored.jobs[r.job].spec.get("source") == job.source
    ]
    place = sum(
        r.status is RunStatus.QUEUED and (r.due or r.started) < (run.due or run.started) for r in unfinished
    )
    if others:
        why = f"run {others[0].id} of the same job goes on"
    elif len(going_on) >= limits.runs:
        why = f"{counted(len(going_on), 'run')} go on, and limits.runs is {limits.runs}"
    elif len(same) >= limits.runs_per_source:
        why = f"{counted(len(same), 'run')} read source.{job.source}, and limits.runs_per_source is {limits.runs_per_source}"
    elif place:
        why = f"{counted(place, 'run')} stand before it in the queue"
    else:
        why = "it starts with the loop's next pass"
    text = f"Run {run.id} ({why_it_ran(run)}) has waited for {span(now - run.started)}: {why}."
    return Statement(
        topic=Topic.QUEUE,
        text=text,
        facts={"run": run.id, "before_it": place, "running": len(going_on)},
    )


def failures(run: Run) -> Iterator[Statement]:
    """Yield why a run failed: its own error, and those of its streams."""
    failed = [o for o in run.streams if o.error]
    if run.error:
        yield failure(run.error, run.id)
    for outcome in failed[:_SHOWN_ERRORS]:
        yield failure(outcome.error, run.id, str(outcome.stream))
    if len(failed) > _SHOWN_ERRORS:
        more = f"{counted(len(failed) - _SHOWN_ERRORS, 'more stream')} failed."
        yield Statement(topic=Topic.FAILURE, text=more, remedy=f"olake-reconcile history {run.id}")


def failure(error: str, run: str, stream: str = "") -> Statement:
    """Return an error as it was stored: what is wrong, why it matters, and what to do in its last line."""
    what, *rest = error.split("\n")
    remedy = rest.pop() if rest else f"olake-reconcile logs {run} --level warning"
    # A stream's name is not a word that a sentence begins with a capital for.
    first = f"{stream}: {sentence(what)}" if stream else sentence(what)
    text = " ".join([first, *map(sentence, rest)])
    return Statement(
        topic=Topic.FAILURE, text=text, remedy=remedy, facts={"run": run, "stream": stream or None}
    )
