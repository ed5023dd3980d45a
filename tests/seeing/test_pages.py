"""`status`, `history` and `explain` as people see them, over one built state at one moment; `--update-golden` rewrites."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import click
import pytest
from rich.cells import cell_len

from olake_reconcile.cli.view_explain import explanation_lines
from olake_reconcile.cli.view_history import run_page, runs_page
from olake_reconcile.cli.view_status import job_page, jobs_page
from olake_reconcile.clock import ManualClock
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.run import Holder, Run, RunQuery, RunStatus, RunType, StreamOutcome, Trigger
from olake_reconcile.model.stored import Hold, LastLoad, StreamPhase
from olake_reconcile.reconcile.explain import explain
from olake_reconcile.reconcile.look import look
from olake_reconcile.reconcile.services import Services
from olake_reconcile.reconcile.stream_overview import look_at_streams
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec.workspace import load_workspace
from tests.workspaces import Lab

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime.fromisoformat("2026-03-27T12:00:00+00:00")  # two days before clocks go forward in Berlin
ELSEWHERE = Holder(host="etl-1", boot="b", pid=4711, started="1")

JOB = """\
kind: Job
name: {name}
owner: team-{name}
schedule: "{schedule}"
timezone: {zone}
labels: {{tier: "{tier}"}}
stream_defaults: {{sync_mode: full_refresh, destination_database: {name}}}
streams:
  public.orders:
  public.customers:
