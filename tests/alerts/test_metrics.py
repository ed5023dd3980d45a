"""Figures and health of a loop over HTTP, read by Prometheus's own parser."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from olake_reconcile.clock import ManualClock
from olake_reconcile.errors import ReconcileError, Unreachable, UsageError
from olake_reconcile.model.event import Level
from olake_reconcile.model.queue import Agenda
from olake_reconcile.model.run import Run, RunStatus, RunType, Trigger
from olake_reconcile.reconcile.lost import LOST
from olake_reconcile.reconcile.metrics import MOST_JOBS, OTHERS, PASS_SECONDS, Metrics
from olake_reconcile.reconcile.metrics_server import serving
from olake_reconcile.reconcile.notice import Notice
from olake_reconcile.state.store import SqlStore
from tests.workspaces import Lab, a_lab

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
Labels = frozenset[tuple[str, str]]


def figures(text: bytes) -> dict[tuple[str, Labels], float]:
    """Every sample by its name, without our prefix, and its labels."""
    return {
        (sample.name.removeprefix("olake_reconcile_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def of(text: bytes, name: str, **labels: str) -> float | None:
    return figures(text).get((name, frozenset(labels.items())))


def get(address: str, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    request = urllib.request.Request(f"http://{address}{path}", headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def an_end(job: str = "daily", **changes: object) -> Notice:
    given = {
        "id": "r1",
        "job": job,
        "type": RunType.SYNC,
        "trigger": Trigger.SCHEDULE,
        "status": RunStatus.COMPLETED,
        "started": NOW,
        "ended": NOW + timedelta(seconds=7),
    }
    return Notice(Level.INFO, "run_ended", "", job, Run.model_validate({**given, **changes}))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = a_lab(tmp_path)
    lab.apply()
    lab.ok("sync", "daily")
    return lab


def test_what_happened_is_counted_and_passed_on(lab: Lab) -> None:
    metrics = Metrics(lab.services())
    heard: list[Notice] = []
    tell = metrics.counting(heard.append)
    tell(an_end())
    tell(an_end(status=RunStatus.FAILED, error=LOST, attempt=2))
    tell(Notice(Level.INFO, "applied", ""))
    tell(Notice(Level.ERROR, "apply_failed", ""))
    tell(Notice(Level.ERROR, "loop_trouble", ""))
    metrics.passed()
    text = metrics.text()
    assert len(heard) == 5
    assert of(text, "runs_total", job="daily", status="completed") == 1
    assert of(text, "runs_total", job="daily", status="failed") == 1
    assert of(text, "run_retries_total", job="daily") == 1
    assert of(text, "runs_lost_total") == 1
    assert of(text, "applies_total", result="apply_failed") == 1
    assert of(text, "loop_passes_total") == 1
    assert of(text, "loop_troubles_total") == 1
    assert of(text, "run_duration_seconds_bucket", status="completed", le="15.0") == 1
    assert [k for k in figures(text) if k[0] == "build_info"]


def test_what_is_is_read_from_the_store(lab: Lab) -> None:
    clock = ManualClock(datetime.now(UTC) + timedelta(hours=3))
    text = Metrics(lab.services(clock=clock), streams=True).text()
    age = of(text, "job_staleness_seconds", job="daily")
    assert age is not None
    assert 10_000 < age < 11_000
    assert of(text, "stream_staleness_seconds", job="daily", stream="public.orders") == pytest.approx(
        age, abs=60
    )
    assert (of(text, "job_last_success_timestamp_seconds", job="daily") or 0) > 1e9
    assert of(text, "job_failing", job="daily") == 0
    assert (of(text, "due_lag_seconds") or 0) > 3600
    assert of(text, "jobs") == 1
    assert of(text, "runs_queued") == 0
    assert not [k for k in figures(Metrics(lab.services()).text()) if k[0] == "stream_staleness_seconds"]


def test_hostile_names_are_labels_like_others(lab: Lab) -> None:
    metrics = Metrics(lab.services())
    name = 'a"b\\n\\\nc{x="y"} 7 é😀'
    metrics.counting(lambda n: None)(an_end(name))
    assert of(metrics.text(), "runs_total", job=name, status="completed") == 1


def test_the_number_of_labels_is_bounded(lab: Lab) -> None:
    metrics = Metrics(lab.services())
    tell = metrics.counting(lambda n: None)
    for number in range(MOST_JOBS + 5):
        tell(an_end(f"j{number}"))
    jobs = [k for k in figures(metrics.text()) if k[0] == "runs_total"]
    assert len(jobs) == MOST_JOBS + 1
    assert of(metrics.text(), "runs_total", job=OTHERS, status="completed") == 5


class CountingStore(SqlStore):
    """Counts how often the store is read, and fails on order."""

    reads = 0
    broken = False

    def agenda(self, now: datetime) -> Agenda:
        self.reads += 1
        if self.broken:
            raise Unreachable("canary: postgres://user:secret@host is away")
        return super().agenda(now)


def test_scrapes_read_the_store_once_a_second_at_most(lab: Lab) -> None:
    clock = ManualClock(NOW)
    store = CountingStore("sqlite:///.olake/state.db", lab.root)
    metrics = Metrics(lab.services(clock=clock, store=store))
    for _ in range(50):
        metrics.text()
        assert metrics.health() == ""
    assert store.reads == 1
    clock.advance(timedelta(seconds=1))
    metrics.text()
    assert store.reads == 2


def test_health_tells_of_a_stuck_loop_and_of_a_store_that_is_away(lab: Lab) -> None:
    clock = ManualClock(NOW)
    store = CountingStore("sqlite:///.olake/state.db", lab.root)
    metrics = Metrics(lab.services(clock=clock, store=store))
    with serving(metrics, "127.0.0.1:0", None) as address:
        assert get(address, "/healthz") == (200, "ok\n")
        clock.advance(timedelta(seconds=PASS_SECONDS + 1))
        assert get(address, "/healthz") == (503, "the loop made its last pass 61 s ago\n")
        metrics.passed()
        assert get(address, "/healthz")[0] == 200
        store.broken = True
        clock.advance(timedelta(seconds=2))
        assert get(address, "/healthz") == (503, "the state store does not answer\n")
        code, text = get(address, "/metrics")
        assert (code, "canary" in text) == (503, False)
        assert get(address, "/elsewhere")[0] == 404


def test_a_token_is_asked_for(lab: Lab) -> None:
    with serving(Metrics(lab.services()), "127.0.0.1:0", "canary-token") as address:
        assert get(address, "/healthz")[0] == 200
        for given in ("", "Bearer ", "Bearer canary-toke", "Basic canary-token", "Bearer cänary"):
            code, text = get(address, "/metrics", {"Authorization": given})
            assert (code, "canary" in text) == (401, False)
        code, text = get(address, "/metrics", {"Authorization": "Bearer canary-token"})
        assert (code, "canary" in text) == (200, False)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "10.1.2.3:9464", "metrics.internal:9464"])
def test_nothing_beyond_loopback_without_a_token(lab: Lab, listen: str) -> None:
    with (
        pytest.raises(UsageError, match="anybody") as refused,
        serving(Metrics(lab.services()), listen, None),
    ):
        pass
    assert "METRICS_TOKEN" in refused.value.remedy


@pytest.mark.parametrize("listen", ["9464", ":9464", "localhost", "127.0.0.1:x", "127.0.0.1:70000"])
def test_what_is_no_address_is_refused(lab: Lab, listen: str) -> None:
    outcome = lab.run("run", "--metrics-listen", listen)
    assert outcome.code == 64
    assert "HOST:PORT" in outcome.err


def test_a_port_that_is_taken_is_an_error(lab: Lab) -> None:
    metrics = Metrics(lab.services())
    with (
        serving(metrics, "127.0.0.1:0", None) as address,
        pytest.raises(ReconcileError, match="Nothing can listen"),
        serving(metrics, address, None),
    ):
        pass


def test_a_client_that_says_nothing_keeps_nobody_out(lab: Lab) -> None:
    with serving(Metrics(lab.services()), "127.0.0.1:0", None) as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port))):
            assert get(address, "/healthz")[0] == 200


def test_run_shows_its_figures_and_prints_the_port_it_got(lab: Lab) -> None:
    environment = {**os.environ, **lab.environment, "METRICS_TOKEN": "canary-token"}
    text = (lab.root / "olake.yaml").read_text()
    settings = 'metrics: {listen: "0.0.0.0:0", token: "${env:METRICS_TOKEN}"}\njob_defaults'
    lab.write({"olake.yaml": text.replace("job_defaults", settings, 1)})
    command = [sys.executable, "-m", "olake_reconcile", "-C", str(lab.root), "run"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as loop:
        assert loop.stderr is not None
        try:
            found = next(
                m for line in loop.stderr if (m := re.search(r"http://0\.0\.0\.0:(\d+)/metrics", line))
            )
            address = f"127.0.0.1:{found[1]}"
            assert get(address, "/metrics")[0] == 401
            assert get(address, "/healthz") == (200, "ok\n")
            _, text = get(address, "/metrics", {"Authorization": "Bearer canary-token"})
            assert of(text.encode(), "jobs") == 1
        finally:
            loop.send_signal(signal.SIGTERM)
            _, err = loop.communicate(timeout=60)
    assert loop.returncode == 0
    assert "canary-token" not in err
