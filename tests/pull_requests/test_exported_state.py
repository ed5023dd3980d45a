"""`plan --state-from FILE`, and the pipeline that sees no state at all."""

from __future__ import annotations

import json

import pytest

from tests.workspaces import CANARY, DAILY_YAML, Lab

FILTERED = DAILY_YAML.replace("public.orders:", "public.orders: {filter: id > 7}")


@pytest.fixture
def exported(lab: Lab) -> Lab:
    """An applied and synced workspace whose state was exported, and lost; the file has another filter now."""
    lab.apply()
    lab.ok("sync", "daily")
    (lab.folder / "state.json").write_text(lab.ok("state", "export").out)
    for path in (lab.root / ".olake").glob("state.db*"):
        path.unlink()
    lab.write({"jobs/daily.yaml": FILTERED})
    return lab


def test_an_exported_state_plans_like_the_state_itself(exported: Lab) -> None:
    document = json.loads(exported.ok("plan", "--state-from", "../state.json", "--json").out)
    assert document["summary"]["rebuild"] == 1
    assert document["resource_changes"][0]["impact"]["rate"] == 1000
    assert document["against"]["kind"] == "export"
    assert not list((exported.root / ".olake").glob("state.db*"))


def test_an_export_round_trips(exported: Lab) -> None:
    exported.write({"jobs/daily.yaml": DAILY_YAML})
    assert "No changes." in exported.ok("plan", "--state-from", "../state.json").out


def test_an_export_holds_no_secret_and_no_hash_of_one(exported: Lab) -> None:
    text = (exported.folder / "state.json").read_text()
    assert CANARY not in text
    assert '"values"' not in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no exported state"),
        ("[]", "no exported state"),
        ('{"resources": {}}', "has format None"),
        ('{"format_version": "2.0", "resources": {}}', "has format 2.0"),
        ('{"format_version": "1.0", "resources": {"job.a": {}}}', "damaged"),
        ('{"format_version": "1.0", "resources": {"job.a": 7}}', "damaged"),
        ('{"format_version": "1.0", "resources": {"job.a.stream[\\"p.t\\"]": {"id": "p.t"}}}', "damaged"),
    ],
)
def test_what_is_no_export_is_refused_in_words(lab: Lab, text: str, says: str) -> None:
    (lab.folder / "state.json").write_text(text)
    refused = lab.run("plan", "--state-from", "../state.json")
    assert refused.code == 1
    assert says in refused.err
    assert "olake-reconcile state export" in refused.err


def test_a_missing_export_is_an_error(lab: Lab) -> None:
    assert "cannot be read" in lab.run("plan", "--state-from", "nowhere.json").err


def test_a_pipeline_that_sees_no_state_fails_unless_told_that_there_is_none(lab: Lab) -> None:
    lab.environment["CI"] = "true"
    refused = lab.run("plan")
    assert refused.code == 1
    assert "NEW STATE" in refused.err
    assert "olake-reconcile plan --new-state" in refused.err
    assert refused.out == ""
    assert "5 to add" in lab.ok("plan", "--new-state").out


@pytest.mark.parametrize("value", ["", "false", "0"])
def test_somebody_at_a_terminal_may_plan_from_nothing(lab: Lab, value: str) -> None:
    lab.environment["CI"] = value
    assert "NEW STATE" in lab.ok("plan").out
