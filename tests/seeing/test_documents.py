"""What programs read: JSON with a version, the same facts as the text; and no secret in any of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from olake_reconcile.reconcile.explanation import Explanation
from tests.workspaces import CANARY, DAILY_YAML, Lab


@pytest.fixture
def failing(lab: Lab) -> Lab:
    """A job that has failed, after it had succeeded, with a secret in its error."""
    lab.apply()
    lab.ok("sync", "daily")
    lab.world(failures={"public.orders": f"password {CANARY} was refused"})
    lab.run("sync", "daily")
    return lab


def document(lab: Lab, *arguments: str) -> dict[str, Any]:
    found = json.loads(lab.ok(*arguments, "--json").out)
    assert found["format_version"] == "1.0"
    assert isinstance(found, dict)
    return found


def test_status_tells_state_freshness_and_runs(failing: Lab) -> None:
    [job] = document(failing, "status")["jobs"]
    assert (job["job"], job["state"], job["unmanaged"], job["hold"]) == ("daily", "failing", False, None)
    assert job["last_run"]["status"] == "failed"
    assert job["last_good_run"]["status"] == "completed"
    # As old as the snapshot of the last run that committed, which is older than that run's end.
    assert job["last_good_run"]["started"] <= job["fresh_as_of"] < job["last_good_run"]["ended"]
    assert job["stalest"] == "public.orders"


def test_status_of_one_job_tells_its_streams(failing: Lab) -> None:
    streams = {s["stream"]: s for s in document(failing, "status", "daily")["streams"]}
    assert streams["public.orders"]["last"] == "failed"
    assert "(sensitive)" in streams["public.orders"]["failing"]
    assert (streams["public.customers"]["rows"], streams["public.customers"]["phase"]) == (1200, "live")


@pytest.mark.parametrize(
    ("arguments", "jobs"),
    [
        (["--failing"], ["daily"]),
        (["d*"], ["daily"]),
        (["-l", "tier=1"], ["daily"]),
        (["-l", "tier=2"], []),
    ],
)
def test_status_is_filtered_by_trouble_name_and_label(
    failing: Lab, arguments: list[str], jobs: list[str]
) -> None:
    failing.write({"jobs/daily.yaml": DAILY_YAML + "labels: {tier: '1'}\n"})
    failing.apply()
    assert [job["job"] for job in document(failing, "status", *arguments)["jobs"]] == jobs


def test_what_no_filter_can_mean_is_wrong_usage(failing: Lab) -> None:
    for arguments in (["nothing"], ["x*"], ["-l", "tier"], ["--watch"]):
        assert failing.run("status", *arguments).code == 64, arguments


def test_history_is_filtered_and_shows_one_run(failing: Lab) -> None:
    runs = document(failing, "history")["runs"]
    assert [run["status"] for run in runs] == ["failed", "completed"]
    assert [r["id"] for r in document(failing, "history", "--status", "failed")["runs"]] == [runs[0]["id"]]
    assert document(failing, "history", "daily", "--since", "2h", "--type", "clear")["runs"] == []
    assert document(failing, "history", "--since", "2999-01-01")["runs"] == []
    [one] = document(failing, "history", runs[1]["id"])["runs"]
    assert one == runs[1]
    assert (one["rows"], one["job_type"]) == (42_400, "Sync")
    assert failing.run("history", "--since", "yesterday").code == 64


def test_explain_is_a_document_of_its_model(failing: Lab) -> None:
    for address in ("daily", "daily/public.orders", "source.shop", "destination.lake"):
        found = document(failing, "explain", address)
        found.pop("format_version")
        assert Explanation.model_validate(found).statements
    topics = {s["topic"]: s for s in document(failing, "explain", "daily")["statements"]}
    assert topics["Next run"]["facts"]["reason"] == "schedule"
    assert len(topics["Schedule"]["facts"]["due_times"]) == 3
    assert topics["Schedule"]["at"] == "jobs/daily.yaml:3"
    assert "(sensitive)" in topics["Failure"]["text"]


def test_what_nobody_knows_cannot_be_explained(failing: Lab) -> None:
    for address in ("nothing", "daily/public.nothing", "source.nothing", "a b", "daily/x"):
        outcome = failing.run("explain", address)
        assert outcome.code == 64, address
        assert "Traceback" not in outcome.text


def test_what_was_never_applied_is_explained_from_the_files(lab: Lab) -> None:
    for address in ("daily", "daily/public.orders", "source.shop"):
        assert "never applied" in lab.ok("explain", address).out


def test_explain_tells_what_waits_for_consent_and_how_to_give_it(failing: Lab) -> None:
    failing.write(
        {"jobs/daily.yaml": DAILY_YAML.replace("public.orders:", "public.orders: {protect: {rebuild: true}}")}
    )
    failing.apply()
    failing.write(
        {
            "jobs/daily.yaml": DAILY_YAML.replace(
                "public.orders:", "public.orders: {protect: {rebuild: true}, filter: id > 1}"
            )
        }
    )
    statements = document(failing, "explain", "daily/public.orders")["statements"]
    consent = next(s for s in statements if s["topic"] == "Consent")
    assert "--allow-rebuild daily/public.orders" in consent["remedy"]
    assert any(s["topic"] == "Rebuild" and "41,200 rows" in s["text"] for s in statements)


def test_no_page_shows_a_secret(failing: Lab) -> None:
    run = failing.store.runs("daily")[0].id
    pages = [
        ["status"], ["status", "daily"], ["history"], ["history", "daily"], ["history", run], ["logs", run],
        ["logs", run, "--follow"], ["explain", "daily"], ["explain", "daily/public.orders"], ["explain", "source.shop"],
    ]  # fmt: skip
    for page in pages:
        for more in ([], ["--json"]):
            assert CANARY not in failing.run(*page, *more).text, page
            assert CANARY not in failing.run("-vv", "--log-format", "json", *page, *more).text, page
