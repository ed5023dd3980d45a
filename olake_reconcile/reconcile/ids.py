"""Names for new things: sortable by time where people read them, random where machines do."""

from __future__ import annotations

import secrets as random
from datetime import datetime


def run_id(now: datetime) -> str:
    """Return an id such as `20260314-150926-a3f19c02`."""
    return f"{now:%Y%m%d-%H%M%S}-{random.token_hex(4)}"


def uid() -> str:
    """Return eight random hexadecimal digits."""
    return random.token_hex(4)
