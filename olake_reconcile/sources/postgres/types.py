"""The type table: what each PostgreSQL type becomes, how it is read exactly, and what may not fit.

A value passes two places. The *server* expression runs in PostgreSQL; whatever DuckDB's scanner would read wrongly
(numeric without a precision becomes a double, `inet` gains `/32`) leaves the server as text, in the words of the type's
own output function. The *client* expression runs in DuckDB over what arrived. A *guard* finds values that the
destination cannot hold; `docs/types.md` has the table for users.

Facts this rests on, each held by a test: DuckDB reads a numeric NaN as 0.0, infinite dates and timestamps as its own
infinities, and lets timestamps after the year 294246 wrap around into years before 4714 BC, where PostgreSQL has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from olake_reconcile.model.catalogue import Kind
from olake_reconcile.model.column_type import MAX_PRECISION, ColumnType
from olake_reconcile.model.stream import TypeClass, TypePolicy

Policies = Mapping[TypeClass, TypePolicy]


@dataclass(frozen=True, slots=True, kw_only=True)
class PgType:
    """A type as the server's catalogue describes it, domains resolved to what they are made of."""

    namespace: str
    name: str
    form: str  # pg_type.typtype: b base, e enum, r range, m multirange, c composite, p pseudo
    modifier: int = -1
    element: PgType | None = None  # set when it is an array


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Finds values of one column that do not fit. `{c}` stands for the column.

    `on_server` and `on_client` are conditions, one of them empty; `find` is for people, to look at the rows.
    """

    kind: TypeClass
    on_server: str = ""
    on_client: str = ""
    find: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one column is read. `{c}` stands for the column in the server's SQL, for its alias in DuckDB's."""

    type: ColumnType
    server: str = "{c}"
    client: str = "{c}"
    guards: tuple[Guard, ...] = ()


# The last microsecond of the year 294246 plus a bit: 2^63 - 1 microseconds after 1970, Iceberg's range.
_TOO_LATE = "294247-01-10 04:00:54.775807"
_WRAPPED = "4714-11-24 (BC) 00:00:00"

_CAST_TEXT = "{c}::text"
# format() calls the type's output function, where ::text would call a conversion with a form of its own.
_OUTPUT_TEXT = "CASE WHEN {c} IS DISTINCT FROM NULL THEN pg_catalog.format('%s', {c}) END"
_CAST_TEXT_ARRAY = "{c}::text[]"
_OUTPUT_TEXT_ARRAY = (
    "CASE WHEN {c} IS NOT NULL THEN ARRAY(SELECT CASE WHEN e IS DISTINCT FROM NULL THEN pg_catalog.format('%s', e) END "
    "FROM pg_catalog.unnest({c}) WITH ORDINALITY AS u(e, n) ORDER BY n) END"
)
_HEX_ARRAY = (
    "CASE WHEN {c} IS NOT NULL THEN ARRAY(SELECT pg_catalog.encode(e, 'hex') "
    "FROM pg_catalog.unnest({c}) WITH ORDINALITY AS u(e, n) ORDER BY n) END"
)


def _plain(kind: Kind) -> Rule:
    return Rule(type=ColumnType(kind))


_STRING = ColumnType(Kind.STRING)
_NATIVE_TEXT = Rule(type=_STRING)
_AS_TEXT = Rule(type=_STRING, server=_CAST_TEXT)
_AS_OUTPUT = Rule(type=_STRING, server=_OUTPUT_TEXT)


def _timestamps(kind: Kind, zone: str) -> Rule:
    bound = f"'{_WRAPPED}{zone}'::{'TIMESTAMPTZ' if zone else 'TIMESTAMP'}"
    guard = Guard(
        kind=TypeClass.TEMPORAL_RANGE,
        on_client=f"(NOT isfinite({{c}}) OR {{c}} < {bound})",
        find=f"NOT isfinite({{c}}) OR {{c}} > '{_TOO_LATE}{zone}'",
    )
    return Rule(type=ColumnType(kind), guards=(guard,))


_DATE_GUARD = Guard(kind=TypeClass.TEMPORAL_RANGE, on_client="(NOT isfinite({c}))", find="NOT isfinite({c})")
_TIME_GUARD = Guard(
    kind=TypeClass.TEMPORAL_RANGE, on_client="({c} >= '24:00:00'::TIME)", find="{c} = '24:00'"
)

# fmt: off
_CAST_TYPES = (
    "json", "jsonb", "jsonpath", "interval", "timetz", "money", "name", "bit", "varbit", "macaddr", "macaddr8",
    "tsvector", "tsquery", "point", "line", "lseg", "box", "path", "polygon", "circle", "pg_lsn", "txid_snapshot",
    "pg_snapshot", "xid", "xid8", "cid", "tid", "refcursor", "int2vector", "oidvector",
)
# These have casts to text that say something else than their output function.
_OUTPUT_TYPES = (
    "bpchar", "char", "xml", "inet", "cidr", "aclitem", "regclass", "regcollation", "regconfig", "regdictionary",
    "regnamespace", "regoper", "regoperator", "regproc", "regprocedure", "regrole", "regtype",
)
# fmt: on

