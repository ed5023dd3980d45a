"""The catalog: where tables are found. This release speaks to SQL catalogs on SQLite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError, ValidationError
from pyiceberg.table import Table
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from olake_reconcile.errors import ReconcileError, Unreachable
from olake_reconcile.model.config import IcebergConfig
from olake_reconcile.model.table import TablePlace

_SQLITE = "jdbc:sqlite:"
_BUSY_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Lakehouse:
    """A destination's config with its paths made absolute."""

    name: str
    database: Path
    warehouse: str  # a URL without a final slash

    @property
    def identity(self) -> str:
        """What tells this catalog and warehouse from every other (design §4)."""
        return f"iceberg:{self.name}:sqlite:{self.database}:{self.warehouse}"

    @property
    def warehouse_folder(self) -> Path | None:
        """The warehouse as a local folder; None when it is elsewhere."""
        return Path(self.warehouse.removeprefix("file://")) if self.warehouse.startswith("file://") else None


def lakehouse(config: IcebergConfig, base: Path) -> Lakehouse:
    """Read a destination's config; relative paths start at `base`. Raises `ReconcileError`."""
    if not config.jdbc_url.startswith(_SQLITE):
        raise ReconcileError(
            f"the catalog {config.jdbc_url.split('@')[-1]} is not supported yet",
            why="This release keeps Iceberg catalogs in SQLite only.",
            remedy="Use jdbc_url: jdbc:sqlite:warehouse/catalog.db.",
        )
    path = config.jdbc_url.removeprefix(_SQLITE).partition("?")[0]
    return Lakehouse(
        name=config.catalog_name,
        database=Path(os.path.abspath(base / path)),
        warehouse=_warehouse(config.iceberg_s3_path, base),
    )


def _warehouse(path: str, base: Path) -> str:
    scheme, separator, rest = path.partition("://")
    if separator and scheme != "file":
        raise ReconcileError(
            f"a warehouse at {scheme}:// is not supported yet",
            why="This release writes to local folders only.",
            remedy="Use iceberg_s3_path: warehouse.",
        )
    folder = os.path.abspath(base / (rest if separator else path))
    if set("#?%") & set(folder):
        raise ReconcileError(
            f"the warehouse's path {folder} has one of the characters # ? %",
            why="Iceberg keeps locations as URLs, where these mean something else.",
            remedy="Use another folder.",
        )
    return f"file://{folder}"


@contextmanager
def open_catalog(house: Lakehouse) -> Iterator[SqlCatalog]:
    """Open the catalog for the length of a `with` block; its database and tables are created when missing."""
    if not house.database.exists():
        house.database.parent.mkdir(parents=True, exist_ok=True)
    try:
        catalog = _open(house)
    except SQLAlchemyError:
        # Two processes may create the catalog's tables at once; the one that comes second finds them now.
        try:
            catalog = _open(house)
        except SQLAlchemyError as error:
            raise catalog_error(house, error) from None
    try:
        yield catalog
    except SQLAlchemyError as error:
        raise catalog_error(house, error) from None
    finally:
        catalog.close()


def _open(house: Lakehouse) -> SqlCatalog:
    uri = URL.create("sqlite", database=str(house.database), query={"timeout": str(_BUSY_SECONDS)})
    return SqlCatalog(house.name, uri=uri.render_as_string(), warehouse=house.warehouse)


def load_table(catalog: SqlCatalog, place: TablePlace) -> Table | None:
    """Return the table at `place`, or None. Raises `ReconcileError` when its metadata cannot be read."""
    try:
        return catalog.load_table((place.database, place.table))
    except NoSuchTableError:
        return None
    except (OSError, ValueError, ValidationError) as error:
        raise ReconcileError(
            f"the metadata of the table {place} cannot be read",
            why=str(error).splitlines()[0],
            remedy="Restore the file, or drop the table from the catalog.",
        ) from None


def catalog_error(house: Lakehouse, error: SQLAlchemyError) -> Unreachable:
    """Say that the catalog does not work, in the database's words."""
    words = str(getattr(error, "orig", None) or error).splitlines()[0]
    return Unreachable(
        f"the Iceberg catalog at {house.database} cannot be used",
        why=words,
        remedy="Check jdbc_url of this destination, and that its folder may be written.",
    )


def check(house: Lakehouse) -> str:
    """Make sure that catalog and warehouse can be written, leaving nothing behind; return a description."""
    for path in (house.database.parent, house.warehouse_folder):
        if path is None:
            continue
        nearest = next(p for p in (path, *path.parents) if p.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise Unreachable(
                f"{path} cannot be written", why=f"{nearest} is not a folder that this user may write to.",
                remedy="Check jdbc_url and iceberg_s3_path of this destination, and the folder's permissions.",
            )  # fmt: skip
    tables = 0
    if house.database.exists():
        with open_catalog(house) as catalog:
            tables = sum(len(catalog.list_tables(namespace)) for namespace in catalog.list_namespaces())
    noun = "table" if tables == 1 else "tables"
    return f"Iceberg catalog {house.name} in SQLite, {tables} {noun}, warehouse {house.warehouse}"
