"""Secrets as a port: references are resolved here, late, and whatever was resolved is redacted everywhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.reference import Reference, expand, references

REDACTED = "(sensitive)"
_LARGEST_FILE = 1024 * 1024
_SHORTEST_REDACTED = 4  # replacing shorter values would shred every text


class UnsetReference(ReconcileError):
    """A reference has no value here: the variable is not set, or the file cannot be read."""

    def __init__(self, reference: Reference, reason: str) -> None:
        what = "environment variable" if reference.kind == "env" else "file"
        super().__init__(
            f"{reference}: {reason}",
            remedy=f"Set the {what} {reference.name} and run the command again.",
        )
        self.reference = reference


class Secrets(Protocol):
    """Looks references up, and remembers what it gave out so that no output shows it."""

    def resolve(self, reference: Reference, *, sensitive: bool = True) -> str:
        """Return the value behind `reference`; a sensitive one is redacted from now on. Raises `UnsetReference`."""
        ...

    def redact(self, text: str) -> str:
        """Return `text` with every sensitive value given out so far replaced."""
        ...


class SystemSecrets:
    """The process's environment and the machine's files."""

    def __init__(self, environment: Mapping[str, str] | None = None, base: Path | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._base = base or Path()
        self._given: set[str] = set()

    def resolve(self, reference: Reference, *, sensitive: bool = True) -> str:
        """Return the value behind `reference`; one final newline of a file is not part of it."""
        value = self._look_up(reference)
        if sensitive and len(value) >= _SHORTEST_REDACTED:
            self._given.add(value)
            # Multi-line values (keys, certificates) may turn up a line at a time.
            self._given.update(line for line in value.splitlines() if len(line) >= 16)
        return value

    def _look_up(self, reference: Reference) -> str:
        if reference.kind == "env":
            value = self._environment.get(reference.name)
            if value is None:
                value = reference.default
            if value is None:
                raise UnsetReference(reference, "not set")
            return value
        try:
            text = self._read(reference).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise UnsetReference(reference, getattr(error, "strerror", None) or "not UTF-8 text") from None
        return text[:-1] if text.endswith("\n") else text

    def _read(self, reference: Reference) -> bytes:
        """Read a small, regular file: a reference to a device or a pipe must not hang whoever plans."""
        path = self._base / reference.name
        if not path.exists():
            raise UnsetReference(reference, "no such file")
        if not path.is_file() or path.stat().st_size > _LARGEST_FILE:
            raise UnsetReference(reference, f"not a file of at most {_LARGEST_FILE // 1024} kB")
        return path.read_bytes()

    def redact(self, text: str) -> str:
        """Return `text` with every sensitive value given out so far replaced, the longest first."""
        for value in sorted(self._given, key=len, reverse=True):
            text = text.replace(value, REDACTED)
        return text


def resolve_all(value: Any, secrets: Secrets, *, sensitive: bool = True) -> Any:
    """Return `value` (JSON types) with the references in all its strings resolved. Raises `UnsetReference`."""
    match value:
        case str():
            return expand(value, lambda reference: secrets.resolve(reference, sensitive=sensitive))
        case Mapping():
            return {k: resolve_all(v, secrets, sensitive=sensitive) for k, v in value.items()}
        case list() | tuple():
            return [resolve_all(v, secrets, sensitive=sensitive) for v in value]
        case _:
            return value


def has_references(value: Any) -> bool:
    """Whether any string in `value` (JSON types) holds a reference."""
    match value:
        case str():
            return "${" in value and bool(references(value))
        case Mapping():
            return any(has_references(v) for v in value.values())
        case list() | tuple():
            return any(has_references(v) for v in value)
        case _:
            return False
