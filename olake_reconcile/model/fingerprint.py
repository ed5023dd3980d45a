"""Fingerprints: equal values have equal ones, whatever the order of keys (canonical JSON, BLAKE2b)."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

FINGERPRINT_BYTES = 16


def canonical_json(value: Any) -> bytes:
    """Return `value` (JSON types only) as JSON with sorted keys and no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def fingerprint(value: Any) -> str:
    """Return the fingerprint of a JSON value as 32 hexadecimal digits."""
    return hashlib.blake2b(canonical_json(value), digest_size=FINGERPRINT_BYTES).hexdigest()


def keyed_fingerprint(value: str, key: bytes) -> str:
    """Return a fingerprint that only who has `key` can compare: for secrets (design §9)."""
    return hashlib.blake2b(value.encode(), digest_size=FINGERPRINT_BYTES, key=key).hexdigest()
