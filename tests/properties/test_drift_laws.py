"""Laws of drift over random workspaces: it is beside the plan, and what is as we left it has none."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from olake_reconcile.model.desired import Desired
from olake_reconcile.model.names import Address
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.stored import Stored
from olake_reconcile.model.table import Owner, TableAbsent, TableFacts
from olake_reconcile.plan.document import plan_document, plan_hash, read_plan
from olake_reconcile.plan.drift import Drift, DriftKind, DriftReport
from olake_reconcile.plan.find_drift import find_drift
from olake_reconcile.plan.plan import build_plan
from tests.builders import PROJECT_UID, stored_of
from tests.properties.strategies import states, workspaces

KINDS = st.sampled_from(DriftKind)
DRIFTS = st.lists(st.builds(Drift, address=st.just("job.daily"), kind=KINDS, message=st.text()), max_size=5)


def healthy(stored: Stored) -> Observed:
    """Every table as our last run left it."""
    tables: dict[Any, Any] = {}
    for name, job in stored.jobs.items():
        for id_, stream in job.streams.items():
            owner = Owner(
                project=PROJECT_UID,
                environment="default",
                job=name,
                stream=stream.uid,
                generation=stream.generation,
                stream_id=str(id_),
            )
            facts = TableFacts(rows=1, bytes=1, files=1, owner=owner, snapshot="1")
            tables[str(job.spec["destination"]), stream.place] = facts
    return Observed(tables=tables)


def drift_of(stored: Stored, observed: Observed, **given: Any) -> DriftReport:
    return find_drift(stored, observed, PROJECT_UID, "default", **given)


@given(desired=workspaces(), stored=states(), drifts=DRIFTS)
def test_drift_changes_neither_the_hash_nor_the_actions(
    desired: Desired, stored: Stored, drifts: list[Drift]
) -> None:
    plan = build_plan(desired, stored, Observed())
    moved = plan.model_copy(update={"drift": DriftReport(found=tuple(drifts), tables_unseen=1)})
    assert plan_hash(moved) == plan_hash(plan)
    document = plan_document(moved)
    assert document["resource_changes"] == plan_document(plan)["resource_changes"]
    assert plan_document(read_plan(document)) == document


@given(desired=workspaces())
def test_what_is_as_we_left_it_has_not_drifted(desired: Desired) -> None:
    stored = stored_of(desired)
    assert drift_of(stored, healthy(stored)).found == ()


@given(desired=workspaces())
def test_nobody_guesses_about_what_was_not_looked_at(desired: Desired) -> None:
    stored = stored_of(desired)
    report = drift_of(stored, Observed())
    assert report.found == ()
    assert report.tables_unseen == report.streams_unseen == sum(j.present for j in stored.jobs.values())


@given(desired=workspaces())
def test_the_drift_of_a_job_is_that_of_its_streams(desired: Desired) -> None:
    stored = stored_of(desired)
    gone = Observed(tables={place: TableAbsent() for place in healthy(stored).tables})
    for name, job in stored.jobs.items():
        whole = drift_of(stored, gone, addresses=[Address("job", name)])
        parts = [drift_of(stored, gone, addresses=[Address.of_stream(name, i)]) for i in sorted(job.streams)]
        assert whole.found == tuple(d for part in parts for d in part.found)
        assert len(whole.found) == job.present
