"""Passwords that hide in URLs: `scheme://user:password@host`, `?password=…`."""

from __future__ import annotations

import re

from olake_reconcile.model.reference import is_only_references

_USER_INFO = re.compile(r"://[^/?#\s:@]*:([^@\s]+)@")
_PARAMETER = re.compile(r"(?i)[?&;](?:password|passwd|pwd|secret|token|sslpassword)=([^&;\s]+)")


def password_in_url(text: str) -> bool:
    """Whether a URL in `text` holds a password that is no reference."""
    return any(not is_only_references(m.group(1)) for p in (_USER_INFO, _PARAMETER) for m in p.finditer(text))


def without_passwords(text: str) -> str:
    """Return `text` with the passwords of its URLs replaced."""
    for pattern in (_USER_INFO, _PARAMETER):
        text = pattern.sub(lambda m: m.group().replace(m.group(1), "(sensitive)"), text)
    return text
