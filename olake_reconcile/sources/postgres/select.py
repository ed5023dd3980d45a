"""The two statements that read a table: one that PostgreSQL runs, and one around it that DuckDB runs.

Columns travel under the aliases c0, c1, … and so no name of the source's is ever part of DuckDB's SQL. Rows with a
value that does not fit carry a text of 0 and 1, one digit for each guard, in the last column; all others have NULL
there, which costs four bytes on the wire and one comparison per guard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.catalogue import Kind
from olake_reconcile.model.column_type import ColumnType, DestinationColumn
from olake_reconcile.model.naming import collisions, column_name
from olake_reconcile.model.stream import Stream, TypeClass, TypePolicy
from olake_reconcile.sources.postgres.catalog import Column, Relation
from olake_reconcile.sources.postgres.row_id import key_text, needs_server
from olake_reconcile.sources.postgres.sql import condition, identifier, relation
from olake_reconcile.sources.postgres.types import Guard, Rule, rule_for

#: OLake's metadata columns, with what a full refresh puts there (reference: olake-engine §6.2).
_METADATA = (
    DestinationColumn("_olake_id", ColumnType(Kind.STRING)),
    DestinationColumn("_olake_timestamp", ColumnType(Kind.TIMESTAMPTZ)),
    DestinationColumn("_op_type", ColumnType(Kind.STRING)),
    DestinationColumn("_cdc_timestamp", ColumnType(Kind.TIMESTAMPTZ)),
    DestinationColumn("_cdc_lsn", ColumnType(Kind.STRING)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One digit of the last column: which values of which column it marks, and what then happens."""

    column: str
    kind: TypeClass
    policy: TypePolicy
    find: str  # the condition that finds such rows in the source


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """How to read one relation for one stream."""

    source: str
    columns: tuple[DestinationColumn, ...]
    destination_names: dict[str, str]  # by source name
    checks: tuple[Check, ...]
    flagged: bool  # whether rows carry a flag: 1 before the marks, for those that may have been read already
    filter: str  # the stream's filter as SQL
    _server: str
    _client: str

    def server_sql(self, where: str = "") -> str:
        """Return PostgreSQL's statement; `where` narrows it, such as to a range of pages."""
        conditions = [f"({c})" for c in (self.filter, where) if c]
        return self._server + (f" WHERE {' AND '.join(conditions)}" if conditions else "")

    def outside_filter(self) -> Selection:
        """Return how to read the rows that the filter leaves out."""
        return replace(self, filter=f"({self.filter}) IS NOT TRUE" if self.filter else "FALSE")

    def client_sql(self, server_sql: str, database: str) -> str:
        """Return DuckDB's statement over `server_sql`, run by the attached `database`."""
        return (
            f"{self._client} FROM postgres_query('{database}', '{server_sql.replace(chr(39), chr(39) * 2)}')"
        )

    def count_sql(self, check: Check) -> str:
        """Return PostgreSQL's statement that counts the values which `check` marks."""
        conditions = [f"({c})" for c in (self.filter, check.find) if c]
        return f"SELECT count(*) FROM {self.source} WHERE {' AND '.join(conditions)}"


def select(
    table: Relation, stream: Stream, read_at: datetime, *, op_type: str = "r", flag: str = ""
) -> Selection:
    """Work out how `table` is read for `stream`. Raises `ReconcileError` when it cannot be read as declared.

    `flag` is a condition in PostgreSQL's SQL: rows for which it is true carry a flag.
    """
    chosen = _chosen(table, stream)
    names = _names(chosen, stream)
    rules = [(c, _rule(c, stream)) for c in chosen]
    source = relation(table.id.namespace, table.id.name)
    guards = [(index, column, guard) for index, (column, rule) in enumerate(rules) for guard in rule.guards]
    on_server = [g for g in guards if g[2].on_server]
    on_client = [g for g in guards if g[2].on_client]
    return Selection(
        source=source,
        columns=(*(DestinationColumn(names[c.name], rule.type) for c, rule in rules), *_METADATA),
        destination_names=names,
        checks=tuple(_check(column, guard, stream) for _, column, guard in (*on_server, *on_client)),
        flagged=bool(flag),
        filter=condition(stream.filter.expression) if stream.filter else "",
        _server=_server_select(table, rules, [(c, g) for _, c, g in on_server], flag) + f" FROM {source}",
        _client=_client_select(table, rules, on_server, on_client, _Stamp(read_at, op_type, bool(flag))),
    )


def _chosen(table: Relation, stream: Stream) -> list[Column]:
    known = {c.name for c in table.columns}
    wanted = set(stream.columns.include or ()) | {f.column for f in stream.partition_by}
    wanted |= set(stream.filter.columns()) if stream.filter else set()
    if missing := sorted(wanted - known):
        raise ReconcileError(
            f"{table.id} has no column {', '.join(missing)}",
            why="The settings of this stream use it; it may have been renamed or dropped at the source.",
            remedy="Correct the stream's columns, filter or partition_by.",
        )
    chosen = [c for c in table.columns if stream.columns.selects(c.name)]
    if not chosen:
        raise ReconcileError(
            f"no column of {table.id} is selected", remedy="Change columns.include or columns.exclude."
        )
    return chosen


