"""What the server's catalogue says of relations, columns and types, in one query each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from olake_reconcile.model.names import StreamId
from olake_reconcile.sources.postgres.connection import Connection
from olake_reconcile.sources.postgres.types import PgType

RELATION_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as the catalogue has it; `type` is resolved, `type_text` is for people."""

    name: str
    type: PgType
    type_text: str
    nullable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table or view that this user may read."""

    oid: int
    id: StreamId
    kind: str  # pg_class.relkind
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    rows: int | None
    bytes: int | None
    indexed: tuple[str, ...] = ()  # columns that a whole index begins with


# Sizes are those of the whole family of a partitioned table. `reltuples` is -1 before the first ANALYZE.
_RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text,
       s.rows, s.bytes,
       coalesce((SELECT array_agg(a.attname::text ORDER BY k.n)
                 FROM pg_catalog.pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
                 JOIN pg_catalog.pg_attribute a ON a.attnum = k.attnum
                 WHERE i.indrelid = c.oid AND a.attrelid = c.oid AND i.indisprimary AND k.n <= i.indnkeyatts), '{}'),
       coalesce((SELECT array_agg(DISTINCT a.attname::text)
                 FROM pg_catalog.pg_index i
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                 WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL), '{}')
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
  SELECT CASE WHEN min(l.reltuples) >= 0 THEN sum(l.reltuples)::int8 END AS rows,
         sum(pg_catalog.pg_table_size(l.oid))::int8 AS bytes
  FROM pg_catalog.pg_class l
  WHERE (c.relkind <> 'p' AND l.oid = c.oid AND c.relkind IN ('r', 'm'))
     OR (c.relkind = 'p' AND l.relkind = 'r'
         AND l.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid) WHERE isleaf))
) s ON true
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%'
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
  AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY (%(schemas)s::text[]))
  AND (%(name)s::text IS NULL OR c.relname = %(name)s::text)
ORDER BY n.nspname, c.relname
"""

_COLUMNS = """
SELECT a.attrelid, a.attname, a.atttypid, a.atttypmod, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = ANY (%(relations)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

_TYPES = """
WITH RECURSIVE needed(oid) AS (
  SELECT unnest(%(types)s::oid[])
  UNION
  SELECT next FROM needed JOIN pg_catalog.pg_type t ON t.oid = needed.oid,
       LATERAL unnest(ARRAY[t.typbasetype, t.typelem]) AS next
  WHERE next <> 0
)
SELECT t.oid, n.nspname, t.typname, t.typtype::text, t.typbasetype, t.typtypmod,
       CASE WHEN t.typcategory = 'A' AND t.typlen = -1 THEN t.typelem ELSE 0 END
FROM needed JOIN pg_catalog.pg_type t ON t.oid = needed.oid
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
"""


def relations(
    connection: Connection, *, schemas: Sequence[str] = (), only: StreamId | None = None
) -> list[Relation]:
    """Return the relations of `schemas` (of all when empty), or `only` that one, with their columns."""
    wanted = [only.namespace] if only else list(schemas) or None
    rows = connection.execute(_RELATIONS, {"schemas": wanted, "name": only.name if only else None}).fetchall()
    columns = _columns(connection, [row[0] for row in rows])
    return [
        Relation(
            oid=oid,
            id=StreamId(namespace, name),
            kind=kind,
            columns=tuple(columns.get(oid, ())),
            primary_key=tuple(key),
            rows=count,
            bytes=size,
            indexed=tuple(indexed),
        )
        for oid, namespace, name, kind, count, size, key, indexed in rows
    ]


def _columns(connection: Connection, oids: list[int]) -> dict[int, list[Column]]:
    rows = connection.execute(_COLUMNS, {"relations": oids}).fetchall()
    types = _Types(connection.execute(_TYPES, {"types": list({row[2] for row in rows})}).fetchall())
    found: dict[int, list[Column]] = {}
    for oid, name, type_oid, modifier, text, not_null in rows:
        column = Column(
            name=name, type=types.resolve(type_oid, modifier), type_text=text, nullable=not not_null
        )
        found.setdefault(oid, []).append(column)
    return found


class _Types:
    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = {row[0]: row[1:] for row in rows}

    def resolve(self, oid: int, modifier: int) -> PgType:
        """Describe a type; a domain is what it is made of, with the modifier that it was made with."""
        namespace, name, form, base, base_modifier, element = self._rows[oid]
        if form == "d":
            return self.resolve(base, base_modifier)
        # An array's modifier is its elements'.
        item = replace(self.resolve(element, modifier)) if element else None
        return PgType(namespace=namespace, name=name, form=form, modifier=modifier, element=item)
