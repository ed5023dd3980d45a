"""Alerts: each incident is told once and once when it is over, through a real webhook where that matters."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from olake_reconcile.alerts.through_apprise import AppriseSender
from olake_reconcile.clock import ManualClock
from olake_reconcile.errors import Locked
from olake_reconcile.model.alert import Alert, AlertKind
from olake_reconcile.model.incident import Incident, Incidents
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.stored import Hold, StreamPhase
from olake_reconcile.reconcile.alert_text import MOST_NAMED, body, title
from olake_reconcile.reconcile.alerts import MOST_TRIES, Alerts
from olake_reconcile.reconcile.notice import Notice
from olake_reconcile.reconcile.pending import Pending, write_pending
from olake_reconcile.state.base import ALERTS_LOCK
from tests.alerts.webhook import a_webhook
from tests.workspaces import CANARY, DAILY_YAML, Lab, a_lab

EVERYTHING = Alert(url="${env:ALERT_URL}")


class Sent:
    """A sender that keeps messages, and fails with `trouble`."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.bodies: list[str] = []
        self.tried = 0
        self.trouble = ""

    def send(self, url: str, title: str, body: str) -> str:
        self.tried += 1
        if not self.trouble:
            self.titles.append(title)
            self.bodies.append(body)
        return self.trouble


