"""What the loop may not apply without somebody's consent, kept in the cache: so that each loop and pass says it once.

Disposable: without it, it is said again.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from pydantic import ValidationError

from olake_reconcile.model.base import Model
from olake_reconcile.reconcile.catalogues import replace_file
from olake_reconcile.reconcile.services import Services


class Pending(Model):
    """The part of a plan that waits for consent. `plan_hash` is of that part."""

    plan_hash: str
    addresses: tuple[str, ...]
    since: datetime


def read_pending(services: Services) -> Pending | None:
    """Return what waits, None when nothing is known to."""
    try:
        return Pending.model_validate_json((services.cache / "pending.json").read_bytes())
    except (OSError, ValidationError):
        return None


def write_pending(services: Services, pending: Pending | None) -> None:
    """Keep what waits, or that nothing does. A cache that cannot be written is no error."""
    path = services.cache / "pending.json"
    with suppress(OSError):
        if pending is None:
            path.unlink(missing_ok=True)
        else:
            replace_file(path, pending.model_dump_json().encode())
