"""DuckDB's extensions: from the `duckdb-extension-*` wheels when they are installed, else by DuckDB's own INSTALL."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import duckdb

from olake_reconcile.errors import ReconcileError


def load_extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load the extension `name`; the wheel's binary is signed by DuckDB, and the signature is checked."""
    path = wheel_extension(name)
    try:
        if path is None:
            connection.install_extension(name)
            connection.load_extension(name)
        else:
            connection.load_extension(str(path))
    except duckdb.Error as error:
        raise ReconcileError(
            f"DuckDB's {name} extension cannot be loaded",
            why=str(error).splitlines()[0],
            remedy="Install the extensions with the program: pip install 'olake-reconcile[offline]'.",
        ) from None


def wheel_extension(name: str) -> Path | None:
    """Return the extension's binary for the running DuckDB, if a wheel brought it."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}"
    path = folder / f"{name}.duckdb_extension"
    return path if path.exists() else None
