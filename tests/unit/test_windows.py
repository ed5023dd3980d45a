"""Change windows and pacing: what waits, until when, and that nothing of a waiting job is done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olake_reconcile.model.names import Address
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.project import Limits
from olake_reconcile.model.stored import Stored, StreamPhase
from olake_reconcile.model.window import Window, Windows, closed
from olake_reconcile.plan.document import plan_document, plan_hash, read_plan
from olake_reconcile.plan.plan import Plan, build_plan
from olake_reconcile.plan.waiting import with_waiting, without_waiting
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec.workspace import load_workspace
from tests.builders import a_desired, a_job, a_project, a_source, a_stream, stored_of
from tests.spec_builders import JOB, PROJECT, write_workspace
from tests.workspaces import DAILY_YAML, PROJECT_YAML, Lab


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NIGHTS = Window(allow="0 22 * * *", duration=6 * 3600, timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-01-15T20:59:59", "2026-01-15T21:00:00"),  # winter: 22:00 is 21:00 UTC
        ("2026-01-15T21:00:00", None),
        ("2026-01-16T02:59:59", None),
        ("2026-01-16T03:00:00", "2026-01-16T21:00:00"),
        ("2026-07-15T20:00:00", None),  # summer: 20:00 UTC
        ("2026-07-15T19:59:59", "2026-07-15T20:00:00"),
        # Clocks go forward on 29 March at 01:00 UTC: opened 21:00 UTC, and lasts six real hours.
        ("2026-03-29T02:59:59", None),
        ("2026-03-29T03:00:00", "2026-03-29T20:00:00"),
        # Back on 25 October at 01:00 UTC: opened 20:00 UTC.
        ("2026-10-25T01:59:59", None),
        ("2026-10-25T02:00:00", "2026-10-25T21:00:00"),
    ],
)
def test_a_window_lasts_its_duration_from_its_local_time_on(now: str, opens: str | None) -> None:
    found = closed([[NIGHTS]], at(now))
    assert (found.until if found else None) == (at(opens) if opens else None)


def test_deny_beats_allow_on_every_level() -> None:
    freeze = Window(deny="0 0 20 12 *", duration=14 * 86_400)
    shut = closed([[freeze], [NIGHTS]], at("2026-12-24T22:00:00"))
    assert shut is not None
    assert shut.reason == "denied by the window '0 0 20 12 *' (UTC)"
    assert shut.until == at("2027-01-03T00:00:00")  # the freeze ends inside a night
    assert closed([[freeze], [NIGHTS]], at("2026-12-05T22:00:00")) is None


def test_a_jobs_windows_are_beside_the_projects_never_in_their_place() -> None:
    mornings = Window(allow="0 6 * * *", duration=3600)
    shut = closed([[NIGHTS], [mornings]], at("2026-01-15T06:30:00"))
    assert shut is not None
    assert shut.until is None  # never both within a year


def test_windows_that_never_open_again_say_so() -> None:
    shut = closed([[Window(allow="0 0 0 1 1 * 2020", duration=60)]], at("2026-01-01T00:00:00"))
    assert shut is not None
    assert shut.until is None


WINDOWS = st.lists(
    st.builds(
        lambda allow, hour, hours: Window(
            **{"allow" if allow else "deny": f"0 {hour} * * *"},
            duration=hours * 3600,
            timezone="Europe/Berlin",
        ),
        st.booleans(),
        st.integers(0, 23),
        st.integers(1, 30),
    ),
    max_size=3,
)


@given(project=WINDOWS, job=WINDOWS, minutes=st.integers(0, 525_600))
def test_what_opens_is_open_then_and_was_shut_until_then(
    project: list[Window], job: list[Window], minutes: int
) -> None:
    now = at("2026-01-01T00:00:00") + timedelta(minutes=minutes)
    shut = closed([project, job], now)
    if shut is not None and shut.until is not None:
        assert shut.until > now
        assert closed([project, job], shut.until) is None
        assert closed([project, job], shut.until - timedelta(seconds=1)) is not None
    assert closed([project, []], now) is None or shut is not None


# What waits


NOON = at("2026-01-15T12:00:00")


def rebuilds(*names: str, **project: Any) -> tuple[Plan, Stored, Any]:
    before = a_desired(
        *(a_job(n, a_stream(destination_table=n)) for n in names), project=a_project(**project)
    )
    after = a_desired(
        *(a_job(n, a_stream(destination_table=n, filter="id > 7"), owner="x") for n in names),
        project=before.project,
    )
    stored = stored_of(before)
    return build_plan(after, stored, Observed()), stored, after.project


def waiting(plan: Plan, stored: Stored, project: Any, now: datetime = NOON) -> Plan:
    return with_waiting(plan, stored, project, now)


def test_a_job_outside_its_window_waits_whole_and_the_rest_goes_on() -> None:
    plan, stored, project = rebuilds("one", "two")
    job = stored.jobs["one"]
    windows = {"rebuilds": [NIGHTS.model_dump(exclude_defaults=True)]}
    shut = stored.model_copy(
        update={
            "jobs": {**stored.jobs, "one": job.model_copy(update={"spec": {**job.spec, "windows": windows}})}
        }
    )
    found = waiting(plan, shut, project)
    assert [(w.job, w.code, w.until) for w in found.waiting] == [("one", "window", at("2026-01-15T21:00:00"))]
    rest, left = without_waiting(found)
    assert left == ["one"]
    assert {a.address.name for a in rest.changes} == {"two"}
    assert "one" not in rest.uses


def test_waiting_is_no_part_of_the_hash_and_survives_saving() -> None:
    plan, stored, project = rebuilds("one", windows=Windows(rebuilds=(NIGHTS,)))
    found = waiting(plan, stored, project)
    assert found.waiting
    assert plan_hash(found) == plan_hash(plan)
    assert read_plan(plan_document(found)) == found


def test_changes_that_clear_nothing_never_wait() -> None:
    before = a_desired()
    project = a_project(windows=Windows(rebuilds=(NIGHTS,)))
    after = a_desired(a_job("daily", a_stream(), schedule="@daily"), project=project)
    stored = stored_of(before)
    assert waiting(build_plan(after, stored, Observed()), stored, project).waiting == ()


def test_no_more_jobs_than_the_limit_load_anew_at_once() -> None:
    plan, stored, project = rebuilds("a", "b", "c", limits=Limits(rebuilds=2))
    found = waiting(plan, stored, project)
    assert [(w.job, w.code) for w in found.waiting] == [("c", "pace")]
    assert "limits.rebuilds lets 2 load anew at once: a, b" in found.waiting[0].reason


def test_jobs_that_load_anew_already_count_unless_nobody_lets_them_run() -> None:
    plan, stored, project = rebuilds("a", limits=Limits(rebuilds=1))
    other = stored_of(a_desired(a_job("z", a_stream(destination_table="z")))).jobs["z"]
    stream = next(iter(other.streams.values())).model_copy(
        update={"generation": 2, "phase": StreamPhase.PENDING}
    )
    loading = other.model_copy(update={"streams": {stream.id: stream}})
    paused = loading.model_copy(update={"spec": {**loading.spec, "active": False}})

    def jobs(job: Any) -> Stored:
        return stored.model_copy(update={"jobs": {**stored.jobs, "z": job}})

    assert [w.job for w in waiting(plan, jobs(loading), project).waiting] == ["a"]
    assert waiting(plan, jobs(paused), project).waiting == ()


def test_jobs_of_another_server_go_together_even_when_they_are_more_than_the_limit() -> None:
    jobs = [a_job(n, a_stream(destination_table=n)) for n in "abc"]
    stored = stored_of(a_desired(*jobs), identities={"shop": "one"})
    moved = a_desired(*jobs, sources={"shop": a_source(config={"host": "other", "database": "shop"})})
    elsewhere = Observed(identities={Address("source", "shop"): "two"})
    plan = build_plan(moved, stored, elsewhere)
    assert waiting(plan, stored, moved.project).waiting == ()
    shut = a_project(windows=Windows(rebuilds=(NIGHTS,)))
    found = waiting(plan, stored, shut)
    assert [w.job for w in found.waiting] == ["a", "b", "c"]
    assert without_waiting(found)[0].changes == []  # the server neither


# In files and commands


@pytest.mark.parametrize(
    ("window", "code"),
    [
        ("{allow: '0 22 * * *', deny: '0 1 * * *', duration: 1h}", "bad-window"),
        ("{duration: 1h}", "bad-window"),
        ("{allow: 'every 5m', duration: 1h}", "bad-window"),
        ("{allow: '0 25 * * *', duration: 1h}", "bad-schedule"),
        ("{allow: '0 22 * * *'}", "missing-key"),
        ("{allow: '0 22 * * *', duration: soon}", "bad-duration"),
        ("{allow: '0 22 * * *', duration: 5s}", "out-of-range"),
        ("{allow: '0 22 * * *', duration: 1h, timezone: Europe/Berln}", "unknown-timezone"),
        ("{alow: '0 22 * * *', duration: 1h}", "unknown-key"),
    ],
)
@pytest.mark.parametrize("where", ["project", "job"])
def test_a_bad_window_is_an_error_at_its_line(window: str, code: str, where: str, tmp_path: Path) -> None:
    line = f"windows: {{rebuilds: [{window}]}}\n"
    project = PROJECT.replace("uid: 7f3c0d9e\n", f"uid: 7f3c0d9e\n{line}") if where == "project" else PROJECT
    job = JOB + line if where == "job" else JOB
    root = write_workspace(tmp_path, {"olake.yaml": project, "jobs/job.yaml": job})
    found = load_workspace(root, SystemSecrets({}), {}, checked_note=False).diagnostics
    assert [d.code for d in found] == [code]
    assert found[0].place is not None
    assert found[0].place.line == (4 if where == "project" else 8)


NEVER_NOW = "windows: {rebuilds: [{deny: '* * * * *', duration: 1h}]}\n"


def test_apply_leaves_what_waits_with_its_old_settings_and_says_so(lab: Lab) -> None:
    lab.apply()
    lab.ok("sync", "daily")
    lab.write(
        {
            "olake.yaml": PROJECT_YAML.replace("name: analytics\n", "name: analytics\n" + NEVER_NOW, 1),
            "jobs/daily.yaml": DAILY_YAML.replace("public.orders:", "public.orders: {filter: id > 7}"),
            "jobs/new.yaml": DAILY_YAML.replace("name: daily", "name: new").replace("sales", "other"),
        }
    )
    before = lab.store.read().jobs["daily"]
    shown = lab.ok("plan").out
    assert "Waiting: an apply leaves these jobs as they are for now" in shown
    outcome = lab.run("apply", "--auto-approve")
    assert outcome.code == 3
    assert "Left for later, with their stored settings: daily" in outcome.err
    stored = lab.store.read().jobs
    assert stored["daily"] == before
    assert "new" in stored
    lab.apply("--now")
    assert lab.store.read().jobs["daily"].serial > before.serial
    assert "--now: daily: denied by the window" in lab.ok("show", lab.store.applies(limit=1)[0].id).out


def test_a_saved_plan_waits_for_the_window_of_the_moment_it_is_applied(lab: Lab) -> None:
    lab.apply()
    lab.ok("sync", "daily")
    lab.write({"jobs/daily.yaml": DAILY_YAML.replace("public.orders:", "public.orders: {filter: id > 7}")})
    lab.ok("plan", "--out", "p.plan")
    lab.write({"olake.yaml": PROJECT_YAML.replace("name: analytics\n", "name: analytics\n" + NEVER_NOW, 1)})
    assert lab.run("apply", "p.plan").code == 3
    assert lab.run("apply", "--now", "p.plan").code == 0
