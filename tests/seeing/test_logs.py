"""`logs`: by run or job, filtered, followed until the end, from another shell too, and for its owner only."""

from __future__ import annotations

import json
import stat
import threading
from datetime import datetime
from pathlib import Path

import pytest

from olake_reconcile.clock import ManualClock
from olake_reconcile.model.event import Level
from olake_reconcile.model.run import Run, RunStatus, RunType, Trigger
from olake_reconcile.reconcile.runlog import RunLog, follow_log, log_path, read_log
from olake_reconcile.reconcile.services import Services
from tests.lifecycle.background import a_running_sync, background
from tests.workspaces import CANARY, Lab

NOW = datetime.fromisoformat("2026-03-01T12:00:00+00:00")


@pytest.fixture
def services(lab: Lab) -> Services:
    found: Services = lab.services(clock=ManualClock(NOW))
    return found


def test_a_log_is_for_its_owner_only_and_holds_no_secret(services: Services) -> None:
    from olake_reconcile.model.reference import references

    services.secrets.resolve(references("${env:SHOP_PASSWORD}")[0])
    with RunLog(services, "r1") as log:
        log.write(Level.ERROR, "engine", f"password {CANARY} was refused", stream="public.orders")
    path = log_path(services.logs, "r1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert CANARY not in path.read_text()
    assert next(read_log(path))["message"] == "password (sensitive) was refused"


def test_a_line_that_is_being_written_or_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"message": "one"}\n{"mess\n{"message": "two"}\n{"message": "thr')
    assert [line["message"] for line in read_log(path)] == ["one", "two"]


def test_following_begins_before_there_is_a_log_and_ends_with_the_run(tmp_path: Path) -> None:
    path, clock = tmp_path / "r.jsonl", ManualClock(NOW)
    script = iter(["", '{"n": 1}\n{"n"', ": 2}\n", '{"n": 3}\n'])

    def is_over() -> bool:
        text = next(script, None)
        if text:
            with path.open("a") as file:
                file.write(text)
        return text is None

    assert [line["n"] for line in follow_log(path, is_over, clock, threading.Event())] == [1, 2, 3]


def test_what_is_written_just_before_the_end_is_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"

    def is_over() -> bool:
        path.write_text('{"n": 1}\n')
        return True

    assert [line["n"] for line in follow_log(path, is_over, ManualClock(NOW), threading.Event())] == [1]


def test_logs_takes_a_job_a_level_and_a_stream(lab: Lab) -> None:
    lab.apply()
    assert "has never run" in lab.run("logs", "daily").err
    lab.world(failures={"public.orders": "bad page"})
    lab.run("sync", "daily")
    errors = [json.loads(x) for x in lab.ok("logs", "daily", "--level", "error", "--json").out.splitlines()]
    assert [(line["action"], line.get("stream")) for line in errors] == [
        ("stream_failed", "public.orders"),
        ("run_ended", None),
    ]
    one = lab.ok("logs", "daily", "--stream", "public.customers").out
    assert "public.customers" in one
    assert "public.orders" not in one


def test_a_run_is_followed_from_another_shell_until_it_ends(lab: Lab) -> None:
    lab.apply()
    with a_running_sync(lab), background(lab, "logs", "daily", "--follow") as follower:
        follower.wait_for("public.customers: loading")
        lab.world(held_up=[])
        code, rest = follower.end()
    assert code == 0
    assert "daily: completed" in rest


def test_a_queued_run_is_followed_and_one_that_was_cancelled_ends_it(lab: Lab) -> None:
    lab.apply()
    started = datetime.fromisoformat("2026-03-01T12:00:00+00:00")
    queued = Run(
        id="20260301-120000-aaaa",
        job="daily",
        type=RunType.SYNC,
        trigger=Trigger.MANUAL,
        status=RunStatus.QUEUED,
        started=started,
        queued_at=started,
    )
    lab.store.begin_run(queued)
    assert "still queued" in lab.ok("logs", "daily").err
    with background(lab, "logs", "daily", "--follow") as follower:
        follower.wait_for("is queued")
        lab.store.end_run(queued.id, RunStatus.CANCELED, started)
        code, rest = follower.end()
    assert (code, rest) == (0, "")
