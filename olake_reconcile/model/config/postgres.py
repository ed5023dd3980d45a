"""PostgreSQL sources (reference: olake-engine §10.2)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from olake_reconcile.model.base import Model
from olake_reconcile.model.config.secret import SecretText


class Ssl(Model):
    """TLS: certificates and key are PEM text. `require` encrypts and verifies nothing; `verify-*` need `server_ca`."""

    mode: Literal["disable", "require", "verify-ca", "verify-full"] = "disable"
    server_ca: str | None = None
    client_cert: str | None = None
    client_key: Annotated[SecretText | None, Field(repr=False)] = None


class UpdateMethod(Model):
    """How changes are read: CDC with a slot and a publication, or Standalone."""

    type: Literal["CDC", "Standalone"] = "Standalone"
    replication_slot: str | None = None
    publication: str | None = None
    initial_wait_time: int | None = None


class PostgresConfig(Model):
    """How to reach a PostgreSQL database. A `host` that begins with `/` is the folder of a unix socket."""

    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    database: str
    username: str
    password: Annotated[SecretText, Field(repr=False)] = ""
    schemas: tuple[str, ...] = ()
    ssl: Ssl = Ssl()
    update_method: UpdateMethod = UpdateMethod()
    max_threads: Annotated[int, Field(ge=1, le=64)] = 3
    retry_count: int | None = None
    jdbc_url_params: dict[str, str] = Field(default_factory=dict)
