"""`alerts` and `metrics` of the Project, each complaint at its place."""

from __future__ import annotations

from typing import Any

from olake_reconcile.model.alert import Alert, AlertKind, MetricsSettings
from olake_reconcile.model.reference import is_only_references
from olake_reconcile.spec import supported
from olake_reconcile.spec.node import Map
from olake_reconcile.spec.report import Document

_HINT = "write a reference, such as ${env:NAME}, and take the secret out of git's history"


def read_alerts(document: Document, root: Map) -> tuple[Alert, ...]:
    """Return the well-shaped alerts; those that are wrong are complained about and left out."""
    rules = root.get("alerts") or ()
    return tuple(alert for rule in rules if (alert := _alert(document, rule)) is not None)


def _alert(document: Document, rule: Map) -> Alert | None:
    if not is_only_references(rule["url"]):
        # Who knows a webhook's URL can write to its channel.
        message = "'url' holds a secret in plain text or a default for one"
        document.error(rule.value_offset("url"), "plaintext-secret", message, _HINT)
        return None
    kinds = rule.get("on") or [kind.value for kind in AlertKind]
    if "slot_growth" in kinds:
        message = "slot_growth is not supported yet: it comes with sync_mode cdc"
        document.error(rule.value_offset("on"), supported.CODE, message)
        return None
    given: dict[str, Any] = {"url": rule["url"], "on": tuple(AlertKind(kind) for kind in kinds)}
    return Alert(**given, jobs=tuple(rule.get("jobs") or ()), labels=dict(rule.get("labels") or {}))


def read_metrics(document: Document, root: Map) -> MetricsSettings:
    """Return the settings of the metrics."""
    block: Map | None = root.get("metrics")
    given = {key: value for key, value in (block or {}).items() if value is not None}
    token = given.get("token")
    if block is not None and token and not is_only_references(token):
        message = "'token' holds a secret in plain text or a default for one"
        document.error(block.value_offset("token"), "plaintext-secret", message, _HINT)
        del given["token"]
    return MetricsSettings(**given)
