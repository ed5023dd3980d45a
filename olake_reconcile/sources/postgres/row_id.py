"""`_olake_id`: a text that names a row, the same whenever and however the row is read.

- One key column: the key's text, as OLake has it.
- Several: the MD5 of their parts, ordered by column name. OLake joins the values with `|`, so ('a|b', 'c') and
  ('a', 'b|c') get one id there; here each part is `<column kind>:<characters>:<text>`, and `-` for NULL.
- None: the same over all columns; equal rows have equal ids.

It names rows for people and for OLake's queries. Nothing of ours merges by it: merges compare the typed key columns.
"""

from __future__ import annotations

from olake_reconcile.model.catalogue import Kind
from olake_reconcile.sources.postgres.catalog import Column, Relation
from olake_reconcile.sources.postgres.sql import identifier
from olake_reconcile.sources.postgres.types import rule_for

# Kinds whose text DuckDB writes as PostgreSQL does: such a key is not sent a second time as text.
_SAME_TEXT = frozenset({Kind.INT, Kind.LONG, Kind.STRING, Kind.UUID})


def needs_server(table: Relation) -> bool:
    """Whether PostgreSQL has to compute the id; otherwise it is the text of the one key column."""
    if len(table.primary_key) != 1:
        return True
    column = _named(table, table.primary_key[0])
    rule = rule_for(column.type, {})
    return rule is None or rule.type.kind not in _SAME_TEXT or rule.server != "{c}"


def key_text(table: Relation) -> str:
    """Return the SQL expression of the id."""
    if len(table.primary_key) == 1:
        return _text(_named(table, table.primary_key[0]))
    columns = [_named(table, name) for name in table.primary_key] or list(table.columns)
    parts = [_part(c) for c in sorted(columns, key=lambda c: c.name)]
    # Concatenated in groups: a function takes at most 100 arguments, a table has up to 1600 columns.
    joined = " || ".join(parts) if parts else "''"
    return f"pg_catalog.md5(pg_catalog.convert_to({joined}, 'UTF8'))"


def _part(column: Column) -> str:
    rule = rule_for(column.type, {})
    kind = rule.type.kind if rule else column.type.name
    text = _text(column)
    return (
        f"CASE WHEN {identifier(column.name)} IS DISTINCT FROM NULL THEN "
        f"'{kind}:' || pg_catalog.char_length({text}) || ':' || {text} ELSE '-' END"
    )


def _text(column: Column) -> str:
    rule = rule_for(column.type, {})
    name = identifier(column.name)
    if rule is not None and rule.type.kind is Kind.STRING and rule.server != "{c}":
        return rule.server.format(c=name)
    return f"{name}::text"


def _named(table: Relation, name: str) -> Column:
    return next(c for c in table.columns if c.name == name)
