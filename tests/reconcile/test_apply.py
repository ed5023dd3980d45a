"""Apply: its journal, its refusals, its consent (design §5 and §6), from the command line."""

from __future__ import annotations

import pytest

from olake_reconcile.errors import StalePlan
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.journal import ApplyStatus, StepKind, StepStatus
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan
from olake_reconcile.reconcile.apply import apply_plan
from olake_reconcile.reconcile.observe import make_plan
from olake_reconcile.wiring import read_offline
from tests.workspaces import DAILY_YAML, PROJECT_YAML, Lab

REBUILD = DAILY_YAML.replace("public.orders:", "public.orders: {partition_by: [day(at)]}")
NIGHTLY = """\
kind: Job
name: nightly
streams:
  public.items: {sync_mode: full_refresh, destination_database: other}
"""
BOTH_REBUILT = REBUILD, NIGHTLY.replace("other}", "other, partition_by: [day(at)]}")


@pytest.fixture
def synced(lab: Lab) -> Lab:
    lab.write({"jobs/nightly.yaml": NIGHTLY})
    lab.apply()
    lab.ok("sync", "daily")
    lab.ok("sync", "nightly")
    return lab


def steps(lab: Lab) -> list[tuple[StepKind, str]]:
    """Return the steps of the last apply, which must all have ended."""
    last = lab.store.applies(limit=1)[0]
    found = lab.store.journal(last.id)
    assert [s.seq for s in found] == list(range(1, len(found) + 1))
    assert {s.status for s in found} <= {StepStatus.DONE}
    return [(s.kind, s.subject) for s in found]


def desired(lab: Lab) -> Desired:
    found = read_offline(lab.root, lab.services().secrets).desired
    assert found is not None
    return found


def plan_of(lab: Lab) -> Plan:
    plan, _ = make_plan(lab.services(), desired(lab), {}, Options(), connect=True)
    return plan


# The journal


def test_a_first_apply_stores_endpoints_then_jobs_then_their_schedule(lab: Lab) -> None:
    lab.apply()
    assert steps(lab) == [
        (StepKind.ENDPOINT_STORED, "source.shop"),
        (StepKind.ENDPOINT_STORED, "destination.lake"),
        (StepKind.SETTINGS_STORED, "job.daily"),
        (StepKind.SCHEDULE_RESTORED, "job.daily"),
    ]
    assert lab.store.applies()[0].status is ApplyStatus.COMPLETED


def test_a_rebuild_takes_its_steps_in_the_order_that_recovery_is_built_on(synced: Lab) -> None:
    synced.write(
        {"jobs/daily.yaml": REBUILD.replace("public.customers:", "public.customers: {write_mode: append}")}
    )
    synced.apply()
    assert steps(synced) == [
        (StepKind.SCHEDULE_STOPPED, "job.daily"),
        (StepKind.STREAM_CLEARED, 'job.daily.stream["public.customers"]'),
        (StepKind.STREAM_CLEARED, 'job.daily.stream["public.orders"]'),
        (StepKind.SETTINGS_STORED, "job.daily"),
        (StepKind.SCHEDULE_RESTORED, "job.daily"),
        (StepKind.MADE_DUE, "job.daily"),
    ]


def test_an_edit_in_place_clears_nothing_and_leaves_the_schedule_alone(synced: Lab) -> None:
    due = synced.store.read().jobs["daily"].due
    synced.write({"jobs/daily.yaml": DAILY_YAML.replace("public.orders:", "public.orders: {threads: 4}")})
    synced.apply()
    assert steps(synced) == [(StepKind.SETTINGS_STORED, "job.daily")]
    assert synced.store.read().jobs["daily"].due == due
    assert "sales.orders" in synced.tables


def test_a_rebuilt_job_is_due_now_and_with_no_sync_waits_for_its_schedule(synced: Lab) -> None:
    synced.write({"jobs/daily.yaml": REBUILD})
    synced.apply("--no-sync")
    job = synced.store.read().jobs["daily"]
    assert job.due_reason == "schedule"
    synced.write({"jobs/daily.yaml": DAILY_YAML})
    synced.ok("sync", "daily")
    outcome = synced.apply()
    assert "olake-reconcile sync daily" in outcome.out
    assert synced.store.read().jobs["daily"].due_reason == "apply"


