"""Runs that fail: what is tried again, when, and what is left out (`retry`, `timeout` of a job)."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olake_reconcile.clock import SystemClock
from olake_reconcile.model.job import Retry
from olake_reconcile.model.retry import LONGEST_SECONDS, next_attempt
from olake_reconcile.model.run import Run, RunStatus
from tests.processes.conftest import leaves_nothing
from tests.workspaces import DAILY_YAML, Lab


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, which take no time here."""
    waited: list[float] = []

    def wait(clock: SystemClock, seconds: float, wake: Any) -> bool:
        if seconds > 1:
            waited.append(seconds)
            return bool(wake.is_set())
        return bool(wake.wait(seconds))

    monkeypatch.setattr(SystemClock, "wait", wait)
    return waited


@pytest.fixture
def retrying(lab: Lab) -> Lab:
    lab.write({"jobs/daily.yaml": DAILY_YAML + "retry: {attempts: 2, backoff: 1m}\n"})
    lab.apply()
    return lab


def statuses(run: Run) -> dict[str, RunStatus]:
    return {str(o.stream): o.status for o in run.streams}


def test_a_failed_run_is_tried_again_without_the_streams_that_it_committed(
    retrying: Lab, waits: list[float]
) -> None:
    retrying.world(outages={"public.orders": 1})
    outcome = retrying.ok("sync", "daily")
    assert "Attempt 2 of 3 in" in outcome.err
    again, first = retrying.store.runs()
    assert (first.status, first.attempt) == (RunStatus.FAILED, 1)
    assert statuses(first) == {"public.customers": RunStatus.COMPLETED, "public.orders": RunStatus.FAILED}
    assert (again.status, again.attempt) == (RunStatus.COMPLETED, 2)
    assert statuses(again) == {"public.orders": RunStatus.COMPLETED}
    assert len(waits) == 1
    assert 45 <= waits[0] <= 75


def test_a_third_attempt_leaves_out_what_the_first_committed(retrying: Lab, waits: list[float]) -> None:
    retrying.world(outages={"public.orders": 2})
    retrying.ok("sync", "daily")
    assert statuses(retrying.store.runs()[0]).keys() == {"public.orders"}
    assert retrying.store.runs()[0].attempt == 3
    assert 90 <= waits[1] <= 150


def test_attempts_end_and_the_last_failure_is_the_commands(retrying: Lab, waits: list[float]) -> None:
    retrying.world(outages={"public.orders": 9})
    assert retrying.run("sync", "daily").code == 1
    assert [run.attempt for run in retrying.store.runs()] == [3, 2, 1]


def test_a_server_that_does_not_answer_is_tried_again(retrying: Lab, waits: list[float]) -> None:
    retrying.world(unreachable=["source.shop"])
    assert retrying.run("sync", "daily").code == 1
    assert len(waits) == 2


def test_what_somebody_must_mend_is_not_tried_again(retrying: Lab, waits: list[float]) -> None:
    retrying.world(failures={"public.orders": "3 values do not fit"})
    assert retrying.run("sync", "daily").code == 1
    retrying.world(failures={}, identities={"source.shop": "another server"})
    retrying.ok("plan")
    assert retrying.run("sync", "daily").code == 1
    assert waits == []


def test_a_job_without_retry_fails_at_once(lab: Lab, waits: list[float]) -> None:
    lab.world(outages={"public.orders": 1})
    assert lab.run("sync", "daily").code == 1
    assert waits == []


def test_a_run_that_takes_longer_than_its_timeout_fails_at_a_safe_point(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": DAILY_YAML + "timeout: 1s\n"})
    lab.apply()
    lab.world(held_up=["public.orders"])
    outcome = lab.run("sync", "daily")
    assert outcome.code == 1
    run = lab.store.runs()[0]
    assert (run.status, run.error) == (RunStatus.FAILED, "timed out after 1 s; what it had committed stays")
    assert statuses(run) == {"public.customers": RunStatus.COMPLETED, "public.orders": RunStatus.CANCELED}
    assert lab.tables.keys() == {"sales.customers"}
    leaves_nothing(lab, run)


RETRIES = st.builds(Retry, attempts=st.integers(0, 100), backoff=st.integers(1, 86_400))


@given(RETRIES, st.floats(0, 1))
def test_waits_grow_to_a_limit_and_end_after_the_last_attempt(retry: Retry, chance: float) -> None:
    found = [next_attempt(retry, n, chance) for n in range(1, retry.attempts + 1)]
    waits = [wait for wait in found if wait is not None]
    assert len(waits) == retry.attempts
    assert all(a <= b for a, b in pairwise(waits))
    longest = timedelta(seconds=max(LONGEST_SECONDS, retry.backoff) * 1.25)
    assert all(timedelta(seconds=retry.backoff * 0.75) <= wait <= longest for wait in waits)
    assert next_attempt(retry, retry.attempts + 1, chance) is None


def test_a_job_without_retry_has_no_next_attempt() -> None:
    assert next_attempt(None, 1, 0) is None
