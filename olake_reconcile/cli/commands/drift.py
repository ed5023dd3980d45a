"""`drift`: what moved without us. Never writes."""

from __future__ import annotations

from collections.abc import Iterator

import click

from olake_reconcile.cli.options import as_json
from olake_reconcile.cli.output import print_json
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import ExitCode, InvalidWorkspace, UsageError
from olake_reconcile.model.codec import read_source
from olake_reconcile.model.endpoint import Source
from olake_reconcile.model.names import Address, select
from olake_reconcile.model.stored import Stored, StreamPhase


@click.command()
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.option(
    "--no-refresh", is_flag=True, help="Compare sources with their cached catalogues; tables are looked at."
)
@as_json
@click.pass_obj
def drift(session: Session, addresses: tuple[str, ...], no_refresh: bool, as_json: bool) -> int:
    """Show what moved without us: tables that others altered, dropped or rolled back, sources that changed, holds.

    Metadata only, no row is read, nothing is changed. ADDRESS is a job or stream, globs allowed; without one all that
    was applied is looked at. Exits 2 when something differs; a hold is no difference.

    \b
    Examples:
      olake-reconcile drift
      olake-reconcile drift 'sales_*' --json
      olake-reconcile drift daily_orders/public.orders
    """
    from olake_reconcile.cli.view_drift import report_document, report_lines
    from olake_reconcile.reconcile.catalogues import cached_catalogues, refresh
    from olake_reconcile.reconcile.drift import look_for_drift

    services, project = session.services, session.project
    stored = services.store.read()
    chosen = _chosen(stored, addresses) if addresses else None
    if not no_refresh:
        session.warn(refresh(services, _sources(session, stored, chosen), project.catalog_max_age))
    report, warnings = look_for_drift(services, project, cached_catalogues(services.cache), chosen)
    session.warn(warnings)
    if as_json:
        print_json(report_document(report))
    else:
        for line in report_lines(report):
            click.echo(session.redact(line))
    return ExitCode.CHANGES if report.differences else ExitCode.OK


def _chosen(stored: Stored, patterns: tuple[str, ...]) -> list[Address]:
    """Return the jobs and streams that are meant. Raises `UsageError` for a pattern that means none."""
    known = list(_known(stored))
    found: list[Address] = []
    for pattern in patterns:
        meant = select(pattern, known)
        if not meant:
            raise UsageError(
                f"'{pattern}' is no job or stream that was applied", remedy="See `olake-reconcile status`."
            )
        found += meant
    return found


def _known(stored: Stored) -> Iterator[Address]:
    for name, job in stored.jobs.items():
        yield Address("job", name)
        for id_, stream in job.streams.items():
            if stream.phase is not StreamPhase.REMOVED:
                yield Address.of_stream(name, id_)


def _sources(session: Session, stored: Stored, chosen: list[Address] | None) -> list[Source]:
    """Return the sources of what is looked at, as the files have them; files with mistakes keep nobody from looking."""
    jobs = {a.name for a in chosen} if chosen is not None else set(stored.jobs)
    used = sorted({str(stored.jobs[n].spec.get("source")) for n in jobs} & stored.sources.keys())
    try:
        declared = session.desired_for_discovery.sources
    except InvalidWorkspace:
        declared = {}
    return [declared[n] if n in declared else read_source(n, stored.sources[n].spec) for n in used]
