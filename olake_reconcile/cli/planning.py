"""Making a plan for a command: refresh the catalogues, read the files, look, plan."""

from __future__ import annotations

from olake_reconcile.cli.basis import Basis
from olake_reconcile.cli.session import Session
from olake_reconcile.diagnostics import Diagnostic
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan


def planned(
    session: Session, options: Options, *, connect: bool, basis: Basis | None = None, drift: bool = False
) -> tuple[Plan, list[Diagnostic]]:
    """Return the plan, from `basis` if one is given, and the warnings found on the way; with
    `drift` what moved without us is looked for too. Raises `InvalidWorkspace`."""
    from olake_reconcile.reconcile.catalogues import refresh
    from olake_reconcile.reconcile.drift import with_drift
    from olake_reconcile.reconcile.observe import make_plan

    warnings: list[Diagnostic] = []
    if basis is not None:
        warnings += basis.notes
        session.start_from(basis.stored)
    if connect:
        desired = session.desired_for_discovery
        used = {job.source for job in desired.jobs.values()}
        sources = [s for name, s in sorted(desired.sources.items()) if name in used]
        warnings += refresh(session.services, sources, desired.project.catalog_max_age)
        session.reload()
    plan, more = make_plan(session.services, session.desired, session.catalogues, options, connect=connect)
    if drift and (basis is None or basis.kind != "revision"):
        plan, seen = with_drift(session.services, session.project, session.catalogues, plan, connect=connect)
        warnings += [w for w in seen if w not in more]
    if basis is not None:
        plan = plan.model_copy(update={"against": basis.kind, "revision": basis.revision})
    return plan, [*warnings, *more]
