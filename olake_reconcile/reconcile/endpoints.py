"""Endpoints with their references resolved: for the engine, and for comparing values with those applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from olake_reconcile.engine.base import OpenDestination, OpenSource
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.config import DESTINATION_CONFIGS, SOURCE_CONFIGS, secret_paths
from olake_reconcile.model.endpoint import Destination, Endpoint, Source
from olake_reconcile.model.fingerprint import keyed_fingerprint
from olake_reconcile.model.observed import ValueState
from olake_reconcile.secrets import Secrets, UnsetReference, has_references, resolve_all

Path_ = tuple[str, ...]
_M = TypeVar("_M", bound=BaseModel)


def open_source(source: Source, secrets: Secrets) -> OpenSource:
    """Return the source with its references resolved. Raises `UnsetReference`."""
    kind = SOURCE_CONFIGS[source.type]
    return OpenSource(name=source.name, config=_typed(kind, source, secrets))


def open_destination(destination: Destination, secrets: Secrets, base: Path) -> OpenDestination:
    """Return the destination with its references resolved. Raises `UnsetReference`."""
    kind = DESTINATION_CONFIGS[destination.type]
    return OpenDestination(name=destination.name, config=_typed(kind, destination, secrets), base=base)


def _typed(kind: type[_M], endpoint: Endpoint, secrets: Secrets) -> _M:
    hidden = secret_paths(kind)
    config = _resolve(endpoint.config, secrets, hidden, ())
    try:
        return kind.model_validate(config)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(p) for p in first["loc"])
        raise ReconcileError(
            f"{_address(endpoint)}: config.{where} is wrong once its references are resolved: {first['msg']}",
            remedy="Correct the value behind the reference.",
        ) from None


def _address(endpoint: Endpoint) -> str:
    return f"{'source' if isinstance(endpoint, Source) else 'destination'}.{endpoint.name}"


def _resolve(value: Any, secrets: Secrets, hidden: frozenset[Path_], path: Path_) -> Any:
    if isinstance(value, Mapping):
        return {k: _resolve(v, secrets, hidden, (*path, str(k))) for k, v in value.items()}
    return resolve_all(value, secrets, sensitive=path in hidden)


def value_fingerprints(endpoint: Endpoint, secrets: Secrets, key: bytes) -> dict[str, str]:
    """Return the keyed fingerprint of each referenced value, by its path. Raises `UnsetReference`."""
    hidden = _hidden(endpoint)
    return {
        ".".join(path): keyed_fingerprint(str(resolve_all(value, secrets, sensitive=path in hidden)), key)
        for path, value in _referenced(endpoint.config, ())
    }


def open_values(endpoint: Endpoint, secrets: Secrets) -> dict[str, str | None]:
    """Return each referenced value that is no secret, by its path; None where it is not set here."""
    hidden = _hidden(endpoint)
    found: dict[str, str | None] = {}
    for path, value in _referenced(endpoint.config, ()):
        if path in hidden:
            continue
        try:
            found[".".join(path)] = str(resolve_all(value, secrets, sensitive=False))
        except UnsetReference:
            found[".".join(path)] = None
    return found


def value_states(
    endpoint: Endpoint, applied: Mapping[str, str], secrets: Secrets, key: bytes
) -> dict[str, ValueState]:
    """Compare each referenced value with the applied one; a value that is not set here is unknown."""
    hidden = _hidden(endpoint)
    states = {}
    for path, value in _referenced(endpoint.config, ()):
        name = ".".join(path)
        try:
            resolved = str(resolve_all(value, secrets, sensitive=path in hidden))
        except UnsetReference:
            states[name] = ValueState.UNKNOWN
            continue
        if name in applied:
            same = keyed_fingerprint(resolved, key) == applied[name]
            states[name] = ValueState.SAME if same else ValueState.CHANGED
    return states


def _hidden(endpoint: Endpoint) -> frozenset[Path_]:
    kinds: Mapping[Any, type[BaseModel]] = {**SOURCE_CONFIGS, **DESTINATION_CONFIGS}
    kind = kinds.get(endpoint.type)
    return secret_paths(kind) if kind else frozenset()


def _referenced(value: Any, path: Path_) -> Iterator[tuple[Path_, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _referenced(inner, (*path, str(key)))
    elif has_references(value):
        yield path, value