"""
JOBS = {
    "orders": ("@hourly", "UTC", 1),
    "nightly": ("30 2 * * *", "Europe/Berlin", 1),
    "finance": ("0 8 * * 1-5", "Europe/Berlin", 2),
    "events": ("*/15 * * * *", "UTC", 2),
    "kunden-und-rechnungen-aller-länder"[:30].replace("ä", "ae"): ("@daily", "UTC", 2),
    "idle": ("@weekly", "UTC", 3),
}


@pytest.fixture
def services(lab: Lab) -> Services:
    lab.remove("jobs/daily.yaml")
    lab.write(
        {f"jobs/{n}.yaml": JOB.format(name=n, schedule=s, zone=z, tier=t) for n, (s, z, t) in JOBS.items()}
    )
    lab.write({"jobs/old.yaml": JOB.format(name="old", schedule="@daily", zone="UTC", tier=3)})
    lab.apply()
    lab.remove("jobs/old.yaml")
    path = lab.root / "jobs/idle.yaml"
    path.write_text(path.read_text() + "active: false\n")
    lab.apply()
    services: Services = lab.services(clock=ManualClock(NOW))
    build(services)
    return services


def build(services: Services) -> None:
    """A morning on which nearly everything happened."""
    store = services.store
    for number, name in enumerate([*JOBS, "old"]):
        store.set_due(name, NOW + timedelta(minutes=18 + number) if name != "idle" else None, "schedule")
    for name, hours in (("orders", 2), ("nightly", 10), ("finance", 30), ("events", 1)):
        ran(services, name, hours)
    ran(
        services,
        "nightly",
        1,
        RunStatus.FAILED,
        error="permission denied for table orders\nNothing was read.\nGRANT SELECT ON orders TO olake;",
    )
    store.set_due("nightly", NOW + timedelta(minutes=2), "retry", attempt=1)
    store.set_hold(
        "finance",
        Hold(who="ada", why="index rebuild", since=NOW - timedelta(hours=1), until=NOW + timedelta(hours=4)),
    )
    run = begun(services, "events", NOW - timedelta(seconds=40), Trigger.SCHEDULE)
    for stream, done in (("customers", True), ("orders", False)):
        status = RunStatus.COMPLETED if done else RunStatus.RUNNING
        outcome = moving(stream, status, 1_234_000, NOW - timedelta(seconds=6))
        store.save_outcome(run, outcome)
    queued = Run(
        id="20260327-115900-cccc",
        job="orders",
        type=RunType.SYNC,
        trigger=Trigger.SCHEDULE,
        status=RunStatus.QUEUED,
        started=NOW - timedelta(minutes=1),
        queued_at=NOW - timedelta(minutes=1),
        due=NOW,
    )
    store.begin_run(queued)


def moving(stream: str, status: RunStatus, rows: int, started: datetime) -> StreamOutcome:
    return StreamOutcome(
        stream=StreamId("public", stream), status=status, rows=rows, bytes=rows * 100, seconds=6 if status.is_final else 0,
        started=started, told=NOW, expected=3_000_000, chunks=5, chunk_count=12,
    )  # fmt: skip


def begun(services: Services, job: str, started: datetime, trigger: Trigger = Trigger.MANUAL) -> str:
    id_ = f"{started:%Y%m%d-%H%M%S}-{job[:4]}"
    services.store.begin_run(
        Run(
            id=id_,
            job=job,
            type=RunType.SYNC,
            trigger=trigger,
            status=RunStatus.RUNNING,
            started=started,
            holder=ELSEWHERE,
        )
    )
    return id_


def ran(
    services: Services, job: str, hours: float, status: RunStatus = RunStatus.COMPLETED, error: str = ""
) -> None:
    store, started = services.store, NOW - timedelta(hours=hours)
    run = begun(services, job, started, Trigger.SCHEDULE)
    lease = store.acquire(f"job:{job}", services.holder, "sync", NOW)
    for name, rows in (("customers", 1_200), ("orders", 41_200_113)):
        stream = store.read(job).jobs[job].streams[StreamId("public", name)]
        failed = bool(error) and name == "orders"
        outcome = StreamOutcome(
            stream=stream.id, status=status if failed else RunStatus.COMPLETED, rows=0 if failed else rows,
            bytes=0 if failed else rows * 450, seconds=rows / 13_200, error=error if failed else "", as_of=started,
        )  # fmt: skip
        store.save_outcome(run, outcome)
        if not failed:
            store.save_progress(
                job, stream.id, generation=1, phase=StreamPhase.LIVE, position={}, fence=lease, synced_at=started,
                last_load=LastLoad(rows=rows, bytes=rows * 450, seconds=rows / 13_200),
            )  # fmt: skip
    store.release(lease)
    store.end_run(run, status, started + timedelta(seconds=250))


def page(command: str, services: Services, width: int | None) -> Iterable[str]:
    """Return the lines of a command, as the command line makes them."""
    workspace = load_workspace(services.root, SystemSecrets({}), {}, checked_note=False)
    assert workspace.desired is not None
    declared = workspace.desired.jobs.keys()
    match command.split():
        case ["status"]:
            return jobs_page(look(services, declared), NOW, width, has_loop=False)
        case ["status", job]:
            [found] = look(services, declared, job)
            return job_page(found, look_at_streams(services, services.store.read(job).jobs[job]), NOW, width)
        case ["history"]:
            return runs_page(services.store.find_runs(RunQuery()), NOW, width)
        case ["history", run]:
            found_run = services.store.run(run)
            assert found_run is not None
            return run_page(found_run, 2, NOW, width)
        case ["explain", address]:
            return explanation_lines(explain(services, workspace.desired, address), width)
        case _:
            raise AssertionError(command)


PAGES = [
    "status", "status events", "status nightly", "history", "history 20260327-110000-n", "history 20260327-115920",
    "explain orders", "explain nightly", "explain finance", "explain events", "explain idle", "explain old",
    "explain nightly/public.orders", "explain events/public.orders", "explain source.shop",
]  # fmt: skip


def test_every_page_is_the_golden_one_and_fits_its_terminal(
    services: Services, request: pytest.FixtureRequest
) -> None:
    """One test: building the state takes longer than all the pages."""
    for command in PAGES:
        for width in (80, 140, None):
            lines = [click.unstyle(line) for line in page(command, services, width)]
            name = re.sub(r"[^\w.]+", "_", command)
            path = GOLDEN / f"{name}.{width or 'pipe'}.txt"
            text = "\n".join(lines) + "\n"
            if request.config.getoption("--update-golden"):
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
            assert text == path.read_text(), path.name
            if width:
                long = [line for line in lines if cell_len(line) > width and "->" not in line]
                assert not long, command


def test_jobs_in_trouble_stand_first(services: Services) -> None:
    states = [job.state.value for job in look(services, set(JOBS))]
    assert states == ["failing", "held", "running", "queued", "unmanaged", "active", "inactive"]