def _names(chosen: Sequence[Column], stream: Stream) -> dict[str, str]:
    names = {
        c.name: column_name(c.name, use_source_column_names=stream.use_source_column_names) for c in chosen
    }
    if found := collisions(names):
        name, sources = found[0]
        raise ReconcileError(
            f"{stream.id}: {' and '.join(repr(s) for s in sources)} cannot become the column '{name}'",
            why="Two columns, or a column and one of OLake's own, would have one name at the destination.",
            remedy="Exclude one of them (columns.exclude), or set use_source_column_names: true.",
        )
    return names


def _rule(column: Column, stream: Stream) -> Rule:
    rule = rule_for(column.type, stream.type_policies)
    if rule is None:
        raise ReconcileError(
            f"{stream.id}: column {column.name} has type {column.type_text}, for which there is no rule",
            why="Its values could not be copied exactly.",
            remedy=f"Leave it out: columns: {{exclude: [{column.name}]}}.",
        )
    return rule


def _check(column: Column, guard: Guard, stream: Stream) -> Check:
    return Check(
        column=column.name,
        kind=guard.kind,
        policy=stream.policy(guard.kind),
        find=guard.find.format(c=identifier(column.name)),
    )


def _server_select(
    table: Relation,
    rules: Sequence[tuple[Column, Rule]],
    guards: Sequence[tuple[Column, Guard]],
    flag: str,
) -> str:
    parts = [f"{rule.server.format(c=identifier(c.name))} AS c{i}" for i, (c, rule) in enumerate(rules)]
    if needs_server(table):
        parts.append(f"{key_text(table)} AS k")
    elif _key_position(table, rules) is None:
        parts.append(f"{identifier(table.primary_key[0])} AS k")
    if guards:
        conditions = [guard.on_server.format(c=identifier(c.name)) for c, guard in guards]
        digits = " || ".join(f"CASE WHEN {c} THEN '1' ELSE '0' END" for c in conditions)
        parts.append(f"CASE WHEN {' OR '.join(conditions)} THEN {digits} END AS g")
    if flag:
        parts.append(f"CASE WHEN {flag} THEN 1 ELSE 0 END AS z")
    return f"SELECT {', '.join(parts)}"


class _Stamp(NamedTuple):
    read_at: datetime
    op_type: str
    flagged: bool


def _client_select(
    table: Relation,
    rules: Sequence[tuple[Column, Rule]],
    on_server: Sequence[tuple[int, Column, Guard]],
    on_client: Sequence[tuple[int, Column, Guard]],
    stamp: _Stamp,
) -> str:
    bad: dict[int, list[str]] = {}
    for digit, (index, _, _) in enumerate(on_server, start=1):
        bad.setdefault(index, []).append(f"coalesce(g[{digit}] = '1', false)")
    conditions = [guard.on_client.format(c=f"c{index}") for index, _, guard in on_client]
    for (index, _, _), text in zip(on_client, conditions, strict=True):
        bad.setdefault(index, []).append(text)
    parts = []
    for index, (_, rule) in enumerate(rules):
        value = rule.client.format(c=f"c{index}")
        if index in bad:
            value = f"CASE WHEN {' OR '.join(bad[index])} THEN NULL ELSE {value} END"
        parts.append(value)
    key = None if needs_server(table) else _key_position(table, rules)
    parts.append("k::VARCHAR" if key is None else f"c{key}::VARCHAR")
    parts += [f"TIMESTAMPTZ '{stamp.read_at.isoformat()}'", f"'{stamp.op_type}'"]
    parts += ["NULL::TIMESTAMPTZ", "NULL::VARCHAR"]
    if stamp.flagged:
        parts.append("z")
    parts.append(_marks(len(on_server), conditions))
    return "SELECT " + ", ".join(f"{part} AS v{i}" for i, part in enumerate(parts))


def _key_position(table: Relation, rules: Sequence[tuple[Column, Rule]]) -> int | None:
    """Return the place of the single key column among those that are read anyway."""
    return next((i for i, (c, _) in enumerate(rules) if c.name == table.primary_key[0]), None)


def _marks(on_server: int, conditions: Sequence[str]) -> str:
    any_bad = [*(["g IS NOT NULL"] if on_server else []), *conditions]
    if not any_bad:
        return "NULL::VARCHAR"
    first = [f"coalesce(g, '{'0' * on_server}')"] if on_server else []
    digits = [*first, *(f"CASE WHEN {c} THEN '1' ELSE '0' END" for c in conditions)]
    return f"CASE WHEN {' OR '.join(any_bad)} THEN concat({', '.join(digits)}) END"
