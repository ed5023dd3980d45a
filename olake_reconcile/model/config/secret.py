"""The mark of a secret field: its value in a file must be a reference (design §3)."""

from __future__ import annotations

from typing import Annotated, Any


class _Secret:
    """Marker in a field's annotation."""


SecretText = Annotated[str, _Secret()]


def is_secret(metadata: list[Any]) -> bool:
    """Whether a field's metadata bears the mark."""
    return any(isinstance(m, _Secret) for m in metadata)
