"""Passwords that hide in URLs: `scheme://user:password@host`, `?password=…`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from olake_reconcile.model.reference import is_only_references

_USER_INFO = re.compile(r"://[^/?#\s:@]*:([^@\s]+)@")
_PARAMETER = re.compile(r"(?i)[?&;](?:password|passwd|pwd|secret|token|sslpassword)=([^&;\s\"']+)")


def password_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where URLs in `text` hold a password that is no reference."""
    for pattern in (_USER_INFO, _PARAMETER):
        for match in pattern.finditer(text):
            if not is_only_references(match.group(1)):
                yield match.span(1)


def password_in_url(text: str) -> bool:
    """Whether a URL in `text` holds a password that is no reference."""
    return any(True for _ in password_spans(text))
