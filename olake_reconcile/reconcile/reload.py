"""Changed files, picked up while the loop runs: planned, and applied as far as consent goes (design §5, §7).

Files with mistakes keep the last good plan; what waits for somebody stays in the plan, and its streams go on with the
stored settings. Each is said once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from olake_reconcile.errors import ExitCode, InvalidWorkspace, Locked, ReconcileError, StalePlan
from olake_reconcile.model.event import Level
from olake_reconcile.model.names import Address
from olake_reconcile.model.project import Project
from olake_reconcile.plan.actions import Action
from olake_reconcile.plan.document import plan_hash
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan
from olake_reconcile.plan.unattended import unattended
from olake_reconcile.reconcile.apply import ApplyOptions, apply_plan
from olake_reconcile.reconcile.apply_job import never
from olake_reconcile.reconcile.catalogues import Cached, refresh
from olake_reconcile.reconcile.heal import (
    HEAL_SECONDS,
    count_rebuilds,
    heal_drift,
    is_rebuild_over,
    over_by_rebuild,
)
from olake_reconcile.reconcile.notice import Notice, OnNotice
from olake_reconcile.reconcile.observe import make_plan
from olake_reconcile.reconcile.pending import Pending, read_pending, write_pending
from olake_reconcile.reconcile.runs import finish_applies
from olake_reconcile.reconcile.services import Services
from olake_reconcile.reconcile.watched_files import WatchedFiles
from olake_reconcile.spec.workspace import Workspace

Load = Callable[[], tuple[Workspace, Mapping[str, Cached]]]

# What could not be applied (a hold, a lock, a server that is down) is tried again after this, files unchanged.
AGAIN_SECONDS = 300.0
SOON_SECONDS = 10.0  # when somebody else applies just now
_MOST_NAMED = 20


class Reloader:
    """Keeps what is applied equal to what the files say, as far as nobody has to be asked."""

    def __init__(
        self,
        services: Services,
        load: Load,
        tell: OnNotice,
        project: Project,
        stop: Callable[[], bool] = never,
    ) -> None:
        """Take what it needs; `project` is what the program was started with."""
        self._services = services
        self._load = load
        self._tell = tell
        self._stop = stop
        self._files = WatchedFiles(services.root)
        self._again = -math.inf
        self._complaint = ""
        self._project = project
        self.limits = project.limits
        self.windows = project.windows
        self.retention = project.retention
        self.alerts = project.alerts
        #: What keeps the files from being applied, without the error's own words; None before it was tried.
        self.trouble: str | None = None

    def is_due(self) -> bool:
        """Whether files changed, or something has to be tried again. Cheap: parses nothing."""
        return self._services.clock.monotonic() >= self._again or self._files.changed()

    def turn(self) -> ExitCode:
        """Finish what a killed apply left, then plan and apply. Says what goes wrong; the exit code tells it to cron."""
        self._files.take()
        self._again = math.inf
        try:
            unfinished = finish_applies(self._services)
            waiting = self._apply()
        except InvalidWorkspace as invalid:
            self.trouble = "the files have mistakes; what was applied goes on"
            mistakes = "\n".join(d.render() for d in invalid.diagnostics)
            self._complain("files_invalid", f"the files have mistakes; what was applied goes on:\n{mistakes}")
            return ExitCode.ERROR
        except ReconcileError as error:
            if not isinstance(error, Locked | StalePlan):
                self.trouble = "changed files cannot be applied; what was applied goes on"
            self._try_again(SOON_SECONDS if isinstance(error, Locked | StalePlan) else AGAIN_SECONDS)
            self._complain("apply_failed", f"the changed files were not applied: {error}")
            return ExitCode(error.exit_code)
        if waiting or unfinished:
            self._try_again(AGAIN_SECONDS)
        self._complaint = ""
        self.trouble = "an interrupted apply cannot be finished" if unfinished else ""
        for job, why in unfinished.items():
            self._complain("apply_unfinished", f"{job}: an interrupted apply cannot be finished: {why}")
        return ExitCode.ERROR if unfinished else ExitCode.OK

    def _try_again(self, seconds: float) -> None:
        self._again = self._services.clock.monotonic() + seconds

    def _complain(self, action: str, text: str) -> None:
        """Say what is wrong, and not again while it stays the same."""
        if text != self._complaint:
            self._complaint = text
            self._say(Level.ERROR, action, text)

    def _apply(self) -> bool:
        """Apply what may be; tell whether something waits for somebody."""
        workspace, catalogues = self._refreshed()
        desired = workspace.desired
        if desired is None:
            raise InvalidWorkspace(workspace.diagnostics)
        self._refuse_other(desired.project)

        safety = desired.project.safety
        over = over_by_rebuild(self._services) if safety.self_heal_rebuild else frozenset[str]()

        def heals(address: Address) -> bool:
            return safety.self_heal_rebuild and not is_rebuild_over(over, address)

        def make() -> tuple[Plan, list[Action]]:
            plan, _ = make_plan(self._services, desired, catalogues, Options(), connect=True)
            return unattended(plan, desired.approvals, auto_rebuild=safety.auto_rebuild, heal=heals)

        allowed, waiting = make()
        self._tell_waiting(allowed, waiting)
        if allowed.changes:
            options = ApplyOptions(stop=self._stop)
            result = apply_plan(self._services, lambda: make()[0], lambda step: None, options)
            names = ", ".join(sorted(result.applied)[:_MOST_NAMED]) or "endpoints"
            self._say(Level.INFO, "applied", f"changed files are applied (apply {result.apply_id}): {names}")
            if safety.self_heal_rebuild:
                done = [a for a in allowed.changes if a.address.name in result.applied]
                count_rebuilds(self._services, desired.project, done, self._tell)
        if safety.self_heal:
            heal_drift(self._services, desired.project, catalogues, self._tell)
            self._try_again(HEAL_SECONDS)
        return bool(waiting)

    def _refuse_other(self, project: Project) -> None:
        ours = self._project
        if (project.uid, project.state) != (ours.uid, ours.state):
            raise ReconcileError(
                "olake.yaml names another project or another state store than this program works with",
                why="Its jobs go on as they were applied.",
                remedy="Start the program again.",
            )

    def _refreshed(self) -> tuple[Workspace, Mapping[str, Cached]]:
        """Return the workspace, checked against catalogues that are fresh enough."""
        workspace, catalogues = self._load()
        if workspace.project is not None:
            self.limits = workspace.project.limits
            self.windows = workspace.project.windows
            self.retention = workspace.project.retention
            self.alerts = workspace.project.alerts
        if (desired := workspace.desired) is None:
            return workspace, catalogues
        used = {job.source for job in desired.jobs.values()}
        sources = [s for name, s in sorted(desired.sources.items()) if name in used]
        for warning in refresh(self._services, sources, desired.project.catalog_max_age):
            self._say(Level.WARNING, warning.code, warning.message)
        return self._load()

    def _tell_waiting(self, allowed: Plan, waiting: list[Action]) -> None:
        """Say what waits, once for each thing that does, whichever process said it."""
        known = read_pending(self._services)
        if not waiting:
            if known is not None:
                write_pending(self._services, None)
            return
        hash_ = plan_hash(allowed.model_copy(update={"actions": tuple(waiting), "uses": {}}))
        if known is not None and known.plan_hash == hash_:
            return
        lines = [_waits(action) for action in waiting[:_MOST_NAMED]]
        if len(waiting) > _MOST_NAMED:
            lines.append(f"and {len(waiting) - _MOST_NAMED} more: see `olake-reconcile plan`")
        text = "waiting for consent, and going on as applied:\n" + "\n".join(lines)
        self._say(Level.WARNING, "consent_pending", text)
        addresses = tuple(str(a.address) for a in waiting)
        now = self._services.clock.now()
        write_pending(self._services, Pending(plan_hash=hash_, addresses=addresses, since=now))

    def _say(self, level: Level, action: str, text: str, job: str = "") -> None:
        self._tell(Notice(level, action, self._services.secrets.redact(text), job))


def _waits(action: Action) -> str:
    block = action.blocked[0]
    line = f"  {action.address.short}: {block.message}; {block.remedy}"
    return f"{line}\n    or commit: {block.approval}" if block.approval else line