class Watch:
    """A workspace with its one job applied and synced, and alerts over it on a clock moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.lab: Lab = a_lab(folder)
        self.lab.environment["ALERT_URL"] = "json://127.0.0.1:1/canary-token-7a"
        self.lab.apply()
        self.lab.ok("sync", "daily")
        self.clock = ManualClock(datetime.now(UTC))
        self.sent = Sent()
        self.rules: list[Alert] = [EVERYTHING]
        self.apply_trouble: str | None = ""
        self.notices: list[Notice] = []

    def alerts(self) -> Alerts:
        return Alerts(
            self.lab.services(clock=self.clock),
            self.sent,
            lambda: self.rules,
            lambda: self.apply_trouble,
            self.notices.append,
            "analytics",
        )

    def turn(self, later: float = 60) -> list[str]:
        """Look once, as a process of its own does; return the titles of what it sent."""
        self.clock.advance(timedelta(seconds=later))
        before = len(self.sent.titles)
        alerts = self.alerts()
        alerts.turn()
        alerts.leave()
        return self.sent.titles[before:]

    def fail(self) -> None:
        self.lab.world(failures={"public.orders": "row (4711, 'canary-row') is bad"})
        assert self.lab.run("sync", "daily").code == 1

    def mend(self) -> None:
        self.lab.world(failures={})
        self.lab.ok("sync", "daily")

    def phase(self, phase: StreamPhase) -> None:
        store = self.lab.store
        services = self.lab.services()
        lease = store.acquire("job:daily", services.holder, "test", self.clock.now())
        stream = store.read().jobs["daily"].streams[StreamId("public", "orders")]
        store.save_progress(
            "daily", stream.id, generation=stream.generation, phase=phase, position={}, fence=lease
        )
        store.release(lease)


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path)


def test_nothing_wrong_is_nothing_told(watch: Watch) -> None:
    assert watch.turn() == []
    assert watch.sent.tried == 0


def test_a_failed_run_is_told_once_and_once_when_it_is_over(watch: Watch) -> None:
    watch.fail()
    assert watch.turn() == ["[analytics] failed_run daily"]
    run = watch.lab.store.runs()[0]
    assert f"olake-reconcile logs {run.id}" in watch.sent.bodies[0]
    assert "since 20" in watch.sent.bodies[0]
    assert watch.turn() == []
    watch.fail()
    assert watch.turn() == [], "it fails still: the same incident"
    watch.mend()
    assert watch.turn() == ["[analytics] over: failed_run daily"]
    assert watch.turn() == []
    assert watch.lab.store.incidents() == Incidents()
    watch.fail()
    assert watch.turn() == ["[analytics] failed_run daily"], "and the next one is another incident"


def test_neither_rows_nor_secrets_are_told(watch: Watch) -> None:
    watch.fail()
    watch.turn()
    told = watch.sent.titles[0] + watch.sent.bodies[0] + watch.lab.store.incidents().model_dump_json()
    for canary in ("canary-row", "4711", CANARY, "canary-token-7a"):
        assert canary not in told
    for file in (watch.lab.root / ".olake").glob("state.db*"):
        assert b"canary-token-7a" not in file.read_bytes()


def test_an_incident_waits_while_a_retry_is_to_come(watch: Watch) -> None:
    watch.fail()
    store = watch.lab.store
    store.set_due("daily", watch.clock.now() + timedelta(hours=1), "retry 1 of 2", attempt=1)
    assert watch.turn() == []
    store.set_due("daily", None, "")
    assert watch.turn() == ["[analytics] failed_run daily"]


def test_a_held_job_is_neither_told_of_nor_over(watch: Watch) -> None:
    watch.fail()
    watch.turn()
    watch.lab.store.set_hold("daily", Hold(who="ann", since=watch.clock.now()))
    assert watch.turn() == []
    watch.lab.store.set_hold("daily", None)
    assert watch.turn() == []
    watch.mend()
    assert watch.turn() == ["[analytics] over: failed_run daily"]


@pytest.mark.parametrize(
    ("phase", "kind"),
    [(StreamPhase.NEEDS_RESYNC, "needs_resync"), (StreamPhase.QUARANTINED, "quarantined")],
)
def test_a_stream_that_cannot_go_on_is_told(watch: Watch, phase: StreamPhase, kind: str) -> None:
    watch.phase(phase)
    assert watch.turn() == [f"[analytics] {kind} daily/public.orders"]
    assert "olake-reconcile explain daily" in watch.sent.bodies[0]
    watch.phase(StreamPhase.LIVE)
    assert watch.turn() == [f"[analytics] over: {kind} daily/public.orders"]


def test_data_older_than_max_staleness_is_told(watch: Watch) -> None:
    watch.lab.write({"jobs/daily.yaml": DAILY_YAML + "max_staleness: 2h\n"})
    assert "max_staleness" in watch.lab.apply().text
    assert watch.turn(3600) == []
    assert watch.turn(3700) == ["[analytics] stale daily"]
    assert watch.turn() == []


def test_changes_that_wait_and_files_that_cannot_be_applied_are_told(watch: Watch) -> None:
    address = str(Address.of_stream("daily", "public.orders"))
    services = watch.lab.services()
    write_pending(services, Pending(plan_hash="h", addresses=(address,), since=watch.clock.now()))
    assert watch.turn() == ["[analytics] blocked_plan daily/public.orders"]
    write_pending(services, None)
    watch.apply_trouble = "the files have mistakes"
    assert watch.turn() == ["[analytics] 1 new, 1 over"]
    watch.apply_trouble = None
    assert watch.turn() == [], "a process that has not tried yet knows nothing"
    watch.apply_trouble = ""
    assert watch.turn() == ["[analytics] over: failed_apply project"]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"on": (AlertKind.STALE,)}, 0),
        ({"on": (AlertKind.FAILED_RUN,)}, 1),
        ({"jobs": ("night*",)}, 0),
        ({"jobs": ("da*",)}, 2),
        ({"labels": {"tier": "1"}}, 0),
    ],
)
def test_a_channel_hears_what_it_asked_for(watch: Watch, rule: dict[str, object], told: int) -> None:
    watch.rules = [EVERYTHING.model_copy(update=rule)]
    watch.fail()
    found = watch.turn()
    watch.mend()
    assert len(found + watch.turn()) == told
    assert watch.lab.store.incidents() == Incidents()


def test_many_at_once_are_one_message_with_a_bound(watch: Watch) -> None:
    now = watch.clock.now()
    many = [
        Incident(kind=AlertKind.NEEDS_RESYNC, address=f"j/public.t{n}", since=now, text="gone", remedy="x")
        for n in range(5000)
    ]
    assert title("p", many, []) == "[p] 5000 new"
    assert f"and {5000 - MOST_NAMED:,} more\nolake-reconcile status" in body(many, [])
    assert len(body(many, [])) < 4000


def test_hostile_names_address_nobody(watch: Watch) -> None:
    name = "j/public.<!channel>\n@here `x` [a](b)"
    incident = Incident(
        kind=AlertKind.STALE, address=name, since=watch.clock.now(), text="x" * 999, remedy="line"
    )
    told = title("p", [incident], []) + body([incident], [])
    assert not set("<>@`[]") & set(told.removeprefix("[p]").replace("[p]", ""))
    assert len(told.splitlines()) == 3
    assert len(told) < 400


def test_what_was_not_delivered_is_tried_again_ever_later_and_given_up_one_day(watch: Watch) -> None:
    watch.fail()
    watch.sent.trouble = "no"
    assert watch.turn() == []
    assert watch.turn(1) == []
    assert watch.sent.tried == 1, "not before its time"
    for _ in range(MOST_TRIES + 3):
        watch.turn(3700)
    assert watch.sent.tried == MOST_TRIES
    assert any("given up" in n.message for n in watch.notices)
    watch.sent.trouble = ""
    watch.mend()
    assert watch.turn() == ["[analytics] over: failed_run daily"]


def test_an_incident_that_is_over_before_anybody_heard_of_it_is_not_told(watch: Watch) -> None:
    watch.fail()
    watch.sent.trouble = "no"
    watch.turn()
    watch.mend()
    watch.sent.trouble = ""
    assert watch.turn(3700) == []
    assert watch.lab.store.incidents() == Incidents()


def test_only_one_process_tells(watch: Watch) -> None:
    watch.fail()
    services = watch.lab.services()
    other = services.holder.model_copy(update={"host": "elsewhere"})
    lease = watch.lab.store.acquire(ALERTS_LOCK, other, "alerts", watch.clock.now())
    assert watch.turn(1) == []
    watch.lab.store.release(lease)
    assert len(watch.turn(1)) == 1
    with pytest.raises(Locked):
        watch.lab.store.save_incidents(Incidents(), lease)


def test_a_secret_that_is_unset_is_told_to_the_operator(watch: Watch) -> None:
    watch.rules = [Alert(url="${env:NOT_SET_ANYWHERE}")]
    watch.fail()
    assert watch.turn() == []
    assert "NOT_SET_ANYWHERE" in watch.notices[0].message


def test_apprise_delivers_in_a_child_and_says_why_when_it_cannot() -> None:
    sender = AppriseSender()
    with a_webhook() as webhook:
        assert sender.send(webhook.url, "the title", "a\nb <&") == ""
        (took,) = webhook.took
        assert (took["title"], took["message"]) == ("the title", "a\nb <&")
        webhook.status = 500
        assert sender.send(webhook.url, "t", "b") == "it did not take the message"
    assert sender.send("canary-no-url", "t", "b") == "its URL is none that apprise knows"


def test_a_webhook_that_hangs_holds_nobody_for_long() -> None:
    with a_webhook() as webhook:
        webhook.answers.clear()
        why = AppriseSender(seconds=2).send(webhook.url, "t", "b")
        assert why in ("it did not answer within 2 seconds", "it did not take the message")


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.alerts.test_alerts import *
from olake_reconcile.state.store import SqlStore

def die(*given): os.kill(os.getpid(), signal.SIGKILL)

lab = Lab(Path(sys.argv[1])); lab.environment["ALERT_URL"] = sys.argv[2]
if sys.argv[3] == "die": SqlStore.save_incidents = die
clock = ManualClock(datetime.now(UTC))
alerts = Alerts(lab.services(clock=clock), AppriseSender(), lambda: [EVERYTHING], lambda: "", print, "analytics")
alerts.turn()
"""


