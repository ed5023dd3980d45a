"""Sources and destinations as declared: names, types and configs that hold references, never secrets."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from olake_reconcile.model.base import Model


class SourceType(StrEnum):
    """OLake's source drivers."""

    POSTGRES = "postgres"
    MYSQL = "mysql"
    MONGODB = "mongodb"
    ORACLE = "oracle"
    MSSQL = "mssql"
    DB2 = "db2"
    S3 = "s3"
    KAFKA = "kafka"


class DestinationType(StrEnum):
    """OLake's writers."""

    ICEBERG = "iceberg"
    PARQUET = "parquet"


class Source(Model):
    """A database to read from. `config` uses OLake's field names; its strings may hold references."""

    name: str
    type: SourceType
    config: dict[str, Any] = Field(default_factory=dict, repr=False)
    # `same` keeps the positions though the server says it is another one: a promoted replica (design §4).
    identity: Literal["same"] | None = None
    owner: str = ""
    description: str = ""


class Destination(Model):
    """A lakehouse to write to. `config` uses OLake's writer field names; its strings may hold references."""

    name: str
    type: DestinationType
    config: dict[str, Any] = Field(default_factory=dict, repr=False)
    owner: str = ""
    description: str = ""


Endpoint = Source | Destination


def show_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """Return an endpoint's settings as JSON, references unresolved; settings at their default are left out.

    The order of keys in the file means nothing, so it does not show either.
    """
    shown: dict[str, Any] = {"type": endpoint.type.value, "config": _ordered(endpoint.config)}
    if isinstance(endpoint, Source) and endpoint.identity:
        shown["identity"] = endpoint.identity
    for key in ("owner", "description"):
        if value := getattr(endpoint, key):
            shown[key] = value
    return shown


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(inner) for key, inner in sorted(value.items())}
    return [_ordered(inner) for inner in value] if isinstance(value, list | tuple) else value
