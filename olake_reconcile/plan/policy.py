"""What policies say of a plan: the values that they are asked about, and what their answers do to its actions.

A denied change is guarded (design §5). What lifts a denial is committed: an approval of that one change, or an
exemption in the policy; or it is named for one apply, with `--allow-policy`, and recorded. A policy that fails denies, because
nobody knows what it would have said.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.names import Address, select
from olake_reconcile.model.policy import Policy
from olake_reconcile.model.stored import Stored
from olake_reconcile.plan.actions import Action, Block, Consent, Rebuild, Remove
from olake_reconcile.plan.consent import approval_for, approves
from olake_reconcile.plan.document import plan_document
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan

DENIED = "denied-by-policy"

_FIELD = re.compile(r"\{([a-z_]+(?:\.[A-Za-z0-9_]+)*)\}")
# The plan without its changes: what every change may be judged by.
_OF_PLAN = ("project", "environment", "new_state", "summary", "narrowed", "unmanaged")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a policy is asked about: the values that it sees, and the address; None is the whole plan."""

    values: Mapping[str, Any]
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What one policy says of one subject; `error` says why it could not."""

    policy: Policy
    subject: Subject
    error: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A plan after its policies, with the warnings of those that warn, and what was let through by name."""

    plan: Plan
    warnings: tuple[Diagnostic, ...] = ()
    lifted: Mapping[str, str] = field(default_factory=dict)


def subjects(plan: Plan, policy: Policy, desired: Desired, stored: Stored) -> list[Subject]:
    """Return what a policy is asked about, in the order of the plan."""
    document = plan_document(plan)
    brief = {"environment": plan.environment, "narrowed": None} | {
        k: document[k] for k in _OF_PLAN if k in document
    }
    if policy.scope == "plan":
        changes = [c for c in document["resource_changes"] if _counts(c)]
        return [Subject({"plan": brief | {"resource_changes": changes}})]
    addresses = [a.address for a in plan.actions]
    return [
        Subject({"change": change, "plan": brief, "job": _job(address, desired, stored)}, address)
        for address, change in zip(addresses, document["resource_changes"], strict=True)
        if _counts(change) and not any(select(pattern, _around(address)) for pattern in policy.exempt)
    ]


def _counts(change: Mapping[str, Any]) -> bool:
    return change["change"]["actions"] != ["no-op"] or "moved_from" in change or "adopts" in change


def _around(address: Address) -> list[Address]:
    return [address, Address("job", address.name)] if address.kind == "stream" else [address]


def _job(address: Address, desired: Desired, stored: Stored) -> dict[str, Any]:
    """Return what is known of a change's job; an endpoint's has the same keys, so that no policy fails on it."""
    found: dict[str, Any] = {"name": "", "owner": "", "labels": {}, "source": "", "destination": ""}
    if address.kind not in ("job", "stream"):
        return found
    if (job := desired.jobs.get(address.name)) is not None:
        given: Mapping[str, Any] = {k: getattr(job, k) for k in found}
    else:
        given = stored.jobs[address.name].spec if address.name in stored.jobs else {}
    return found | {k: given[k] for k in found if k in given} | {"name": address.name}


def judged(plan: Plan, findings: Sequence[Finding], desired: Desired, options: Options) -> Judged:
    """Return the plan with a block for each denial that nothing lifts, and the warnings."""
    warnings: list[Diagnostic] = []
    denied: dict[Address | None, list[Finding]] = {}
    for finding in findings:
        if finding.policy.effect == "warn" and not finding.error:
            where = f"{finding.subject.address.short}: " if finding.subject.address else ""
            text = f"{where}{_message(finding)} (policy {finding.policy.name})"
            warnings.append(Diagnostic(Severity.WARNING, "policy", text, finding.policy.place))
        else:
            denied.setdefault(finding.subject.address, []).append(finding)
    lifted: dict[str, str] = {}
    actions = [_denied(a, denied.get(a.address, ()), desired, options, lifted) for a in plan.actions]
    whole = tuple(
        _block(f, options, "") for f in denied.get(None, ()) if not _is_named(f.policy, options, lifted)
    )
    return Judged(
        plan.model_copy(update={"actions": tuple(actions), "blocked": (*plan.blocked, *whole)}),
        tuple(warnings),
        lifted,
    )


def _denied(
    action: Action, findings: Sequence[Finding], desired: Desired, options: Options, lifted: dict[str, str]
) -> Action:
    if not findings:
        return action
    approved = isinstance(action, Rebuild | Remove) and approves(desired.approvals, action)
    approval = approval_for(action) if isinstance(action, Rebuild | Remove) else ""
    blocks = [
        _block(f, options, approval)
        for f in findings
        if not (_is_named(f.policy, options, lifted) or approved)
    ]
    return action.model_copy(update={"consent": Consent.GUARDED, "blocked": (*action.blocked, *blocks)})


def _is_named(policy: Policy, options: Options, lifted: dict[str, str]) -> bool:
    if policy.name not in options.allow_policy:
        return False
    lifted[policy.name] = f"--allow-policy {policy.name}"
    return True


def _block(finding: Finding, options: Options, approval: str) -> Block:
    policy = finding.policy
    said = (
        f"it could not be evaluated ({finding.error}), and what fails denies"
        if finding.error
        else _message(finding)
    )
    where = f", {policy.place}" if policy.place else ""
    return Block(
        code=DENIED,
        message=f"denied by policy {policy.name}{where}: {said}",
        remedy=f"{options.command()} {policy_flag(policy.name)}",
        approval=approval,
    )


def policy_flag(name: str) -> str:
    """Return the option that lets one apply through in spite of a policy."""
    return f"--allow-policy {shlex.quote(name)}"


def _message(finding: Finding) -> str:
    """Return the policy's message with its fields filled in: `{address}`, `{change.impact.rows}`."""
    if not finding.policy.message:
        return finding.policy.when
    address = finding.subject.address
    values = {**finding.subject.values, "address": address.short if address else "the plan"}
    return _FIELD.sub(lambda match: _value(values, match[1]), finding.policy.message)


def _value(values: Mapping[str, Any], path: str) -> str:
    found: Any = values
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    if isinstance(found, int) and not isinstance(found, bool):
        return f"{found:,}"
    return "unknown" if found is None else str(found)
