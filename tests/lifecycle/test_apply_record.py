"""What is remembered of every apply: who, when, from which commit, by whose consent, what, and how it ended."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.workspaces import CANARY, DAILY_YAML, Lab

FILTERED = DAILY_YAML.replace("public.orders:", "public.orders: {filter: id > 7, protect: {rebuild: true}}")
PROTECTED = DAILY_YAML.replace("public.orders:", "public.orders: {protect: {rebuild: true}}")


def git(lab: Lab, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=lab.root, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def last(lab: Lab) -> dict[str, Any]:
    record = lab.store.applies(limit=1)[0]
    found: dict[str, Any] = json.loads(lab.ok("show", record.id, "--json").out)
    return found


def test_the_commit_is_recorded_and_whether_files_differ_from_it(lab: Lab) -> None:
    git(lab, "init", "-q", "-b", "main")
    git(lab, "add", "olake.yaml", "jobs")
    git(lab, "commit", "-q", "-m", "first")
    commit = git(lab, "rev-parse", "HEAD")
    lab.apply()
    assert last(lab)["detail"]["git"] == {"commit": commit, "branch": "main", "dirty": False}
    lab.write({"jobs/new.yaml": DAILY_YAML.replace("name: daily", "name: new").replace("sales", "other")})
    lab.apply()
    assert last(lab)["detail"]["git"]["dirty"]
    listed = lab.ok("history", "--applies").out
    assert f"{commit[:9]}+" in listed
    assert "2 added" not in listed.splitlines()[1]


def test_without_git_an_apply_is_recorded_all_the_same(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    lab.apply()
    found = last(lab)
    assert "git" not in found["detail"]
    assert found["status"] == "completed"
    assert found["summary"]["add"] == 5
    assert found["plan"]["plan_hash"] == found["plan_hash"]


def test_each_consent_is_recorded_with_what_gave_it(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": PROTECTED})
    lab.apply()
    lab.ok("sync", "daily")
    lab.write({"jobs/daily.yaml": FILTERED})
    lab.apply("--allow-rebuild", "daily/*")
    assert last(lab)["detail"]["consent"] == [
        {"address": "daily/public.orders", "class": "guarded", "by": "--allow-rebuild daily/*"}
    ]
    lab.ok("sync", "daily")
    lab.write({"jobs/daily.yaml": PROTECTED})
    document = json.loads(lab.ok("plan", "--json").out)
    approval = next(c["blocked"][0]["approval"] for c in document["resource_changes"] if c["blocked"])
    lab.write({"jobs/approvals.yaml": approval + "\n"})
    lab.apply()
    assert last(lab)["detail"]["consent"][0]["by"] == "approval jobs/approvals.yaml:1"


def test_how_the_whole_was_agreed_to_is_recorded(lab: Lab) -> None:
    assert lab.run("apply", answer="yes").code == 0
    assert last(lab)["detail"]["by"] == "'yes', typed"
    lab.ok("sync", "daily")
    lab.write({"jobs/daily.yaml": DAILY_YAML.replace("public.orders:", "public.orders: {filter: id > 7}")})
    lab.ok("plan", "--target", "daily/public.orders", "--out", "friday.plan")
    lab.ok("apply", "friday.plan")
    detail = last(lab)["detail"]
    assert detail["by"] == "saved plan friday.plan"
    assert detail["consent"][0] == {
        "address": "daily/public.orders", "class": "destructive", "by": "saved plan friday.plan",
    }  # fmt: skip
    assert detail["narrowed"] == ["--target daily/public.orders"]


def test_what_was_left_out_is_recorded(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": PROTECTED})
    lab.apply()
    lab.ok("sync", "daily")
    other = DAILY_YAML.replace("name: daily", "name: new").replace("sales", "other")
    lab.write({"jobs/daily.yaml": FILTERED, "jobs/new.yaml": other})
    assert lab.run("apply", "--auto-approve", "--skip-blocked").code == 3
    assert last(lab)["detail"]["blocked"] == ["daily"]


def test_an_apply_is_shown_in_words_with_its_plan(lab: Lab) -> None:
    lab.apply("--target", "daily")
    record = lab.store.applies(limit=1)[0]
    shown = lab.ok("show", record.id[:15]).out
    expected = [
        f"Apply {record.id}: completed", "  when         ", "  who          ", "  environment  default",
        f"  plan         {record.plan_hash}", "  narrowed     --target daily", "  agreed by    --auto-approve",
        "NARROWED PLAN: --target daily", "# job.daily will be created",
    ]  # fmt: skip
    assert [text for text in expected if text not in shown] == []


def test_an_id_that_fits_no_apply_is_wrong_usage(lab: Lab) -> None:
    assert lab.run("show", "20200101").code == 64
    assert lab.ok("history", "--applies").out == "Nothing was applied yet.\n"
    assert lab.run("history", "--applies", "--status", "failed").code == 64


def test_records_hold_no_secret(lab: Lab) -> None:
    lab.apply()
    record = lab.store.applies(limit=1)[0].id
    for output in (
        lab.ok("show", record),
        lab.ok("show", record, "--json"),
        lab.ok("history", "--applies", "--json"),
    ):
        assert CANARY not in output.text
