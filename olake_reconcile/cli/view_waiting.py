"""What waits for a window or for its turn, in words."""

from __future__ import annotations

from collections.abc import Iterator

from olake_reconcile.cli.output import printable
from olake_reconcile.plan.plan import Waiting


def waiting_lines(waiting: tuple[Waiting, ...]) -> Iterator[str]:
    """Yield what is left for later and why, with when it opens."""
    yield "Waiting: an apply leaves these jobs as they are for now; they go on with their stored settings."
    for one in waiting:
        opens = ""
        if one.code == "window":
            opens = (
                f"; opens {one.until:%Y-%m-%d %H:%M} UTC" if one.until else "; no window opens within a year"
            )
        yield f"  {printable(one.job)}: {printable(one.reason)}{opens}"
    yield "Not to wait, which is recorded: olake-reconcile apply --now"
