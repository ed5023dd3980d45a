"""Runs: statuses, exit codes, what is lost, what is told (design §7), from the command line."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from olake_reconcile.model.run import RunStatus
from olake_reconcile.state.holder import this_process
from tests.lifecycle.background import a_running_sync, background
from tests.workspaces import CANARY, DAILY_YAML, Lab


@pytest.fixture
def applied(lab: Lab) -> Lab:
    lab.apply()
    return lab


def test_a_run_in_which_all_streams_commit_is_completed(applied: Lab) -> None:
    outcome = applied.ok("sync", "daily")
    assert "completed: 42,400 rows." in outcome.out
    run = applied.store.runs("daily")[0]
    assert (run.status, run.rows, run.error) == (RunStatus.COMPLETED, 42_400, "")


def test_one_streams_failure_fails_the_run_and_leaves_the_others_completed(applied: Lab) -> None:
    applied.world(failures={"public.customers": "bad page"})
    outcome = applied.run("sync", "daily")
    assert outcome.code == 1
    assert "bad page" in outcome.err
    run = applied.store.runs("daily")[0]
    assert run.status is RunStatus.FAILED
    assert {str(s.stream): s.status for s in run.streams} == {
        "public.customers": RunStatus.FAILED,
        "public.orders": RunStatus.COMPLETED,
    }
    phases = {str(i): s.phase for i, s in applied.store.read().jobs["daily"].streams.items()}
    assert phases == {"public.customers": "pending", "public.orders": "live"}


def test_a_job_that_was_never_applied_is_an_error_that_says_what_to_do(applied: Lab) -> None:
    outcome = applied.run("sync", "dayly")
    assert outcome.code == 1
    assert "'dayly'" in outcome.err
    assert "olake-reconcile apply" in outcome.err
    assert not applied.store.runs()


def test_a_locked_job_exits_5_and_names_the_holder(applied: Lab) -> None:
    applied.store.acquire("job:daily", this_process(), "sync", applied.services().clock.now())
    outcome = applied.run("sync", "daily")
    assert outcome.code == 5
    assert str(this_process()) in outcome.err


def test_an_apply_beside_another_exits_5_and_applies_nothing(lab: Lab) -> None:
    lab.store.create()
    lab.store.acquire("apply", this_process(), "apply", lab.services().clock.now())
    outcome = lab.run("apply", "--auto-approve")
    assert outcome.code == 5
    assert str(this_process()) in outcome.err
    assert not lab.store.read().jobs


def test_a_run_whose_process_was_killed_becomes_failed_lost(applied: Lab) -> None:
    with a_running_sync(applied) as running:
        os.kill(running.run_pid(), signal.SIGKILL)
        code, said = running.end()
    assert code == 1
    assert "lost: its process died" in said
    lost = applied.store.runs("daily")[0]
    assert (lost.status, lost.error) == (RunStatus.FAILED, "lost: its process died")
    assert not applied.store.leases()
    applied.world(held_up=[])
    applied.ok("sync", "daily")
    assert "lost" in applied.ok("history", "daily").err


def test_a_run_whose_process_died_is_shown_as_failed_before_anybody_closes_it(applied: Lab) -> None:
    with a_running_sync(applied) as running:
        pid = running.run_pid()
        running.process.kill()
        running.process.wait()
        os.kill(pid, signal.SIGKILL)
    assert applied.store.runs("daily")[0].status is RunStatus.RUNNING
    job = json.loads(applied.ok("status", "--json").out)["jobs"][0]
    assert (job["state"], job["last_run"]["status"]) == ("failing", "failed")
    history = applied.ok("history", "daily")
    assert "failed" in history.out
    assert "lost: its process died" in history.err
    assert "Lost: its process died." in applied.ok("explain", "daily").out
    assert "failed" in applied.ok("explain", "daily/public.customers").out
    assert applied.store.runs("daily")[0].status is RunStatus.RUNNING, "looking writes nothing"


def test_the_record_of_a_lost_run_names_the_streams_that_it_had_not_begun(applied: Lab) -> None:
    with a_running_sync(applied) as running:
        os.kill(running.run_pid(), signal.SIGKILL)
        running.end()
    outcomes = {str(o.stream): (o.status, o.error) for o in applied.store.runs("daily")[0].streams}
    assert outcomes == {
        "public.customers": (RunStatus.FAILED, "lost: its process died"),
        "public.orders": (RunStatus.FAILED, "not begun: the run's process died before"),
    }


def test_an_unset_secret_fails_the_run_in_words(applied: Lab) -> None:
    del applied.environment["SHOP_PASSWORD"]
    outcome = applied.run("sync", "daily")
    assert outcome.code == 1
    assert "SHOP_PASSWORD" in outcome.err
    assert applied.store.runs("daily")[0].status is RunStatus.FAILED


def test_a_sync_uses_the_applied_settings_and_says_when_the_files_differ(applied: Lab) -> None:
    applied.write(
        {"jobs/daily.yaml": DAILY_YAML.replace("public.orders:", "public.orders: {filter: id > 1}")}
    )
    outcome = applied.ok("sync", "daily")
    assert "differ from what was applied" in outcome.err
    assert "filter" not in applied.tables["sales.orders"]["settings"]
    applied.write({"jobs/daily.yaml": "kind: Nonsense\n"})
    assert "the files have mistakes" in applied.ok("sync", "daily").err


# What is told


def test_status_lists_jobs_with_their_last_and_next_run(applied: Lab) -> None:
    before = applied.ok("status").out
    assert "never" in before
    assert "2 (2 pending)" in before
    applied.ok("sync", "daily")
    shown = applied.ok("status").out.splitlines()[1].split()
    assert shown[:3] == ["daily", "active", "2"]
    document = json.loads(applied.ok("status", "--json").out)["jobs"][0]
    assert document["state"] == "active"
    assert document["streams"] == {"public.customers": "live", "public.orders": "live"}
    assert document["last_run"]["status"] == "completed"
    assert document["next_run_reason"] == "schedule"


def test_status_tells_failing_inactive_and_unmanaged_jobs_apart(applied: Lab) -> None:
    def state() -> str:
        return str(json.loads(applied.ok("status", "--json").out)["jobs"][0]["state"])

    applied.world(failures={"public.orders": "no"})
    applied.run("sync", "daily")
    assert state() == "failing"
    applied.world(failures={})
    applied.ok("sync", "daily")
    applied.remove("jobs/daily.yaml")
    assert state() == "unmanaged"
    applied.write({"jobs/daily.yaml": DAILY_YAML + "active: false\n"})
    applied.apply()
    assert state() == "inactive"


def test_history_lists_runs_latest_first_with_rows_and_errors_per_stream(applied: Lab) -> None:
    assert "No runs yet." in applied.ok("history").out
    applied.ok("sync", "daily")
    applied.world(failures={"public.orders": "bad page"})
    applied.run("sync", "daily")
    shown = applied.ok("history", "daily")
    statuses = [line.split()[-2] for line in shown.out.splitlines() if line.startswith("20")]
    assert statuses == ["failed", "completed"]
    assert "public.orders: bad page" in shown.err
    runs = json.loads(applied.ok("history", "--json").out)["runs"]
    assert [run["status"] for run in runs] == ["failed", "completed"]
    assert {s["stream"]: s["rows"] for s in runs[1]["streams"]} == {
        "public.customers": 1200,
        "public.orders": 41200,
    }
    assert len(json.loads(applied.ok("history", "--json", "--limit", "1").out)["runs"]) == 1


def test_logs_of_a_run_are_found_by_the_beginning_of_its_id(applied: Lab) -> None:
    applied.ok("sync", "daily")
    run = applied.store.runs("daily")[0].id
    lines = [json.loads(line) for line in applied.ok("logs", run[:-1], "--json").out.splitlines()]
    assert [line["action"] for line in lines] == [
        "run_started",
        *["stream_started", "stream_committed"] * 2,
        "run_ended",
    ]
    assert "public.orders: committed 41,200 rows" in applied.ok("logs", run).out
    assert applied.run("logs", "1999").code == 64


def test_sigterm_ends_a_command_as_ctrl_c_does(applied: Lab) -> None:
    applied.ok("sync", "daily", "--detach")
    with background(applied, "logs", "daily", "--follow") as following:
        following.wait_for("is queued")
        following.process.terminate()
        code, said = following.end()
    assert (code, said.strip()) == (130, "Interrupted.")


# Secrets


def test_a_secret_is_in_no_output_file_or_state_failures_included(
    lab: Lab, capfd: pytest.CaptureFixture[str]
) -> None:
    def everything(*arguments: str) -> None:
        outcome = lab.run(*arguments)
        assert CANARY not in outcome.text, arguments

    lab.world(failures={"public.customers": f"password {CANARY} was refused"})
    commands: list[list[str]] = [
        ["validate"], ["check"], ["discover"], ["plan"], ["plan", "--json"], ["apply", "--auto-approve"],
        ["sync", "daily"], ["status"], ["history", "daily"], ["history", "--json"], ["reconcile"],
        ["plan", "--out", "a.plan"], ["apply", "a.plan"],
    ]  # fmt: skip
    for command in commands:
        everything(*command)
    lab.write({"jobs/daily.yaml": DAILY_YAML.replace("public.orders:", "public.orders: {filter: id > 1}")})
    lab.world(unreachable=["source.shop", "destination.lake"])
    for command in commands:
        everything(*command)
    everything("logs", lab.store.runs("daily")[0].id)
    assert "(sensitive)" in lab.run("history", "daily").text, "the canary was there to be redacted"
    guilty = [p for p in lab.root.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()]
    assert not guilty
    printed = capfd.readouterr()
    assert CANARY not in printed.out + printed.err


def test_a_password_in_plain_text_is_refused_and_not_repeated(lab: Lab) -> None:
    from tests.workspaces import PROJECT_YAML

    lab.write({"olake.yaml": PROJECT_YAML.replace("${env:SHOP_PASSWORD}", CANARY)})
    for command in (["validate"], ["plan"], ["apply", "--auto-approve"], ["validate", "--json"]):
        outcome = lab.run(*command)
        assert outcome.code == 1
        assert CANARY not in outcome.text


# The exit codes


def everything_is(lab: Lab) -> None:
    """Leave it as it is: nothing applied."""


def applied_(lab: Lab) -> None:
    lab.apply()


def synced_(lab: Lab) -> None:
    lab.apply()
    lab.ok("sync", "daily")


def blocked_(lab: Lab) -> None:
    lab.write(
        {"jobs/daily.yaml": DAILY_YAML.replace("public.orders:", "public.orders: {protect: {rebuild: true}}")}
    )
    synced_(lab)
    lab.write(
        {
            "jobs/daily.yaml": DAILY_YAML.replace(
                "public.orders:", "public.orders: {protect: {rebuild: true}, filter: id > 1}"
            )
        }
    )


def invalid_(lab: Lab) -> None:
    lab.apply()
    lab.write({"jobs/daily.yaml": "kind: Job\nname: daily\nstream: 1\n"})


def failing_(lab: Lab) -> None:
    lab.apply()
    lab.world(failures={"public.orders": "no"})


def locked_(lab: Lab) -> None:
    lab.apply()
    now = lab.services().clock.now()
    for lease in ("apply", "job:daily"):
        lab.store.acquire(lease, this_process(), "something", now)
    lab.write({"jobs/daily.yaml": DAILY_YAML.replace("@hourly", "@daily")})


def paused_(lab: Lab) -> None:
    lab.apply()
    lab.ok("pause", "daily")


def stale_(lab: Lab) -> None:
    lab.apply()
    lab.write({"jobs/daily.yaml": DAILY_YAML.replace("@hourly", "@daily")})
    lab.ok("plan", "--out", "saved.plan")
    lab.write({"jobs/daily.yaml": DAILY_YAML.replace("@hourly", "@weekly")})
    lab.apply()


def partly_(lab: Lab) -> None:
    lab.write({"jobs/other.yaml": DAILY_YAML.replace("daily", "other").replace("sales", "other")})
    synced_(lab)
    lab.ok("sync", "other")
    for name in ("daily", "other"):
        path = lab.root / f"jobs/{name}.yaml"
        path.write_text(path.read_text().replace("public.orders:", "public.orders: {filter: id > 1}"))
    lab.world(failures={"other.orders": "the catalog went away"})


EXITS: list[tuple[int, Any, list[str]]] = [
    (0, everything_is, ["--help"]),
    (0, everything_is, ["--version"]),
    (0, everything_is, ["validate"]),
    (0, everything_is, ["plan"]),
    (0, synced_, ["plan", "--detailed-exitcode"]),
    (0, blocked_, ["plan"]),
    (0, applied_, ["sync", "daily"]),
    (0, applied_, ["reconcile"]),
    (0, everything_is, ["status"]),
    (1, invalid_, ["validate"]),
    (1, invalid_, ["plan"]),
    (1, invalid_, ["plan", "--detailed-exitcode"]),
    (1, invalid_, ["apply", "--auto-approve"]),
    (1, invalid_, ["reconcile"]),
    (1, failing_, ["sync", "daily"]),
    (1, applied_, ["sync", "unknown"]),
    (1, everything_is, ["apply"]),
    (2, everything_is, ["plan", "--detailed-exitcode"]),
    (3, blocked_, ["plan", "--detailed-exitcode"]),
    (3, blocked_, ["apply", "--auto-approve"]),
    (3, paused_, ["sync", "daily"]),
    (4, stale_, ["apply", "saved.plan"]),
    (5, locked_, ["sync", "daily"]),
    (5, locked_, ["apply", "--auto-approve"]),
    (6, partly_, ["apply", "--auto-approve"]),
    (64, everything_is, ["nonsense"]),
    (64, everything_is, ["plan", "--nonsense"]),
    (64, everything_is, ["sync"]),
    (64, everything_is, ["check", "source.unknown"]),
    (64, applied_, ["history", "unknown"]),
    (64, applied_, ["logs", "unknown"]),
]


@pytest.mark.parametrize(
    ("code", "given", "arguments"),
    EXITS,
    ids=[f"{code} {given.__name__.strip('_')}: {' '.join(arguments)}" for code, given, arguments in EXITS],
)
def test_exit_codes(lab: Lab, code: int, given: Any, arguments: list[str]) -> None:
    given(lab)
    outcome = lab.run(*arguments)
    assert outcome.code == code, outcome.text
    assert "Traceback" not in outcome.text


def test_no_workspace_here_is_an_error_in_words(tmp_path: Path, lab: Lab) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    outcome = lab.run("-C", str(empty), "plan")
    assert outcome.code in (1, 64)
    assert "olake.yaml" in outcome.err


def test_interrupted_exits_130(applied: Lab) -> None:
    with a_running_sync(applied) as running:
        running.process.send_signal(signal.SIGINT)
        code, _ = running.end()
    assert code == 130
    assert applied.store.runs("daily")[0].status is RunStatus.CANCELED