@pytest.mark.crash
def test_kill_9_between_sending_and_writing_it_down_repeats_it_once(watch: Watch) -> None:
    watch.fail()
    with a_webhook() as webhook:

        def turn(how: str) -> int:
            given = [sys.executable, "-c", _KILLED, str(watch.lab.folder), webhook.url, how]
            return subprocess.run(given, cwd=Path(__file__).parents[2], check=False).returncode

        assert turn("die") == -signal.SIGKILL
        assert turn("live") == 0
        assert turn("live") == 0
        assert [m["title"] for m in webhook.took] == ["[analytics] failed_run daily"] * 2


def test_a_pass_of_the_loop_tells_through_the_real_library(watch: Watch) -> None:
    with a_webhook() as webhook:
        watch.lab.environment["ALERT_URL"] = webhook.url
        text = (watch.lab.root / "olake.yaml").read_text()
        alerts = 'alerts: [{url: "${env:ALERT_URL}", on: [failed_run, recovered]}]\njob_defaults'
        watch.lab.write({"olake.yaml": text.replace("job_defaults", alerts, 1)})
        watch.fail()
        for _ in range(2):
            outcome = watch.lab.run("reconcile")
            assert "canary" not in outcome.text.replace("canary-row", "")
        watch.mend()
        watch.lab.ok("reconcile")
        titles = [m["title"] for m in webhook.took]
    assert titles == ["[analytics] failed_run daily", "[analytics] over: failed_run daily"]
