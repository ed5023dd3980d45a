"""Policies: what they see, what they do to a plan, and that none of them can do anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olake_reconcile.model.desired import Approval, Desired
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.policy import Policy
from olake_reconcile.model.stored import Stored
from olake_reconcile.plan.actions import Consent, Rebuild
from olake_reconcile.plan.consent import transition
from olake_reconcile.plan.document import plan_document, read_plan
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan, build_plan, without_blocked
from olake_reconcile.plan.policy import Finding, judged, subjects
from olake_reconcile.policies.base import NoPolicyEngine, PolicyEngine, Question
from olake_reconcile.policies.cel import CelEngine
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec.workspace import load_workspace
from tests.builders import a_desired, a_job, a_stream, stored_of
from tests.properties.strategies import states, workspaces
from tests.spec_builders import JOB, PROJECT, write_workspace
from tests.workspaces import CANARY, DAILY_YAML, Lab

LOOP = "[1,2,3,4,5,6,7,8,9].all({}, {})"
NESTED = "true"
for letter in "abcdefghij":
    NESTED = LOOP.format(letter, NESTED)


@pytest.fixture(scope="module")
def cel() -> CelEngine:
    return CelEngine(seconds=2)


def test_expressions_see_json_values(cel: CelEngine) -> None:
    about = [{"change": {"rows": 7, "none": None, "list": ["a"], "text": "x.y"}}]
    true = [
        "change.rows > 5", "change.none == null", "'a' in change.list", "change.list.exists(x, x == 'a')",
        "change.text.matches('^x[.]y$')", "has(change.rows) && !has(change.nope)", "size(change.list) == 1",
    ]  # fmt: skip
    assert all(a.true == {0} for a in cel.answers([Question(when, about) for when in true]))
    false = cel.answers([Question("change.rows > 7", about)])
    assert (false[0].true, false[0].errors) == (frozenset(), {})


@pytest.mark.parametrize(
    ("when", "why"),
    [
        ("change.nope == 1", "no such key"),
        ("change.none > 1", "overload"),
        ("change.rows", "neither true nor false, but int"),
    ],
)
def test_what_cannot_be_answered_is_an_error_of_that_subject_alone(
    cel: CelEngine, when: str, why: str
) -> None:
    bad, good = {"change": {"rows": 7, "none": None}}, {"change": {"rows": True, "none": 2, "nope": 1}}
    (answer,) = cel.answers([Question(when, [bad, good])])
    assert why in answer.errors[0]
    assert answer.true == {1}


@pytest.mark.parametrize(
    ("when", "why"),
    [
        ("change.kind ==", "1:15: Syntax error"),
        ("chnage.kind == 'x'", "unknown name 'chnage': there are change, job, plan"),
        ("open('/etc/passwd') == ''", ""),
        ("(" * 3000 + "true" + ")" * 3000, "longer than"),
        ("(" * 1900 + "true" + ")" * 1900, ""),
    ],
)
def test_what_is_no_expression_never_counts_as_false(cel: CelEngine, when: str, why: str) -> None:
    (mistake,) = cel.mistakes([when])
    (answer,) = cel.answers([Question(when, [{"change": {}}])])
    assert why in mistake
    assert answer.errors
    assert not answer.true


def test_an_expression_that_does_not_end_is_stopped_and_the_others_are_answered(cel: CelEngine) -> None:
    answers = CelEngine(seconds=1).answers([Question(when, [{}]) for when in ("1 == 1", NESTED, "2 == 2")])
    assert [a.true for a in answers] == [{0}, frozenset(), {0}]
    assert "takes too long" in answers[1].errors[0]


def test_the_process_that_evaluates_has_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    seen: dict[str, Any] = {}
    real = subprocess.Popen

    def spy(*args: Any, **given: Any) -> Any:
        seen.update(given)
        return real(*args, **given)

    monkeypatch.setenv("SHOP_PASSWORD", CANARY)
    monkeypatch.setattr(subprocess, "Popen", spy)
    CelEngine().answers([Question("true", [{}])])
    assert seen["env"] == {"LC_ALL": "C.UTF-8"}


def test_without_an_engine_everything_fails() -> None:
    engine: PolicyEngine = NoPolicyEngine()
    assert engine.mistakes(["true"]) != [""]
    (answer,) = engine.answers([Question("true", [{}, {}])])
    assert answer.errors.keys() == {0, 1}


# What they do to a plan


def a_policy(**changes: Any) -> Policy:
    return Policy(**{"name": "rule", "when": "true", "effect": "deny", **changes})


def rebuilt(**how: Any) -> tuple[Plan, Desired, Stored]:
    before, after = a_desired(), a_desired(a_job("daily", a_stream(filter="id > 7")), **how)
    stored = stored_of(before)
    return build_plan(after, stored, Observed()), after, stored


def denied(
    plan: Plan, desired: Desired, stored: Stored, policy: Policy, error: str = "", **options: Any
) -> Plan:
    found = [Finding(policy, subject, error) for subject in subjects(plan, policy, desired, stored)]
    return judged(plan, found, desired, Options(**options)).plan


def test_a_denied_change_is_guarded_and_blocked_with_what_lifts_it() -> None:
    plan = denied(*rebuilt(), a_policy(message="{address}: {change.impact.rows} of {job.owner}{plan.nope}"))
    (action,) = plan.changes
    assert action.consent is Consent.GUARDED
    (block,) = action.blocked
    assert block.code == "denied-by-policy"
    assert block.message == "denied by policy rule: daily/public.orders: unknown of unknown"
    assert block.remedy == "olake-reconcile apply --allow-policy rule"
    assert block.approval.startswith("{kind: Approval, address:")


def test_a_denial_is_lifted_by_name_by_an_approval_and_by_an_exemption_and_by_nothing_else() -> None:
    made = rebuilt()
    assert not denied(*made, a_policy(), allow_policy=("rule",)).is_blocked
    assert denied(*made, a_policy(), allow_policy=("other",)).is_blocked
    assert denied(*made, a_policy(), allow_rebuild=("daily/public.orders",)).is_blocked
    assert not denied(*made, a_policy(exempt=("daily/*",))).is_blocked
    action = made[0].changes[0]
    assert isinstance(action, Rebuild)
    approval = Approval("daily/public.orders", "rebuild", transition(action))
    assert not denied(*rebuilt(approvals=(approval,)), a_policy()).is_blocked


def test_a_policy_that_fails_denies_even_when_it_would_only_warn() -> None:
    plan = denied(*rebuilt(), a_policy(effect="warn"), error="no such key: 'x'")
    assert (
        "could not be evaluated (no such key: 'x'), and what fails denies"
        in plan.changes[0].blocked[0].message
    )


def test_what_a_policy_denies_of_the_plan_blocks_all_of_it() -> None:
    plan = denied(*rebuilt(), a_policy(scope="plan"))
    assert plan.is_blocked
    assert without_blocked(plan)[0].changes == []
    assert read_plan(plan_document(plan)) == plan


def test_endpoints_have_a_job_without_anything_so_that_no_policy_fails_on_them() -> None:
    desired = a_desired()
    plan = build_plan(desired, Stored(), Observed())
    found = subjects(plan, a_policy(), desired, Stored())
    assert found[0].values["job"] == {"name": "", "owner": "", "labels": {}, "source": "", "destination": ""}
    assert found[2].values["job"]["name"] == "daily"


@given(desired=workspaces(), stored=states(), chosen=st.sets(st.integers(0, 30)))
def test_judging_is_deterministic_and_changes_consent_and_blocks_alone(
    desired: Desired, stored: Stored, chosen: set[int]
) -> None:
    plan = build_plan(desired, stored, Observed())
    policy = a_policy()
    about = subjects(plan, policy, desired, stored)
    found = [Finding(policy, s) for i, s in enumerate(about) if i in chosen]
    once = judged(plan, found, desired, Options()).plan
    assert once == judged(plan, found, desired, Options()).plan
    strip = {"consent": Consent.SAFE, "blocked": ()}
    assert [a.model_copy(update=strip) for a in once.actions] == [
        a.model_copy(update=strip) for a in plan.actions
    ]


# In files and commands


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("kind: Policy\nname: a\nwhen: 'true'\n", "missing-key"),
        ("kind: Policy\nname: a\nwhen: 'true'\neffect: dny\n", "bad-value"),
        ("kind: Policy\nname: a\nwhen: true\neffect: deny\n", "wrong-type"),
        ("kind: Policy\nname: a\nwhen: ''\neffect: deny\n", "bad-policy"),
        ("kind: Policy\nname: a\nwhen: 'true'\neffect: deny\nexcept: daily\n", "wrong-type"),
        ("kind: Policy\nname: a\nwhen: 'true'\neffect: deny\n---\nkind: Policy\nname: a\nwhen: 'true'\neffect: deny\n", "duplicate-name"),
    ],
)  # fmt: skip
def test_a_bad_policy_file_is_an_error_at_its_line(text: str, code: str, tmp_path: Path) -> None:
    root = write_workspace(tmp_path, {"olake.yaml": PROJECT, "jobs/job.yaml": JOB, "policies/p.yaml": text})
    found = load_workspace(root, SystemSecrets({}), {}, checked_note=False).diagnostics
    assert [(d.code, d.place.file if d.place else "") for d in found] == [(code, "policies/p.yaml")]


def test_a_policy_elsewhere_is_an_error(tmp_path: Path) -> None:
    text = JOB + "---\nkind: Policy\nname: a\nwhen: matches(job.name, '^a$')\neffect: deny\n"
    root = write_workspace(tmp_path, {"olake.yaml": PROJECT, "jobs/job.yaml": text})
    found = load_workspace(root, SystemSecrets({}), {}, checked_note=False).diagnostics
    assert [d.code for d in found] == ["misplaced-policy"]


def test_validate_compiles_policies_and_names_the_line(lab: Lab) -> None:
    lab.write({"policies/p.yaml": "kind: Policy\nname: slip\nwhen: chnage.kind == 'x'\neffect: warn\n"})
    outcome = lab.run("validate")
    assert outcome.code == 1
    assert "policies/p.yaml:3:7: error: policy slip: unknown name 'chnage'" in outcome.err
    assert lab.run("plan").code == 1


def test_apply_does_nothing_while_a_policy_denies_and_goes_on_when_it_is_named(lab: Lab) -> None:
    lab.write({"policies/p.yaml": "kind: Policy\nname: freeze\nscope: plan\nwhen: 'true'\neffect: deny\n"})
    refused = lab.run("apply", "--auto-approve")
    assert refused.code == 3
    assert "olake-reconcile apply --allow-policy freeze" in refused.err
    assert not lab.store.read().jobs
    assert lab.run("apply", "--allow-policy", "freez").code == 64
    lab.apply("--allow-policy", "freeze")
    assert lab.store.read().jobs


def test_plans_hold_no_secret_when_policies_fail(lab: Lab) -> None:
    lab.write(
        {
            "policies/p.yaml": "kind: Policy\nname: spy\nwhen: change.change.after.config.password\neffect: deny\n"
            "message: '{change.change.after.config.password}'\n",
            "jobs/daily.yaml": DAILY_YAML,
        }
    )
    outcome = lab.run("plan", "--json")
    assert "neither true nor false" in outcome.out
    assert CANARY not in outcome.text
