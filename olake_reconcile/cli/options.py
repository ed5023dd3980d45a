"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

no_refresh: Decorator = click.option(
    "--no-refresh", is_flag=True, help="Connect to nothing: use cached catalogues, cost is unknown."
)

prune: Decorator = click.option(
    "--prune",
    is_flag=True,
    help="Delete the jobs that no file declares; their tables stay, but for `on_remove: clear`.",
)

lock_timeout: Decorator = click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Wait so long for a lock that somebody else holds (default: do not wait).",
)


def consent(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that let guarded actions through."""
    for name, what in (("delete", "erased"), ("rebuild", "rebuilt")):
        command = click.option(
            f"--allow-{name}",
            multiple=True,
            metavar="ADDRESS",
            help=f"Let this protected stream (or job, or glob) be {what}. Repeatable.",
        )(command)
    return command
