"""What the `config` of each source and destination type may hold, in OLake's field names."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from olake_reconcile.model.config.iceberg import IcebergConfig
from olake_reconcile.model.config.postgres import PostgresConfig
from olake_reconcile.model.config.secret import is_secret
from olake_reconcile.model.endpoint import DestinationType, SourceType

__all__ = ["DESTINATION_CONFIGS", "SOURCE_CONFIGS", "IcebergConfig", "PostgresConfig", "secret_paths"]

# Types that are missing here are known to OLake and not yet to the embedded engine.
SOURCE_CONFIGS: dict[SourceType, type[PostgresConfig]] = {SourceType.POSTGRES: PostgresConfig}
DESTINATION_CONFIGS: dict[DestinationType, type[IcebergConfig]] = {DestinationType.ICEBERG: IcebergConfig}


def secret_paths(config: type[BaseModel]) -> frozenset[tuple[str, ...]]:
    """Return the paths of the secret fields of a config type, such as `("ssl", "client_key")`."""
    found: set[tuple[str, ...]] = set()
    for name, field in config.model_fields.items():
        if is_secret(field.metadata) or _holds_secret(field.annotation):
            found.add((name,))
        for inner in _models(field.annotation):
            found.update((name, *path) for path in secret_paths(inner))
    return frozenset(found)


def _holds_secret(annotation: Any) -> bool:
    """Whether a part of the type bears the mark, as in `SecretText | None`."""
    metadata = list(getattr(annotation, "__metadata__", ()))
    return is_secret(metadata) or any(_holds_secret(a) for a in get_args(annotation))


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for argument in get_args(annotation) for m in _models(argument)]
