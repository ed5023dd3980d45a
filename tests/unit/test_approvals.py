"""Approvals committed in git: from the document that a plan prints to the apply that it lets through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.workspaces import DAILY_YAML, Lab, a_lab

PROTECTED = DAILY_YAML.replace("public.orders:", "public.orders: {protect: {rebuild: true}}")
FILTERED = DAILY_YAML.replace("public.orders:", "public.orders: {protect: {rebuild: true}, filter: id > 7}")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A protected stream that was loaded and whose file has another filter now."""
    lab = a_lab(tmp_path)
    lab.write({"jobs/daily.yaml": PROTECTED})
    lab.apply()
    lab.ok("sync", "daily")
    lab.write({"jobs/daily.yaml": FILTERED})
    return lab


def printed(lab: Lab) -> str:
    plan = json.loads(lab.ok("plan", "--json").out)
    found: str = plan["resource_changes"][0]["blocked"][0]["approval"]
    return found


def test_the_printed_approval_lets_the_change_through(lab: Lab) -> None:
    assert lab.run("apply", "--auto-approve").code == 3
    lab.write({"jobs/approvals.yaml": printed(lab) + "\n"})
    lab.apply()
    assert not lab.ok("plan", "--json", "--all").out.count('"update"')


def test_an_approval_that_was_used_is_a_warning(lab: Lab) -> None:
    lab.write({"jobs/approvals.yaml": printed(lab) + "\n"})
    lab.apply()
    said = lab.ok("plan").err
    assert "jobs/approvals.yaml:1:" in said
    assert "approval fits no change of this plan (it expires by itself)" in said


def test_an_approval_fits_one_change_and_no_other(lab: Lab) -> None:
    lab.write({"jobs/approvals.yaml": printed(lab) + "\n"})
    lab.write({"jobs/daily.yaml": FILTERED.replace("id > 7", "id > 8")})
    refused = lab.run("apply", "--auto-approve")
    assert refused.code == 3
    assert "approval fits no change" in refused.err


def test_an_approval_of_a_rebuild_is_none_of_a_removal(lab: Lab) -> None:
    lab.write({"jobs/approvals.yaml": printed(lab).replace("allow: rebuild", "allow: delete") + "\n"})
    assert lab.run("apply", "--auto-approve").code == 3


@pytest.mark.parametrize("change", ["12345678", "1234e678", "7c1e9a42"])
def test_the_printed_document_is_read_back_as_text(change: str) -> None:
    from olake_reconcile.model.names import Address
    from olake_reconcile.plan.actions import Remove
    from olake_reconcile.plan.consent import _approval
    from olake_reconcile.spec.parse import parse

    action = Remove(address=Address.of_stream("daily", "public.orders"), before={})
    [(document, _)] = parse(_approval(action, "delete", change)).documents
    assert document == {
        "kind": "Approval",
        "address": "daily/public.orders",
        "allow": "delete",
        "change": change,
    }
