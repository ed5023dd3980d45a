"""`explain`: why it ran, why it did not, when it does next."""

from __future__ import annotations

import click

from olake_reconcile.cli.options import as_json
from olake_reconcile.cli.output import print_json
from olake_reconcile.cli.session import Session

FORMAT_VERSION = "1.0"


@click.command()
@click.argument("address")
@as_json
@click.pass_obj
def explain(session: Session, address: str, as_json: bool) -> None:
    """Explain ADDRESS, a job, stream, source or destination: what it is doing, why, and what happens next.

    \b
    Examples:
      olake-reconcile explain daily_orders
      olake-reconcile explain daily_orders/public.orders
      olake-reconcile explain source.shop --json
    """
    from olake_reconcile.cli.table import terminal_width
    from olake_reconcile.cli.view_explain import explanation_lines
    from olake_reconcile.reconcile.explain import explain as explained

    found = explained(session.services, session.workspace.desired, address)
    if as_json:
        print_json({"format_version": FORMAT_VERSION, **found.model_dump(mode="json")})
        return
    for line in explanation_lines(found, terminal_width()):
        click.echo(session.secrets.redact(line))
