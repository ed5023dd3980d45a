"""Numbers in sentences, and names as files hold them."""

from __future__ import annotations

import json


def counted(number: int, one: str, many: str = "") -> str:
    """Return `1 row`, `2 rows`, `41,200 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def written(text: str) -> str:
    """Return `text` as a file has to hold it, in quotes: JSON strings are YAML strings, and a dollar there is two."""
    return json.dumps(text.replace("$", "$$"), ensure_ascii=False)