#: pg_catalog's types by name. Text, enums, ranges, composites and arrays are dealt with below.
_BASE: dict[str, Rule] = {
    "bool": _plain(Kind.BOOLEAN),
    "int2": _plain(Kind.INT),
    "int4": _plain(Kind.INT),
    "int8": _plain(Kind.LONG),
    "oid": Rule(type=ColumnType(Kind.LONG), server="{c}::int8"),
    "float4": _plain(Kind.FLOAT),
    "float8": _plain(Kind.DOUBLE),
    "date": Rule(type=ColumnType(Kind.DATE), guards=(_DATE_GUARD,)),
    "time": Rule(type=ColumnType(Kind.TIME), guards=(_TIME_GUARD,)),
    "timestamp": _timestamps(Kind.TIMESTAMP, ""),
    "timestamptz": _timestamps(Kind.TIMESTAMPTZ, "+00"),
    "uuid": _plain(Kind.UUID),
    "bytea": _plain(Kind.BINARY),
    "text": _NATIVE_TEXT,
    "varchar": _NATIVE_TEXT,
    **dict.fromkeys(_CAST_TYPES, _AS_TEXT),
    **dict.fromkeys(_OUTPUT_TYPES, _AS_OUTPUT),
}


def rule_for(type_: PgType, policies: Policies) -> Rule | None:
    """Return how a column of `type_` is read under `policies`; None when the table has no entry for it."""
    if type_.element is not None and type_.name not in _BASE:
        return _array_rule(type_.element, policies)
    rule = _scalar_rule(type_)
    if rule is not None and any(policies.get(g.kind) is TypePolicy.TEXT for g in rule.guards):
        return _AS_TEXT
    return rule


def _scalar_rule(type_: PgType) -> Rule | None:
    if type_.form in ("e", "r", "m", "c"):
        return _AS_TEXT
    if type_.namespace != "pg_catalog":
        return None
    return _numeric_rule(type_.modifier) if type_.name == "numeric" else _BASE.get(type_.name)


def _numeric_rule(modifier: int) -> Rule:
    """Give the decimal that holds every value of a numeric, or text: no decimal holds an unconstrained one."""
    if modifier < 4:
        return _AS_TEXT
    precision = (modifier - 4) >> 16 & 0xFFFF
    scale = ((modifier - 4 & 0x7FF) ^ 1024) - 1024  # eleven bits, signed since PostgreSQL 15
    digits, decimals = (precision - scale, 0) if scale < 0 else (max(precision, scale), scale)
    if digits > MAX_PRECISION:
        return _AS_TEXT
    same = digits == precision and decimals == scale
    return Rule(
        type=ColumnType(Kind.DECIMAL, digits, decimals),
        # DuckDB misreads a negative scale, and makes an invalid decimal of one beyond the precision.
        server="{c}" if same else f"{{c}}::numeric({digits},{decimals})",
        guards=(
            Guard(kind=TypeClass.NUMERIC_SPECIAL, on_server="({c} = 'NaN'::numeric)", find="{c} = 'NaN'"),
        ),
    )


def _array_rule(element: PgType, policies: Policies) -> Rule | None:
    """Read a one-dimensional array counted from 1 as a list; anything else in the column meets `array_shape`."""
    if element.element is not None and element.name not in _BASE:
        return None
    item = _scalar_rule(element)
    if item is None:
        return None
    if policies.get(TypeClass.ARRAY_SHAPE) is TypePolicy.TEXT:
        return _AS_TEXT
    if any(policies.get(g.kind) is TypePolicy.TEXT for g in item.guards):
        item = _AS_TEXT
    shape = "pg_catalog.array_ndims({c}) <> 1 OR pg_catalog.array_lower({c}, 1) <> 1"
    shape_guard = Guard(kind=TypeClass.ARRAY_SHAPE, on_server=f"({shape})", find=shape)
    read = _array_read(item, element.name)
    # Refused arrays leave the server as NULL: DuckDB stops at several dimensions, and forgets where counting starts.
    server = f"CASE WHEN {shape} THEN NULL ELSE {read.server} END"
    if item.type.kind is Kind.DECIMAL:
        # CASE forgets precision and scale, and without them DuckDB reads doubles.
        server = f"({server})::numeric({item.type.precision},{item.type.scale})[]"
    return replace(
        read,
        server=server,
        guards=(shape_guard, *(_element_guard(g) for g in item.guards)),
    )


def _array_read(item: Rule, element: str) -> Rule:
    type_ = ColumnType(Kind.LIST, element=item.type)
    if item is _AS_TEXT:
        return Rule(type=type_, server=_CAST_TEXT_ARRAY)
    if item is _AS_OUTPUT:
        return Rule(type=type_, server=_OUTPUT_TEXT_ARRAY)
    if item.type.kind is Kind.BINARY:
        # DuckDB hands over bytea[] as one text.
        return Rule(type=type_, server=_HEX_ARRAY, client="list_transform({c}, lambda e: unhex(e))")
    # Arrays of domains are of a type that DuckDB does not know; for all others this cast does nothing.
    cast = item.server.removeprefix("{c}") or f"::pg_catalog.{element}"
    return Rule(type=type_, server=f"{{c}}{cast}[]")


def _element_guard(guard: Guard) -> Guard:
    """Find arrays with an element that does not fit; the whole array meets the element's policy."""
    find = "EXISTS (SELECT 1 FROM unnest({c}) AS e WHERE " + guard.find.format(c="e") + ")"
    if guard.on_server:
        return replace(guard, on_server="('NaN'::numeric = ANY ({c}))", find=find)
    condition = guard.on_client.format(c="e")
    on_client = f"(len(list_filter({{c}}, lambda e: {condition})) > 0)"
    return replace(guard, on_client=on_client, find=find)
