"""Asking the workspace's policies about a plan."""

from __future__ import annotations

from olake_reconcile.diagnostics import did_you_mean
from olake_reconcile.errors import UsageError
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.stored import Stored
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan
from olake_reconcile.plan.policy import Finding, Judged, judged, subjects
from olake_reconcile.policies.base import Question
from olake_reconcile.reconcile.services import Services


def judge(services: Services, desired: Desired, stored: Stored, plan: Plan, options: Options) -> Judged:
    """Return the plan with what the policies deny blocked. Raises `UsageError` for `--allow-policy` of none."""
    names = {policy.name for policy in desired.policies}
    for name in options.allow_policy:
        if name not in names:
            hint = did_you_mean(name, names)
            raise UsageError(f"no policy is called '{name}'" + (f" ({hint})" if hint else ""))
    if not desired.policies or not plan.changes:
        return Judged(plan)
    asked = [(policy, subjects(plan, policy, desired, stored)) for policy in desired.policies]
    answers = services.policies.answers([Question(p.when, [s.values for s in found]) for p, found in asked])
    findings = [
        Finding(policy, subject, answer.errors.get(index, ""))
        for (policy, found), answer in zip(asked, answers, strict=True)
        for index, subject in enumerate(found)
        if index in answer.true or index in answer.errors
    ]
    return judged(plan, findings, desired, options)
