"""The only place that names concrete adapters: URLs and settings in, ports out."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olake_reconcile.alerts.base import Sender
from olake_reconcile.clock import SystemClock
from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.engine.base import Engine
from olake_reconcile.model.catalogue import Catalogue
from olake_reconcile.model.project import Project
from olake_reconcile.model.stored import Stored
from olake_reconcile.policies.base import PolicyEngine
from olake_reconcile.reconcile.catalogues import Cached, cached_catalogues
from olake_reconcile.reconcile.launch import Launcher, RunOrder
from olake_reconcile.reconcile.services import Services
from olake_reconcile.secrets import Secrets, SystemSecrets, resolve_all
from olake_reconcile.spec.environment import Environment, kept_in
from olake_reconcile.spec.revision import workspace_at
from olake_reconcile.spec.workspace import Workspace, find_root, load_workspace

if TYPE_CHECKING:
    from olake_reconcile.reconcile.launch_process import Teller

__all__ = [
    "alert_sender",
    "catalogues_of",
    "find_root",
    "launcher",
    "read_export",
    "read_offline",
    "read_workspace",
    "services_for",
    "services_given",
    "system_secrets",
    "warm_launcher",
    "workspace_at",
]


def system_secrets(root: Path) -> SystemSecrets:
    """Return the process's environment and the machine's files as secrets."""
    return SystemSecrets(base=root)


def read_workspace(
    root: Path, secrets: Secrets, environment: Environment | None = None
) -> tuple[Workspace, Mapping[str, Cached]]:
    """Return the workspace as an environment has it, checked against the cached catalogues, and these."""
    environment = environment or Environment()
    cache = kept_in(root, environment.name) / "cache"
    cached = cached_catalogues(cache)
    catalogues = catalogues_of(cached)
    found = load_workspace(root, secrets, catalogues, cache=cache, environment=environment)
    return with_compiled_policies(found), cached


def read_offline(root: Path, secrets: Secrets, environment: Environment | None = None) -> Workspace:
    """Return the workspace without checking it against any catalogue."""
    return with_compiled_policies(load_workspace(root, secrets, {}, environment=environment))


def with_compiled_policies(workspace: Workspace) -> Workspace:
    """Return the workspace; one whose policies cannot be compiled is wrong, like one with any other mistake."""
    policies = workspace.desired.policies if workspace.desired else ()
    if not policies:
        return workspace
    mistakes = _policy_engine().mistakes([policy.when for policy in policies])
    found = [
        Diagnostic(Severity.ERROR, "bad-policy", f"policy {policy.name}: {mistake}", policy.place)
        for policy, mistake in zip(policies, mistakes, strict=True)
        if mistake
    ]
    if not found:
        return workspace
    return replace(workspace, desired=None, diagnostics=(*workspace.diagnostics, *found))


def _policy_engine() -> PolicyEngine:
    from olake_reconcile.policies.cel import CelEngine

    return CelEngine()


def catalogues_of(cached: Mapping[str, Cached]) -> dict[str, Catalogue]:
    """Return the catalogues without what the cache knows about them."""
    return {name: entry.catalogue for name, entry in cached.items()}


def services_for(root: Path, project: Project, secrets: Secrets) -> Services:
    """Return the ports for one workspace: its state store, the embedded engine, this process."""
    from olake_reconcile.state.holder import this_process
    from olake_reconcile.state.store import SqlStore

    url = str(resolve_all(project.state["url"], secrets))
    return Services(
        root=root,
        clock=SystemClock(),
        secrets=secrets,
        store=SqlStore(url, root),
        engine=_engine(),
        holder=this_process(),
        who=_who(),
        environment=project.environment,
        policies=_policy_engine(),
    )


def services_given(root: Path, secrets: Secrets, stored: Stored, environment: str) -> Services:
    """Return the ports for a plan that starts from `stored` in place of the state store, which is not touched."""
    from olake_reconcile.state.given import GivenState
    from olake_reconcile.state.holder import this_process

    return Services(
        root=root,
        clock=SystemClock(),
        secrets=secrets,
        store=GivenState(stored),
        engine=_engine(),
        holder=this_process(),
        who=_who(),
        environment=environment,
        policies=_policy_engine(),
    )


def read_export(document: Any) -> Stored:
    """Return what `state export` printed. Raises `ReconcileError`."""
    from olake_reconcile.state.exported import read_export

    return read_export(document)


# What the nursery of runs imports before the first of them: a second's work that none of them repeats.
PRELOAD = (
    "olake_reconcile.reconcile.worker",
    "olake_reconcile.state.store",
    "olake_reconcile.engine.embedded",
    "olake_reconcile.engine.full_refresh",
    "olake_reconcile.engine.incremental",
    "olake_reconcile.destinations.iceberg.catalog",
    "olake_reconcile.sources.postgres.discover",
    "pyiceberg.catalog.sql",
)


def warm_launcher(root: Path, project: Project) -> Launcher:
    """Return the launcher of a process that starts many runs: from a nursery that has imported what runs need."""
    from olake_reconcile.reconcile.launch_process import ProcessLauncher

    return ProcessLauncher("forkserver", partial(_work, root, project), PRELOAD)


def alert_sender() -> Sender:
    """Return what takes alerts to where they are read."""
    from olake_reconcile.alerts.through_apprise import AppriseSender

    return AppriseSender()


def launcher(root: Path, project: Project) -> Launcher:
    """Return the launcher of a command that makes one run: a fork of itself."""
    from olake_reconcile.reconcile.launch_process import ProcessLauncher

    return ProcessLauncher("fork", partial(_work, root, project))


def _work(root: Path, project: Project, order: RunOrder, teller: Teller) -> None:
    """Be a run's process."""
    from olake_reconcile.reconcile.worker import work

    work(lambda: services_for(root, project, system_secrets(root)), project.uid, order, teller)


def _engine() -> Engine:
    # Only tests set this: a world in a folder, moved without a server (engine/scripted.py).
    if world := os.environ.get("OLAKE_RECONCILE_SCRIPTED_WORLD"):
        from olake_reconcile.engine.scripted import ScriptedEngine

        return ScriptedEngine(Path(world))
    from olake_reconcile.engine.embedded import EmbeddedEngine

    return EmbeddedEngine()


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
