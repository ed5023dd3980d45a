"""`state` and `force-unlock`: look at what is stored, and mend it."""

from __future__ import annotations

import click

from olake_reconcile.cli.asking import confirm
from olake_reconcile.cli.options import as_json, lock_timeout
from olake_reconcile.cli.output import print_json, print_table
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import UsageError
from olake_reconcile.model.names import Address, parse_pattern, select
from olake_reconcile.model.stored import Stored


@click.group()
def state() -> None:
    """Look at what was applied, and mend it.

    \b
    Example:
      olake-reconcile state list
    """


@state.command("list")
@click.argument("pattern", required=False)
@click.pass_obj
def list_(session: Session, pattern: str | None) -> None:
    """List the addresses of everything stored, or of what PATTERN matches.

    \b
    Examples:
      olake-reconcile state list
      olake-reconcile state list 'daily_*'
    """
    stored = session.services.store.read()
    addresses = stored_addresses(stored)
    if pattern is not None:
        addresses = select(pattern, addresses)
        if not addresses:
            raise UsageError(f"'{pattern}' matches nothing stored", remedy="olake-reconcile state list")
    for address in addresses:
        click.echo(str(address))


@state.command()
@click.argument("address")
@click.pass_obj
def show(session: Session, address: str) -> None:
    """Print what is stored of ADDRESS, as JSON: references, never secrets.

    \b
    Example:
      olake-reconcile state show daily_orders/public.orders
    """
    stored = session.services.store.read()
    print_json(_record(stored, _one(stored, address)))


def _one(stored: Stored, address: str) -> Address:
    found = select(address, stored_addresses(stored))
    if len(found) != 1:
        what = "matches nothing stored" if not found else f"matches {len(found)} resources"
        raise UsageError(f"'{address}' {what}", remedy="olake-reconcile state list")
    return found[0]


@state.command()
@click.pass_obj
def export(session: Session) -> None:
    """Print everything stored as one JSON document: references, never secrets.

    \b
    Example:
      olake-reconcile state export > state.json
    """
    print_json(export_document(session.services.store.read()))


def export_document(stored: Stored) -> dict[str, object]:
    """Return everything stored as JSON, without the fingerprints of secrets."""
    return {
        "format_version": "1.0",
        "resources": {str(a): _record(stored, a) for a in stored_addresses(stored)},
    }


def stored_addresses(stored: Stored) -> list[Address]:
    """Return the address of every stored resource, in order."""
    found = [Address("source", n) for n in sorted(stored.sources)]
    found += [Address("destination", n) for n in sorted(stored.destinations)]
    for name, job in sorted(stored.jobs.items()):
        found.append(Address("job", name))
        found += [Address.of_stream(name, i) for i in sorted(job.streams)]
    return found


def _record(stored: Stored, address: Address) -> object:
    match address.kind:
        case "source":
            return stored.sources[address.name].model_dump(mode="json", exclude={"values"})
        case "destination":
            return stored.destinations[address.name].model_dump(mode="json", exclude={"values"})
        case "job":
            return stored.jobs[address.name].model_dump(mode="json", exclude={"streams"})
        case "stream":
            job = stored.jobs[address.name]
            stream = next(s for i, s in job.streams.items() if str(i) == address.stream)
            return stream.model_dump(mode="json") | {"id": address.stream}


@state.command()
@click.argument("address")
@click.argument("new")
@lock_timeout
@click.pass_obj
def mv(session: Session, address: str, new: str, lock_timeout: float) -> None:
    """Give what is stored at ADDRESS the address NEW. A `Moved` document in git does the same for everybody.

    \b
    Example:
      olake-reconcile state mv job.daily job.nightly
    """
    from olake_reconcile.reconcile.mend import move_in_state

    before = _one(session.services.store.read(), address)
    name, stream, kind = parse_pattern(new)
    after = Address(kind or before.kind, name, stream or "")
    move_in_state(session.services, before, after, lock_timeout=lock_timeout)
    click.echo(f"{before} is now {after}")


@state.command()
@click.argument("address")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@lock_timeout
@click.pass_obj
def rm(session: Session, address: str, auto_approve: bool, lock_timeout: float) -> None:
    """Forget what is stored at ADDRESS. Its tables stay, and are nobody's until they are imported.

    \b
    Example:
      olake-reconcile state rm daily_orders/public.orders
    """
    from olake_reconcile.reconcile.mend import forget_in_state

    found = _one(session.services.store.read(), address)
    click.echo(f"{found} will be forgotten; its tables stay.")
    if not auto_approve:
        confirm()
    forget_in_state(session.services, found, lock_timeout=lock_timeout)
    click.echo(f"{found} is forgotten.")


@state.command()
@as_json
@click.pass_obj
def locks(session: Session, as_json: bool) -> None:
    """List the locks that are held, by whom and for what.

    \b
    Example:
      olake-reconcile state locks
    """
    leases = session.services.store.leases()
    if as_json:
        print_json([lease.model_dump(mode="json") for lease in leases])
        return
    print_table(
        ["LOCK", "HOLDER", "FOR", "SINCE (UTC)"],
        [[x.name, str(x.holder), x.purpose, f"{x.since:%Y-%m-%d %H:%M:%S}"] for x in leases],
    )


@click.command("force-unlock")
@click.argument("name")
@click.pass_obj
def force_unlock(session: Session, name: str) -> None:
    """Take the lock NAME (`apply`, or `job:daily_orders`) away from its holder.

    The holder's next write is refused and it stops. A dead process on this host needs none of this: its locks are
    taken over at once.

    \b
    Example:
      olake-reconcile force-unlock job:daily_orders
    """
    session.services.store.create()
    held = session.services.store.force(name)
    if held is None:
        click.echo(f"{name} is not held.")
    else:
        click.echo(
            f"{name} was taken from {held.holder} ({held.purpose}, since {held.since:%Y-%m-%d %H:%M} UTC)."
        )
