"""Numbers in sentences."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """Return `1 row`, `2 rows`, `41,200 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
