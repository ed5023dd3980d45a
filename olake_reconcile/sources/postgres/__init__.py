"""PostgreSQL as a source: psycopg for control, DuckDB's scanner for the rows."""

from __future__ import annotations
