"""Text as a YAML scalar that reads as that text: plain where it can be, in double quotes where it must."""

from __future__ import annotations

import json
import re

from olake_reconcile.spec.scalar import plain_value

_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./ :@+-]*\Z")


def spelled(text: str) -> str:
    """Return `text` for a place where a `$` begins no reference: it is doubled there."""
    text = text.replace("$", "$$")
    is_plain = (
        _PLAIN.match(text)
        and ": " not in text
        and not text.endswith((":", " "))
        and not text.startswith("...")
    )
    return text if is_plain and plain_value(text) == text else _quoted(text)


def spelled_key(text: str) -> str:
    """Return `text` as a key; references have no meaning in keys and column names."""
    is_plain = (
        _PLAIN.match(text) and ":" not in text and not text.endswith(" ") and not text.startswith("...")
    )
    return text if is_plain and plain_value(text) == text else _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())
