"""`diff-plan A B`: what a new push changed, and who has to agree anew."""

from __future__ import annotations

import json

import pytest

from tests.rendered import rendered
from tests.workspaces import DAILY_YAML, Lab


def edited(orders: str = "", customers: str = "") -> str:
    text = DAILY_YAML.replace("public.orders:", f"public.orders: {{{orders}}}")
    return text.replace("public.customers:", f"public.customers: {{{customers}}}")


@pytest.fixture
def pushed(lab: Lab) -> Lab:
    """A first push that filters orders, and a second one that filters them otherwise and partitions customers."""
    lab.apply()
    lab.ok("sync", "daily")
    lab.write({"jobs/daily.yaml": edited("filter: id > 7", "threads: 2")})
    lab.ok("plan", "--out", "../one.plan")
    lab.write(
        {"jobs/daily.yaml": edited("filter: id > 8", "partition_by: [day(at)], protect: {rebuild: true}")}
    )
    (lab.folder / "two.json").write_text(lab.ok("plan", "--json").out)
    return lab


def test_it_tells_what_is_new_changed_and_newly_destructive(pushed: Lab) -> None:
    assert pushed.ok("diff-plan", "../one.plan", "../two.json").out == (
        "Against the plan before: 0 new, 0 gone, 2 changed, 0 the same.\n"
        "\n"
        "Changed:\n"
        "  -/+ daily/public.customers must be rebuilt: partition changed (before: will be changed in place)\n"
        '        partition_by = null -> ["day(at)"]\n'
        "        protect.rebuild = false -> true\n"
        "  -/+ daily/public.orders must be rebuilt: filter changed\n"
        '        filter = null -> "id > 8"\n'
        "\n"
        "Newly destructive:\n"
        "  -/+ daily/public.customers must be rebuilt: partition changed\n"
        "\n"
        "Newly needs consent:\n"
        "  -/+ daily/public.customers must be rebuilt: partition changed\n"
        f"        {approval(pushed)}\n"
    )


def approval(lab: Lab) -> str:
    document = json.loads((lab.folder / "two.json").read_text())
    found: str = document["resource_changes"][0]["blocked"][0]["approval"]
    return found


def test_the_other_way_round_names_what_is_gone(pushed: Lab) -> None:
    pushed.write({"jobs/daily.yaml": edited("filter: id > 8")})
    pushed.ok("plan", "--out", "../three.plan")
    shown = pushed.ok("diff-plan", "../two.json", "../three.plan").out
    assert "0 new, 1 gone, 0 changed, 1 the same" in shown
    assert "Gone:\n  -/+ daily/public.customers" in shown
    assert "Newly" not in shown


def test_equal_plans_do_the_same_and_exit_0(pushed: Lab) -> None:
    same = pushed.run("diff-plan", "../two.json", "../two.json", "--detailed-exitcode")
    assert (same.code, same.out) == (0, "The plans do the same.\n")
    assert pushed.run("diff-plan", "../one.plan", "../two.json", "--detailed-exitcode").code == 2


def test_an_apply_in_between_shows_though_the_actions_are_the_same(pushed: Lab) -> None:
    pushed.write({"jobs/daily.yaml": edited("filter: id > 8", "threads: 2")})
    pushed.ok("plan", "--out", "../three.plan")
    pushed.write({"jobs/daily.yaml": edited("", "threads: 2")})
    pushed.apply()
    pushed.write({"jobs/daily.yaml": edited("filter: id > 8", "threads: 2")})
    pushed.ok("plan", "--out", "../four.plan")
    shown = pushed.run("diff-plan", "../three.plan", "../four.plan", "--detailed-exitcode")
    assert "The same, but made from another state:\n  -/+ daily/public.orders" in shown.out
    assert shown.code == 2


def test_json_and_markdown(pushed: Lab) -> None:
    document = json.loads(pushed.ok("diff-plan", "../one.plan", "../two.json", "--json").out)
    assert document["newly_destructive"] == ['job.daily.stream["public.customers"]']
    assert document["newly_needs_consent"] == ['job.daily.stream["public.customers"]']
    assert [c["after"]["actions"] for c in document["changed"]] == [["delete", "create"]] * 2
    page = rendered(pushed.ok("diff-plan", "../one.plan", "../two.json", "--markdown").out)
    assert "Newly destructive:" in page.prose
    assert "daily/public.customers" in page.code


def test_a_file_that_is_no_plan_is_refused(pushed: Lab) -> None:
    refused = pushed.run("diff-plan", "../one.plan", "olake.yaml")
    assert refused.code == 1
    assert "is no saved plan" in refused.err