def test_a_clear_is_a_run_of_its_own_in_the_history(synced: Lab) -> None:
    synced.write({"jobs/daily.yaml": REBUILD})
    synced.apply()
    assert "Clear Destination" in synced.ok("history", "daily").out
    assert "sales.orders" not in synced.tables
    assert "sales.customers" in synced.tables


def test_a_stream_added_to_an_applied_job_is_applied(synced: Lab) -> None:
    synced.write({"jobs/daily.yaml": DAILY_YAML + "  public.items:\n"})
    synced.apply()
    assert len(synced.store.read().jobs["daily"].streams) == 3
    assert "No changes." in synced.ok("plan").out


def test_applying_again_does_nothing(synced: Lab) -> None:
    before = synced.store.applies()
    assert "No changes." in synced.apply().out
    assert synced.store.applies() == before


# Failures


def test_a_job_that_fails_leaves_the_others_applied(synced: Lab) -> None:
    synced.write({"jobs/daily.yaml": BOTH_REBUILT[0], "jobs/nightly.yaml": BOTH_REBUILT[1]})
    theirs = synced.tables["other.items"] | {"owner": None}
    synced.world(tables=synced.tables | {"other.items": theirs})
    outcome = synced.run("apply", "--auto-approve", "--no-refresh")  # a look would have blocked it
    assert outcome.code == 6, outcome.text
    assert "1 jobs applied, 1 failed; nightly:" in outcome.err
    assert "sales.orders" not in synced.tables
    assert "other.items" in synced.tables
    assert synced.store.applies()[0].status is ApplyStatus.PARTLY
    plan = synced.ok("plan").out
    assert "daily/public.orders" not in plan
    assert "nightly/public.items must be rebuilt" in plan


def test_a_single_job_that_fails_exits_with_its_own_error_and_changes_nothing(synced: Lab) -> None:
    due = synced.store.read().jobs["daily"].due
    synced.write({"jobs/daily.yaml": REBUILD})
    synced.world(unreachable=["destination.lake"])
    outcome = synced.run("apply", "--auto-approve")
    assert outcome.code == 1, outcome.text
    synced.world(unreachable=[])
    assert "sales.orders" in synced.tables
    assert synced.store.read().jobs["daily"].due == due
    assert synced.store.applies()[0].status is ApplyStatus.FAILED
    synced.apply()
    assert "sales.orders" not in synced.tables


def test_a_failure_after_the_first_clear_is_gone_on_with_by_the_next_apply(synced: Lab) -> None:
    both = REBUILD.replace("public.customers:", "public.customers: {write_mode: append}")
    synced.write({"jobs/daily.yaml": both})
    synced.world(failures={"sales.orders": "the catalog went away"})
    outcome = synced.run("apply", "--auto-approve")
    assert outcome.code == 1
    assert "the catalog went away" in outcome.err
    synced.world(failures={})
    assert "sales.customers" not in synced.tables
    assert "sales.orders" in synced.tables
    synced.apply()
    assert "sales.orders" not in synced.tables
    assert {s.generation for s in synced.store.read().jobs["daily"].streams.values()} == {2}
    assert not synced.store.applies(ApplyStatus.RUNNING)


def test_an_apply_of_a_stale_plan_is_refused_before_its_first_write(synced: Lab) -> None:
    synced.write({"jobs/daily.yaml": REBUILD})
    stale = plan_of(synced)
    synced.write({"jobs/daily.yaml": DAILY_YAML.replace("public.orders:", "public.orders: {threads: 4}")})
    synced.apply()
    before = synced.store.read(), synced.tables
    with pytest.raises(StalePlan):
        apply_plan(synced.services(), lambda: stale, lambda step: None)
    assert (synced.store.read(), synced.tables) == before


# Refusals and consent


