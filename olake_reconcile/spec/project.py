"""The Project document as a model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from olake_reconcile.model.job import Runtime
from olake_reconcile.model.names import NAME
from olake_reconcile.model.project import Limits, Project, Retention, Safety
from olake_reconcile.model.reference import is_only_references
from olake_reconcile.model.window import Windows
from olake_reconcile.spec import supported
from olake_reconcile.spec.alerts import read_alerts, read_metrics
from olake_reconcile.spec.documents import ProjectDocument
from olake_reconcile.spec.grammar import read_duration
from olake_reconcile.spec.job_settings import JobLayer, read_layer
from olake_reconcile.spec.node import Map
from olake_reconcile.spec.report import Document, quoted
from olake_reconcile.spec.shape import check_shape
from olake_reconcile.spec.urls import password_in_url
from olake_reconcile.spec.windows import read_windows

_UID = re.compile(r"[A-Za-z0-9_-]{4,64}\Z")


@dataclass(frozen=True, slots=True)
class ProjectEntry:
    """The project, the settings that it gives all jobs, and where it stands."""

    document: Document
    model: Project | None
    defaults: JobLayer = field(default_factory=JobLayer)


def read_project(document: Document) -> ProjectEntry:
    """Return the project that a document (references resolved, those of `state` apart) declares."""
    checked = check_shape(document, ProjectDocument)
    root = checked.root
    supported.refuse(document, root, supported.PROJECT)
    _check_names(document, root)
    _check_state(document, root)
    defaults = JobLayer()
    if isinstance(block := root.get("job_defaults"), Map):
        defaults = read_layer(document, block, checked, ("job_defaults",))
    if "name" not in root or "uid" not in root:
        return ProjectEntry(document, None, defaults)
    given: dict[str, Any] = {
        "limits": Limits(**_given(root.get("limits"))),
        "safety": _safety(document, root),
        "retention": Retention(**_given(root.get("retention"))),
    }
    if root.get("state") is not None:
        state = root["state"]
        given["state"] = {"url": state} if isinstance(state, str) else dict(_given(state))
    if root.get("catalog_max_age") is not None:
        age = read_duration(document, root["catalog_max_age"], document.at(("catalog_max_age",)))
        given["catalog_max_age"] = age or 0
    if root.get("windows") is not None:
        given["windows"] = Windows.model_validate(read_windows(document, root, "windows") or {})
    given["alerts"] = read_alerts(document, root)
    given["metrics"] = read_metrics(document, root)
    runtime = Runtime(root.get("runtime") or "embedded")
    return ProjectEntry(
        document, Project(name=root["name"], uid=root["uid"], runtime=runtime, **given), defaults
    )


def _given(block: Map | None) -> dict[str, Any]:
    return {key: value for key, value in (block or {}).items() if value is not None}


def _check_names(document: Document, root: Map) -> None:
    if "name" in root:
        check_name(document, root["name"])
    if "uid" in root and not _UID.match(root["uid"]):
        message = (
            f"{quoted(root['uid'])} is no uid: 4 to 64 letters, digits, '-' and '_', as `init` writes it"
        )
        document.error(document.at(("uid",)), "bad-name", message)


def check_name(document: Document, name: str) -> None:
    """Complain when `name` is not what a project, source, destination or job can be called."""
    if not NAME.match(name):
        message = f"{quoted(name)} is not a name: use letters, digits, '_' and '-', 100 at most"
        document.error(document.at(("name",)), "bad-name", message)


def _check_state(document: Document, root: Map) -> None:
    state = root.get("state")
    url = state.get("url") if isinstance(state, Map) else state
    path = ("state", "url") if isinstance(state, Map) else ("state",)
    if isinstance(url, str) and not url.startswith(("sqlite:", "$")):
        document.error(document.at(path), supported.CODE, supported.STATE)
    if isinstance(url, str) and password_in_url(url):
        hint = 'write {url: …, password: "${env:NAME}"}'
        document.error(document.at(path), "plaintext-secret", "the state's URL holds a password", hint)
    password = state.get("password") if isinstance(state, Map) else None
    if password and not is_only_references(password):
        message = "'password' holds a secret in plain text or a default for one"
        hint = "write a reference, such as ${env:NAME}, and take the secret out of git's history"
        document.error(document.at(("state", "password")), "plaintext-secret", message, hint)


def _safety(document: Document, root: Map) -> Safety:
    given = _given(root.get("safety"))
    kept = given.pop("keep_cleared", None)
    if kept is None:
        return Safety(**given)
    path = ("safety", "keep_cleared")
    seconds = read_duration(document, kept, document.at(path)) or 0
    if seconds:
        message = "safety.keep_cleared is not supported yet: a cleared table is gone; leave it out"
        document.error(document.at(path), supported.CODE, message)
    return Safety(**given, keep_cleared=0)
