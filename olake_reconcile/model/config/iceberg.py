"""Iceberg destinations (reference: olake-engine §10.1)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from olake_reconcile.model.base import Model
from olake_reconcile.model.config.secret import SecretText


class IcebergConfig(Model):
    """A catalog and a warehouse. Relative paths, in URLs too, are relative to the workspace."""

    catalog_type: Literal["jdbc"]
    catalog_name: str = "olake_iceberg"
    jdbc_url: str
    jdbc_username: str | None = None
    jdbc_password: Annotated[SecretText | None, Field(repr=False)] = None
    iceberg_s3_path: str
    iceberg_db: str | None = None