def test_a_blocked_plan_applies_nothing_and_prints_the_line_that_lets_it(synced: Lab) -> None:
    protected = DAILY_YAML.replace("public.orders:", "public.orders: {protect: {rebuild: true}}")
    synced.write({"jobs/daily.yaml": protected})
    synced.apply()
    edited = protected.replace("true}}", "true}, partition_by: [day(at)]}")
    synced.write({"jobs/daily.yaml": edited, "jobs/nightly.yaml": BOTH_REBUILT[1]})
    before = synced.store.read(), synced.tables
    outcome = synced.run("apply", "--auto-approve")
    assert outcome.code == 3
    assert (synced.store.read(), synced.tables) == before
    line = outcome.err.strip().splitlines()[-1].strip()
    assert line == "olake-reconcile apply --allow-rebuild daily/public.orders"
    synced.apply(*line.split()[2:])
    assert "sales.orders" not in synced.tables
    assert "other.items" not in synced.tables


@pytest.mark.parametrize(
    "address", ["daily/public.orders", "daily", "d*", 'job.daily.stream["public.orders"]']
)
def test_consent_is_given_by_address_in_any_of_its_forms(synced: Lab, address: str) -> None:
    protected = DAILY_YAML.replace("public.orders:", "public.orders: {protect: {rebuild: true}}")
    synced.write({"jobs/daily.yaml": protected})
    synced.apply()
    synced.write({"jobs/daily.yaml": protected.replace("true}}", "true}, partition_by: [day(at)]}")})
    assert synced.run("apply", "--auto-approve", "--allow-rebuild", "nightly").code == 3
    assert synced.run("apply", "--auto-approve", "--allow-delete", address).code == 3
    synced.apply("--allow-rebuild", address)
    assert "sales.orders" not in synced.tables


def test_without_a_terminal_the_error_is_the_exact_line_to_paste(lab: Lab) -> None:
    outcome = lab.run("apply", "--lock-timeout", "5")
    assert outcome.code == 1
    assert not lab.store.read().exists
    line = outcome.err.strip().splitlines()[-1].partition("then run: ")[2]
    assert line == "olake-reconcile apply --lock-timeout 5 --auto-approve"
    lab.ok(*line.split()[1:])
    assert "daily" in lab.store.read().jobs


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("y", 1), ("", 1), ("YES", 1), ("no", 1)])
def test_at_a_terminal_only_yes_applies(lab: Lab, answer: str, code: int) -> None:
    assert lab.run("apply", answer=answer).code == code
    assert lab.store.read().exists == (code == 0)


# Endpoints


def test_endpoints_that_nothing_declares_or_uses_are_removed_last(lab: Lab) -> None:
    old = "---\nkind: Source\nname: old\ntype: postgres\nconfig: {host: h, database: d, username: u}\n"
    lab.write({"olake.yaml": PROJECT_YAML + old})
    lab.apply()
    assert set(lab.store.read().sources) == {"shop", "old"}
    lab.write({"olake.yaml": PROJECT_YAML, "jobs/nightly.yaml": NIGHTLY})
    lab.apply()
    assert steps(lab)[-1] == (StepKind.ENDPOINT_REMOVED, "source.old")
    assert set(lab.store.read().sources) == {"shop"}


def test_a_source_of_an_unmanaged_job_stays(lab: Lab) -> None:
    lab.write(
        {
            "olake.yaml": PROJECT_YAML
            + ("---\nkind: Source\nname: crm\ntype: postgres\nconfig: {host: h, database: d, username: u}\n"),
            "jobs/crm.yaml": NIGHTLY.replace("name: nightly", "name: crm\nsource: crm"),
        }
    )
    lab.apply()
    lab.remove("jobs/crm.yaml")
    lab.write({"olake.yaml": PROJECT_YAML})
    outcome = lab.apply()
    assert "Unmanaged" in outcome.out
    assert set(lab.store.read().sources) == {"shop", "crm"}
    lab.ok("sync", "crm")


def test_an_apply_needs_every_secret_and_a_plan_needs_none(lab: Lab) -> None:
    del lab.environment["SHOP_PASSWORD"]
    assert lab.ok("plan").code == 0
    outcome = lab.run("apply", "--auto-approve")
    assert outcome.code == 1
    assert "SHOP_PASSWORD" in outcome.err
    assert not lab.store.read().jobs


def test_plan_never_writes_state(lab: Lab) -> None:
    lab.ok("plan")
    lab.ok("plan", "--json")
    assert not (lab.root / ".olake" / "state.db").exists()
