"""Plans that adopt tables: because a file says so, or because the state was lost and the marks fit."""

from __future__ import annotations

from typing import Any

import pytest

from olake_reconcile.model.desired import Desired, Imported
from olake_reconcile.model.names import parse_address
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.stored import Stored
from olake_reconcile.model.table import Owner, TableAbsent, TableFacts, TablePlace, TableStatus
from olake_reconcile.plan.actions import Action, Create, Import
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import build_plan, summarise
from tests.builders import PROJECT_UID, a_desired, a_job, a_stream, stored_of

PLACE = TablePlace(database="sales", table="orders")


def a_table(owner: Owner | None = None) -> TableFacts:
    return TableFacts(rows=7, bytes=700, files=1, owner=owner, snapshot="s1")


def an_owner(**changes: Any) -> Owner:
    given = {
        "project": PROJECT_UID,
        "environment": "default",
        "job": "daily",
        "stream": "u-old",
        "stream_id": "public.orders",
        "generation": 4,
    }
    return Owner(**{**given, **changes})


def imported(address: str = "daily/public.orders", table: TablePlace | None = None) -> Imported:
    return Imported(parse_address(address), table)


def planned(
    status: TableStatus | None, *said: Imported, desired: Desired | None = None, stored: Stored | None = None
) -> Action:
    """Return what happens to the one stream of a new job."""
    desired = desired or a_desired(imports=said)
    tables = {} if status is None else {("lake", PLACE): status}
    plan = build_plan(desired, stored or Stored(), Observed(tables=tables), Options())
    [action] = [a for a in plan.changes if a.address.short == "daily/public.orders"]
    return action


def test_a_foreign_table_is_adopted_when_a_file_says_so() -> None:
    for said in (imported(), imported(table=PLACE), imported("daily")):
        action = planned(a_table(), said)
        assert isinstance(action, Import)
        assert (action.uid, action.generation, action.blocked) == ("", 1, ())
        assert summarise([action]).import_ == 1


def test_without_a_document_a_foreign_table_blocks_and_the_document_is_printed() -> None:
    action = planned(a_table())
    assert isinstance(action, Create)
    assert '{kind: Import, address: "daily/public.orders"}' in action.blocked[0].remedy


@pytest.mark.parametrize("stream_id", ["public.orders", ""])
def test_our_own_table_is_taken_back_by_its_marks_when_the_state_is_lost(stream_id: str) -> None:
    action = planned(a_table(an_owner(stream_id=stream_id)))
    assert isinstance(action, Import)
    assert (action.uid, action.generation, action.blocked) == ("u-old", 4, ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"job": "nightly"}, "of job nightly/public.orders"),
        ({"stream_id": "public.items"}, "of job daily/public.items"),
        ({"environment": "staging"}, "in environment staging"),
        ({"project": "other"}, "of project other"),
    ],
)
def test_marks_that_do_not_fit_block_and_say_whose_the_table_is(changes: dict[str, Any], words: str) -> None:
    action = planned(a_table(an_owner(**changes)))
    assert isinstance(action, Create)
    assert words in action.blocked[0].message


def test_a_table_of_a_deployed_stream_is_never_taken() -> None:
    desired = a_desired(a_job("daily", a_stream("public.orders"), a_stream("public.items")))
    stored = stored_of(a_desired(a_job("daily", a_stream("public.items"))))
    owner = an_owner(stream="u-daily-public.items")
    assert isinstance(planned(a_table(owner), desired=desired, stored=stored), Create)
    said = a_desired(*desired.jobs.values(), imports=(imported(),))
    action = planned(a_table(owner), desired=said, stored=stored)
    assert [b.code for b in action.blocked] == ["import-taken"]


@pytest.mark.parametrize(
    ("status", "table", "code"),
    [
        (TableAbsent(), None, "import-nothing"),
        (None, None, "import-unknown"),
        (a_table(), TablePlace(database="sales", table="other"), "import-elsewhere"),
    ],
)
def test_an_import_that_cannot_be_is_blocked(
    status: TableStatus | None, table: TablePlace | None, code: str
) -> None:
    action = planned(status, imported(table=table))
    assert [b.code for b in action.blocked] == [code]


def test_of_a_jobs_streams_those_without_a_table_are_created() -> None:
    assert isinstance(planned(TableAbsent(), imported("daily")), Create)


def test_what_is_stored_is_imported_no_more() -> None:
    desired = a_desired(imports=(imported(),))
    plan = build_plan(desired, stored_of(desired), Observed(tables={("lake", PLACE): a_table()}))
    assert not plan.changes


def test_a_table_of_another_project_is_taken_over_only_by_a_document() -> None:
    action = planned(a_table(an_owner(project="other", stream="u-theirs")), imported())
    assert isinstance(action, Import)
    assert action.uid == ""
    assert "taken over from job daily of project other" in action.notes[0]
