"""`check` and `discover`: ask the servers."""

from __future__ import annotations

from collections.abc import Sequence

import click

from olake_reconcile.cli.options import as_json
from olake_reconcile.cli.output import print_json, print_table
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import ExitCode, ReconcileError, UsageError
from olake_reconcile.model.catalogue import Catalogue
from olake_reconcile.model.names import Address, select


@click.command()
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.pass_obj
def check(session: Session, addresses: tuple[str, ...]) -> int:
    """Connect to sources and destinations, and say what they are. Changes nothing.

    \b
    Examples:
      olake-reconcile check
      olake-reconcile check source.shop
    """
    from olake_reconcile.reconcile.endpoints import open_destination, open_source

    desired, services = session.desired, session.services
    known = [Address("source", n) for n in sorted(desired.sources)]
    known += [Address("destination", n) for n in sorted(desired.destinations)]
    fine = True
    for address in _chosen(addresses, known):
        try:
            if address.kind == "source":
                opened = open_source(desired.sources[address.name], services.secrets)
                found = services.engine.check_source(opened)
            else:
                place = open_destination(desired.destinations[address.name], services.secrets, services.root)
                found = services.engine.check_destination(place)
        except ReconcileError as error:
            fine = False
            click.echo(session.secrets.redact(f"{address}: FAILED: {error}"), err=True)
            continue
        click.echo(f"{address}: ok, {found.description}")
        for warning in found.warnings:
            click.echo(session.secrets.redact(f"{address}: warning: {warning}"), err=True)
    return ExitCode.OK if fine else ExitCode.ERROR


def _chosen(patterns: Sequence[str], known: Sequence[Address]) -> list[Address]:
    if not patterns:
        return list(known)
    chosen: list[Address] = []
    for pattern in patterns:
        found = select(pattern, known)
        if not found:
            names = ", ".join(map(str, known)) or "none"
            raise UsageError(f"'{pattern}' matches nothing here", remedy=f"There are: {names}.")
        chosen += found
    return list(dict.fromkeys(chosen))


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option(
    "--write-job",
    metavar="FILE|NAME",
    help="Write a job with what was found: NAME goes to jobs/NAME.yaml. Overwrites nothing.",
)
@click.option(
    "--stream", "streams", multiple=True, metavar="GLOB", help="With --write-job: only these. Repeatable."
)
@click.option("--destination", help="With --write-job: where to, if job_defaults do not say.")
@click.option("--force", is_flag=True, help="With --write-job: replace the file that is there.")
@as_json
@click.pass_obj
def discover(
    session: Session,
    sources: tuple[str, ...],
    write_job: str | None,
    streams: tuple[str, ...],
    destination: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """List what the sources offer, and cache it for `validate` and `plan`.

    --write-job drafts a job: a stream is incremental where a column says when a row was written and an index
    begins with it, else full_refresh, with the alternatives as comments. It is checked before it is written.

    \b
    Examples:
      olake-reconcile discover
      olake-reconcile discover shop --json
      olake-reconcile discover shop --write-job daily_orders --stream 'public.order*'
    """
    from olake_reconcile.reconcile.catalogues import discover as ask

    if write_job is None and (streams or destination or force):
        raise UsageError(
            "--stream, --destination and --force are about --write-job",
            remedy="Run: olake-reconcile discover SOURCE --write-job NAME",
        )
    desired = session.desired_for_discovery
    known = [Address("source", name) for name in sorted(desired.sources)]
    patterns = [s if s.startswith("source.") else f"source.{s}" for s in sources]
    chosen = _chosen(patterns, known)
    if write_job is not None and len(chosen) != 1:
        names = ", ".join(a.name for a in chosen) or "none"
        raise UsageError(
            f"a job reads from one source; here are {names}",
            remedy=f"Run: olake-reconcile discover SOURCE --write-job {write_job}",
        )
    found = {a.name: ask(session.services, desired.sources[a.name]) for a in chosen}
    if write_job is not None:
        from olake_reconcile.cli.drafting import write_drafted_job

        ((name, catalogue),) = found.items()
        file = write_drafted_job(session, name, catalogue, write_job, streams, destination, force=force)
        click.echo(f"wrote {file}\nRead it, then: olake-reconcile plan")
        return
    if as_json:
        print_json({name: catalogue.model_dump(mode="json") for name, catalogue in found.items()})
        return
    for name, catalogue in found.items():
        click.echo(f"source.{name}: {len(catalogue.streams)} streams")
        print_table(["STREAM", "KIND", "COLUMNS", "KEY", "ROWS (ESTIMATE)"], _rows(catalogue))


def _rows(catalogue: Catalogue) -> list[list[str]]:
    return [
        [
            str(stream_id),
            stream.relation,
            str(len(stream.columns)),
            ", ".join(stream.primary_key) or "-",
            "unknown" if stream.rows is None else f"{stream.rows:,}",
        ]
        for stream_id, stream in sorted(catalogue.streams.items())
    ]
