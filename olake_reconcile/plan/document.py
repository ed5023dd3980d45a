"""A plan as one JSON document, and back: what `plan --json` prints, what the journal keeps (design §5).

`schemas/plan.schema.json` describes it. There are no timestamps in it, and no secrets: references only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from olake_reconcile.diagnostics import Diagnostic, Place, Severity
from olake_reconcile.errors import StalePlan
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.names import Address
from olake_reconcile.plan.actions import (
    Action,
    Consent,
    Create,
    Forget,
    Import,
    Keep,
    Move,
    Rebuild,
    Remove,
    Update,
    is_clear,
)
from olake_reconcile.plan.drift import DriftReport
from olake_reconcile.plan.options import DEFAULT_ENVIRONMENT
from olake_reconcile.plan.plan import Plan, Unmanaged, summarise

FORMAT_VERSION = "1.0"

_ACTION: TypeAdapter[Action] = TypeAdapter(Action)


def plan_document(plan: Plan, diagnostics: Sequence[Diagnostic] = ()) -> dict[str, Any]:
    """Return the plan as JSON."""
    summary = summarise(plan.actions).model_dump()
    summary["import"] = summary.pop("import_")
    return {
        "format_version": FORMAT_VERSION,
        "plan_hash": plan_hash(plan),
        "project": plan.project,
        "new_state": plan.new_state,
        **_if_said(plan),
        "against": {"kind": plan.against, "revision": plan.revision or None},
        "summary": summary,
        "impact": plan.cost.model_dump(),
        "resource_changes": [_resource_change(a) for a in plan.actions],
        "drift": [d.model_dump(mode="json") for d in plan.drift.found],
        "unmanaged": [u.model_dump() for u in plan.unmanaged],
        "uses": plan.uses,
        "owners": plan.owners,
        "diagnostics": [diagnostic_document(d) for d in diagnostics],
    }


def _if_said(plan: Plan) -> dict[str, Any]:
    """Return what is left out of the document of an ordinary plan: its presence is the warning."""
    found: dict[str, Any] = {}
    if plan.environment != DEFAULT_ENVIRONMENT:
        found["environment"] = plan.environment
    if plan.narrowed:
        found["narrowed"] = plan.narrowed.model_dump(mode="json")
    if plan.waiting:
        found["waiting"] = [waiting.model_dump(mode="json") for waiting in plan.waiting]
    if plan.blocked:
        found["blocked"] = [block.model_dump(mode="json") for block in plan.blocked]
    if unseen := _unseen(plan.drift):
        found["drift_unseen"] = unseen
    return found


def _unseen(report: DriftReport) -> dict[str, int]:
    counts = {"tables": report.tables_unseen, "streams": report.streams_unseen}
    return counts if any(counts.values()) else {}


def plan_hash(plan: Plan) -> str:
    """Return the fingerprint of what would be done and what it was made from; impact and places do not count."""
    elsewhere: dict[str, Any] = {}
    if plan.environment != DEFAULT_ENVIRONMENT:
        elsewhere["environment"] = plan.environment
    if plan.blocked:
        elsewhere["blocked"] = [block.model_dump(mode="json") for block in plan.blocked]
    return fingerprint(
        {
            "project": plan.project,
            **elsewhere,
            "uses": plan.uses,
            "actions": [
                {k: v for k, v in _flat(a).items() if k not in ("impact", "place", "notes", "changes")}
                for a in plan.changes
            ],
        }
    )


def _flat(action: Action) -> dict[str, Any]:
    return action.model_dump(mode="json")


def _resource_change(action: Action) -> dict[str, Any]:
    flat = _flat(action)
    document: dict[str, Any] = {
        "address": str(action.address),
        "kind": action.address.kind,
        "change": {
            "actions": action_verbs(action),
            "before": flat.get("before"),
            "after": flat.get("after"),
            "settings": flat["changes"],
            "unchanged": action.unchanged,
        },
        "data": "erased" if is_clear(action) else "kept",
        "reasons": flat["reasons"],
        "class": action.consent.value,
        "impact": flat.get("impact"),
        "blocked": flat["blocked"],
        "notes": flat["notes"],
        "made_from": action.serial,
        "place": flat["place"],
    }
    match action:
        case Rebuild():
            document["tables"] = {"old": flat["old"], "new": flat["new"], "leaves_old": action.leaves_old}
        case Remove():
            document["tables"] = {"old": flat["old"]}
        case Import():
            document["adopts"] = {"table": flat["table"], "uid": action.uid, "generation": action.generation}
        case Move():
            document["moved_from"] = str(action.origin)
        case _:
            pass
    return document


def action_verbs(action: Action) -> list[str]:
    """Return the words that stand for the action in a document."""
    match action:
        case Create():
            return ["create"]
        case Update():
            return ["update"]
        case Rebuild():
            return ["delete", "create"]
        case Remove():
            return ["delete"]
        case Forget():
            return ["forget"]
        case Import() | Move() | Keep():
            return ["no-op"]


def diagnostic_document(diagnostic: Diagnostic) -> dict[str, Any]:
    """Return a diagnostic as JSON."""
    place = diagnostic.place
    return {
        "severity": diagnostic.severity.value,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
    }


def read_diagnostics(document: dict[str, Any]) -> list[Diagnostic]:
    """Return the findings that a document holds, without the lines of the files."""
    return [
        Diagnostic(
            Severity(d["severity"]),
            d["code"],
            d["message"],
            Place(d["file"], d["line"], d["column"]) if d["file"] else None,
            d["hint"],
        )
        for d in document["diagnostics"]
    ]


def read_plan(document: dict[str, Any]) -> Plan:
    """Return the plan that `plan_document` wrote. Raises `StalePlan` for another format or a changed document."""
    version = str(document.get("format_version"))
    if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise StalePlan(
            f"the plan has format {version}, this program reads {FORMAT_VERSION}",
            remedy="Make the plan again with this program.",
        )
    plan = Plan(
        project=document["project"],
        new_state=document["new_state"],
        actions=tuple(_action(c) for c in document["resource_changes"]),
        unmanaged=tuple(Unmanaged(**u) for u in document["unmanaged"]),
        uses=document["uses"],
        environment=document.get("environment", DEFAULT_ENVIRONMENT),
        narrowed=document.get("narrowed"),
        waiting=document.get("waiting", ()),
        blocked=document.get("blocked", ()),
        **_since_1_0(document),
    )
    if plan_hash(plan) != document["plan_hash"]:
        raise StalePlan(
            "the plan does not fit its own hash: it was edited or damaged", remedy="Make the plan again."
        )
    return plan


def _since_1_0(document: dict[str, Any]) -> dict[str, Any]:
    """Return what documents of the first release lack."""
    against, impact = document.get("against") or {}, document.get("impact") or {}
    found = {
        "against": against.get("kind"),
        "revision": against.get("revision"),
        "rebuilds_at_once": impact.get("rebuilds_at_once"),
        "owners": document.get("owners"),
        "drift": _drift(document),
    }
    return {key: value for key, value in found.items() if value is not None}


def _drift(document: dict[str, Any]) -> DriftReport:
    unseen = document.get("drift_unseen", {})
    return DriftReport(
        found=document["drift"],
        tables_unseen=unseen.get("tables", 0),
        streams_unseen=unseen.get("streams", 0),
    )


_NAMES = {
    ("create",): "create",
    ("update",): "update",
    ("delete", "create"): "rebuild",
    ("delete",): "remove",
    ("forget",): "forget",
    ("no-op",): "keep",
}


def _action(document: dict[str, Any]) -> Action:
    change = document["change"]
    flat: dict[str, Any] = {
        "action": _NAMES[tuple(change["actions"])],
        "address": _address(document["address"]),
        "consent": Consent(document["class"]),
        "reasons": document["reasons"],
        "changes": change["settings"],
        "unchanged": change["unchanged"],
        "notes": document["notes"],
        "blocked": document["blocked"],
        "serial": document["made_from"],
        "place": document["place"],
    }
    flat |= {k: change[k] for k in ("before", "after") if change[k] is not None}
    flat |= document.get("tables", {})
    if origin := document.get("moved_from"):
        flat |= {"action": "move", "origin": _address(origin)}
    if adopts := document.get("adopts"):
        flat |= {"action": "import", **adopts}
    if document["impact"] is not None:
        flat["impact"] = document["impact"]
    if flat["action"] == "remove":
        flat["erase"] = document["data"] == "erased"
    return _ACTION.validate_python(flat)


def _address(text: str) -> Address:
    from olake_reconcile.model.names import parse_pattern

    name, stream, kind = parse_pattern(text)
    return Address(kind or "job", name, stream or "")
