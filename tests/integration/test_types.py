"""The type zoo: every value exact or by its stated policy, read back by two readers that are not ours.

What is expected is computed by the server: its output function's text, or integers (days, microseconds) for times.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from lab import Lab

from olake_reconcile.model.event import StreamFailed
from olake_reconcile.model.stream import TypeClass, TypePolicy

pytestmark = pytest.mark.integration


@dataclass
class Animal:
    """A column: its type, the values (as SQL literals), and which of them meet a policy."""

    type: str
    becomes: str
    values: list[str]
    misfits: list[str] = field(default_factory=list)
    counted_as: TypeClass | None = None


SPECIAL, RANGE, SHAPE = TypeClass.NUMERIC_SPECIAL, TypeClass.TEMPORAL_RANGE, TypeClass.ARRAY_SHAPE
NINES = "9" * 38
ZOO = [
    Animal("smallint", "int", ["-32768", "32767", "0"]),
    Animal("integer", "int", ["-2147483648", "2147483647"]),
    Animal("bigint", "long", ["-9223372036854775808", "9223372036854775807"]),
    Animal("oid", "long", ["4294967295", "0"]),
    Animal("real", "float", ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "3.4028235e38", "1e-45", "0.1"]),
    Animal("double precision", "double", ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1.7976931348623157e308", "5e-324", "0.1"]),
    Animal("boolean", "boolean", ["true", "false"]),
    Animal("numeric(12,2)", "decimal(12, 2)", ["9999999999.99", "-0.01", "0"], ["'NaN'"], SPECIAL),
    Animal("numeric(9,0)", "decimal(9, 0)", ["999999999", "-999999999"], ["'NaN'"], SPECIAL),
    Animal("numeric(18,9)", "decimal(18, 9)", ["999999999.999999999", "-0.000000001"]),
    Animal("numeric(38,0)", "decimal(38, 0)", [NINES, f"-{NINES}"], ["'NaN'"], SPECIAL),
    Animal("numeric(38,38)", "decimal(38, 38)", [f"0.{NINES}", f"-0.{NINES}"]),
    Animal("numeric(3,-2)", "decimal(5, 0)", ["99900", "-12300"], ["'NaN'"], SPECIAL),
    Animal("numeric(2,4)", "decimal(4, 4)", ["0.0099", "-0.0001"]),
    Animal("numeric(2,-37)", "string", ["99e37"]),
    Animal("numeric(39,1)", "string", ["9" * 38 + ".9", "'NaN'"]),
    Animal("numeric", "string", ["1e400", "'1." + "7" * 3000 + "'", "1.10", "'NaN'", "'Infinity'", "'-Infinity'", "0"]),
    Animal("date", "date", ["'4713-01-01 BC'", "'0001-01-01 BC'", "'0001-01-01'", "'9999-12-31'", "'10000-01-01'", "'5874897-12-31'", "'1969-12-31'"], ["'infinity'", "'-infinity'"], RANGE),
    Animal("time", "time", ["'00:00'", "'23:59:59.999999'", "'12:34:56.000001'"], ["'24:00'"], RANGE),
    Animal("time(3)", "time", ["'23:59:59.999'"]),
    Animal("timetz", "string", ["'12:34:56.7+05:30'", "'24:00:00-12'"]),
    Animal("timestamp", "timestamp", ["'4713-01-01 BC'", "'0001-01-01'", "'9999-12-31 23:59:59.999999'", "'10000-01-01'", "'294246-12-31 23:59:59.999999'", "'1969-12-31 23:59:59.999999'", "'294247-01-10 04:00:54.775806'"], ["'infinity'", "'-infinity'", "'294247-01-10 04:00:54.775808'", "'294276-12-31 23:59:59.999999'"], RANGE),
    Animal("timestamptz", "timestamptz", ["'4713-01-01 BC'", "'2024-03-31 02:30:00 Europe/Berlin'", "'2024-10-27 02:30:00+02'", "'2024-10-27 02:30:00+01'", "'10000-01-01+00'", "'1883-11-18 12:00 America/New_York'"], ["'infinity'", "'-infinity'", "'294276-12-31 23:59:59.999999+00'"], RANGE),
    Animal("timestamp(0)", "timestamp", ["'2024-01-01 00:00:00'"]),
    Animal("interval", "string", ["'1 year 2 mons -3 days 04:05:06.789'", "'-00:00:00.000001'", "'infinity'"]),
    Animal("uuid", "uuid", ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    Animal("bytea", "binary", ["''", "'\\x00ff5c27'", "convert_to('plain', 'UTF8')"]),
    Animal("text", "string", ["''", "'null'", "'NULL'", "'👩‍👩‍👧 ünï'", "E'tab\\tline\\nquote\\'\"\\\\'", "'é' || U&'\\0301'", "repeat('0123456789', 1048576)"]),
    Animal("varchar(5)", "string", ["'abc'", "'abc  '", "''"]),
    Animal("char(5)", "string", ["'ab'", "''", "'abcde'"]),
    Animal('"char"', "string", ["'a'", "''", "'\\377'"]),
    Animal("name", "string", ["'some_name'"]),
    Animal("json", "string", ["'{\"a\":1.10, \"a\": 2}'", "'null'", "'12345678901234567890.10'"]),
    Animal("jsonb", "string", ["'{\"b\":1.10, \"a\": [1,{}], \"u\": \"\\u00e9\"}'", "'null'"]),
    Animal("jsonpath", "string", ["'$.a[*] ? (@ > 1)'"]),
    Animal("mood", "string", ["'happy'", "'so-so'", "'it''s'"]),
    Animal("money", "string", ["12.3", "-0.01"]),
    Animal("inet", "string", ["'1.2.3.4'", "'1.2.3.4/24'", "'::1'"]),
    Animal("cidr", "string", ["'10.0.0.0/8'", "'1.2.3.4/32'"]),
    Animal("macaddr", "string", ["'08:00:2b:01:02:03'"]),
    Animal("macaddr8", "string", ["'08:00:2b:01:02:03:04:05'"]),
    Animal("bit(3)", "string", ["B'101'"]),
    Animal("bit varying", "string", ["B'10101010101'", "B''"]),
    Animal("int4range", "string", ["'[1,5)'", "'empty'", "'(,)'"]),
    Animal("numrange", "string", ["'[1.50,2]'"]),
    Animal("tstzrange", "string", ["'[2024-01-01 00:00+02,infinity)'"]),
    Animal("int4multirange", "string", ["'{[1,2),[5,9)}'"]),
    Animal("tsvector", "string", ["'a fat:2A cat:3'"]),
    Animal("tsquery", "string", ["'fat & (rat | !cat)'"]),
    Animal("point", "string", ["'(1.5,-2)'"]),
    Animal("polygon", "string", ["'((0,0),(1,1),(1,0))'"]),
    Animal("box", "string", ["'(2,2),(0,0)'"]),
    Animal("circle", "string", ["'<(1,2),3>'"]),
    Animal("line", "string", ["'{1,2,3}'"]),
    Animal("lseg", "string", ["'[(0,0),(1,1)]'"]),
    Animal("path", "string", ["'((0,0),(1,1))'", "'[(0,0),(1,1)]'"]),
    Animal("pg_lsn", "string", ["'16/B374D848'"]),
    Animal("pg_snapshot", "string", ["'10:20:10,14,15'"]),
    Animal("txid_snapshot", "string", ["'10:20:10'"]),
    Animal("xid8", "string", ["'42'"]),
    Animal("regclass", "string", ["'pg_class'::regclass", "'zoo'::regclass"]),
    Animal("pair", "string", ["ROW(1, 'a \"q\" (b),c')::pair", "ROW(NULL, NULL)::pair"]),
    Animal("positive", "int", ["7"]),
    Animal("price", "decimal(10, 2)", ["7.25"], ["'NaN'"], SPECIAL),
    Animal("tags", "list<string>", ["ARRAY['a', NULL]"]),
    Animal("int4[]", "list<int>", ["'{1,NULL,3}'", "'{}'", "'{NULL}'"], ["'{{1,2},{3,4}}'", "'[0:1]={1,2}'"], SHAPE),
    Animal("int2[]", "list<int>", ["'{1,-2}'"]),
    Animal("int8[]", "list<long>", ["'{9223372036854775807}'"]),
    Animal("oid[]", "list<long>", ["'{4294967295}'"]),
    Animal("text[]", "list<string>", ["'{a,NULL,\"NULL\",\"\",\"x,y\",👩}'", "'{}'"]),
    Animal("varchar(3)[]", "list<string>", ["'{abc,d}'"]),
    Animal("char(3)[]", "list<string>", ["'{ab,c}'"]),
    Animal("boolean[]", "list<boolean>", ["'{t,NULL,f}'"]),
    Animal("real[]", "list<float>", ["'{1.5,NaN}'"]),
    Animal("double precision[]", "list<double>", ["'{0.1,-Infinity}'"]),
    Animal("numeric(5,2)[]", "list<decimal(5, 2)>", ["'{1.20,NULL,-999.99}'"], ["'{1,NaN}'"], SPECIAL),
    Animal("numeric(3,-2)[]", "list<decimal(5, 0)>", ["'{12300}'"]),
    Animal("numeric[]", "list<string>", ["'{1.10,NaN,1e50}'"]),
    Animal("date[]", "list<date>", ["'{2024-01-01,0001-01-01 BC}'"], ["'{2024-01-01,infinity}'"], RANGE),
    Animal("time[]", "list<time>", ["'{12:00}'"], ["'{24:00}'"], RANGE),
    Animal("timestamp[]", "list<timestamp>", ["'{2024-01-01 00:00}'"], ["'{-infinity}'"], RANGE),
    Animal("timestamptz[]", "list<timestamptz>", ["'{2024-01-01 00:00+05}'"], ["'{infinity}'"], RANGE),
    Animal("uuid[]", "list<uuid>", ["'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}'"]),
    Animal("bytea[]", "list<binary>", ["ARRAY['\\x00ff'::bytea, NULL, '']"]),
    Animal("jsonb[]", "list<string>", ["ARRAY['{\"a\": 1.10}'::jsonb, NULL]"]),
    Animal("inet[]", "list<string>", ["'{1.2.3.4,NULL}'"]),
    Animal("mood[]", "list<string>", ["'{happy,NULL,so-so}'"]),
    Animal("interval[]", "list<string>", ["'{1 day}'"]),
    Animal("pair[]", "list<string>", ["ARRAY[ROW(1,'x')::pair, ROW(NULL,NULL)::pair, NULL]"]),
    Animal("positive[]", "list<int>", ["'{1,2}'"]),
]  # fmt: skip

SETUP = [
    "CREATE TYPE mood AS ENUM ('happy', 'so-so', 'it''s')",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE DOMAIN positive AS int CHECK (value > 0)",
    "CREATE DOMAIN base_price AS numeric(10,2)",
    "CREATE DOMAIN price AS base_price",
    "CREATE DOMAIN tags AS text[]",
]


def build_zoo(lab: Lab) -> None:
    columns = ", ".join(f"c{i} {a.type}" for i, a in enumerate(ZOO))
    lab.sql(*SETUP, f"CREATE TABLE zoo (id int PRIMARY KEY, {columns})")
    height = max(len(a.values) + len(a.misfits) for a in ZOO) + 1
    with lab.connect() as connection:
        for row in range(height):
            cells = [([*a.values, *a.misfits][row : row + 1] or ["NULL"])[0] for a in ZOO]
            connection.execute(f"INSERT INTO zoo VALUES ({row}, {', '.join(cells)})")


# How the server says a value in terms that survive every reader: days, microseconds, or its own text.
_MICROSECONDS = "(extract(epoch FROM {c}) * 1000000)::numeric(38,0)::text"
SERVER_FORM = {
    "date": "({c} - date '1970-01-01')::text",
    "time": _MICROSECONDS,
    "timestamp": _MICROSECONDS,
    "timestamptz": _MICROSECONDS,
}


def expected(lab: Lab, column: str, becomes: str, row: int) -> Any:
    """The value as the server itself puts it."""
    if becomes.startswith("list<"):
        form = SERVER_FORM.get(becomes[5:-1], "{c}").format(c=f"{column}[n]")
        query = f"SELECT {form} FROM zoo, generate_subscripts({column}, 1) AS n WHERE id = {row} ORDER BY n"
        return [parse(text, becomes[5:-1]) for text in raw(lab, query)]
    form = SERVER_FORM.get(becomes, "{c}").format(c=column)
    [text] = raw(lab, f"SELECT {form} FROM zoo WHERE id = {row}")
    return parse(text, becomes)


def raw(lab: Lab, query: str) -> list[str | None]:
    """The first column as text: exactly what the type's output function says."""
    with lab.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET DateStyle = ISO; SET IntervalStyle = postgres")
        result = connection.pgconn.exec_(query.encode())
        assert not result.error_message, result.error_message
        values = [result.get_value(i, 0) for i in range(result.ntuples)]
        return [None if v is None else v.decode() for v in values]


def float32(value: float) -> Any:
    """One form for each float: readers give its double, the server its shortest text."""
    return "nan" if math.isnan(value) else struct.pack("<f", value)


def parse(text: str | None, becomes: str) -> Any:
    """The server's text in the terms of `comparable`."""
    if text is None:
        return None
    match becomes:
        case "int" | "long" | "date" | "time" | "timestamp" | "timestamptz":
            return int(text)
        case "float":
            return float32(float(text))
        case "double":
            return repr(float(text))
        case "boolean":
            return text == "t"
        case "binary":
            return bytes.fromhex(text[2:])
        case _:
            return Decimal(text) if becomes.startswith("decimal") else text


def comparable(array: pa.Array, becomes: str) -> list[Any]:
    """The values of an Arrow array, times as integers: Python has no date before year 1."""
    if becomes.startswith("list<"):
        return [comparable(v.values, becomes[5:-1]) if v.is_valid else None for v in array]
    match becomes:
        case "date":
            return list(array.cast(pa.int32()).to_pylist())
        case "time" | "timestamp" | "timestamptz":
            return list(array.cast(pa.int64()).to_pylist())
        case "uuid":
            return [None if v is None else str(v) for v in array.to_pylist()]
        case _:
            pass
    values = array.to_pylist()
    if becomes in ("float", "double"):
        form = float32 if becomes == "float" else repr
        return [None if v is None else form(v) for v in values]
    return list(values)


@pytest.fixture(scope="module")
def zoo(module_lab: Lab) -> Lab:
    build_zoo(module_lab)
    event = module_lab.load(module_lab.stream("public.zoo"))
    counted = {(p.column, p.kind): p.count for p in event.policies}
    wanted = {(f"c{i}", a.counted_as): len(a.misfits) for i, a in enumerate(ZOO) if a.misfits}
    assert counted == wanted
    return module_lab


@pytest.mark.parametrize("reader", ["duckdb", "pyiceberg"])
@pytest.mark.parametrize("index", range(len(ZOO)), ids=lambda i: ZOO[i].type)
def test_every_value_is_exact_or_meets_its_policy(
    zoo: Lab, tables: dict[str, pa.Table], reader: str, index: int
) -> None:
    animal, column = ZOO[index], f"c{index}"
    assert str(zoo.table("zoo").schema().find_type(column)) == animal.becomes
    found = comparable(tables[reader].column(column).combine_chunks(), animal.becomes)
    for row, value in enumerate(found):
        if row < len(animal.values):
            assert value == expected(zoo, column, animal.becomes, row), animal.values[row][:100]
        else:
            assert value is None


@pytest.fixture(scope="module")
def tables(zoo: Lab) -> dict[str, pa.Table]:
    return {"duckdb": zoo.duck("zoo"), "pyiceberg": zoo.read("zoo")}


def test_a_type_without_a_rule_is_said_with_its_column_and_the_way_out(lab: Lab) -> None:
    lab.sql("CREATE EXTENSION hstore", "CREATE TABLE t (id int PRIMARY KEY, h hstore, hs hstore[])")
    [failed] = lab.run(lab.stream("public.t"))
    assert isinstance(failed, StreamFailed)
    assert "column h has type hstore" in failed.summary
    assert "exclude: [h]" in failed.remedy
    columns = {c.name: c.kind for s in lab.engine.discover(lab.source).streams.values() for c in s.columns}
    assert columns["h"] is None
    assert columns["hs"] is None
    assert lab.load(lab.stream("public.t", columns={"exclude": ("h", "hs")})).rows == 0


MISFITS = {
    SPECIAL: ("numeric(5,2)", "'NaN'", "NaN"),
    RANGE: ("timestamptz", "'infinity'", "infinity"),
    SHAPE: ("int[]", "'{{1,2}}'", "{{1,2}}"),
}


@pytest.mark.parametrize("kind", list(TypeClass))
def test_policy_fail_stops_the_load_with_count_column_and_a_way_to_find_the_rows(
    lab: Lab, kind: TypeClass
) -> None:
    type_, literal, _ = MISFITS[kind]
    lab.sql(
        f"CREATE TABLE t (id int PRIMARY KEY, v {type_})",
        f"INSERT INTO t SELECT g, CASE WHEN g % 500 = 0 THEN {literal}::{type_} END FROM generate_series(1, 1000) g",
    )
    failed = lab.run(lab.stream("public.t", type_policies={kind: TypePolicy.FAIL}))[-1]
    assert isinstance(failed, StreamFailed)
    assert failed.summary == "2 values of column v in public.t do not fit, and their policy is fail"
    assert lab.files() == []
    query = failed.remedy.removeprefix("Find them: ").split(";")[0]
    assert lab.sql(query.replace("*", "id", 1)) == [(500,), (1000,)]


@pytest.mark.parametrize("kind", list(TypeClass))
def test_policy_text_keeps_every_value_as_the_server_writes_it(lab: Lab, kind: TypeClass) -> None:
    type_, literal, text = MISFITS[kind]
    lab.sql(
        f"CREATE TABLE t (id int PRIMARY KEY, v {type_})", f"INSERT INTO t VALUES (1, {literal}), (2, NULL)"
    )
    event = lab.load(lab.stream("public.t", type_policies={kind: TypePolicy.TEXT}))
    assert event.policies == ()
    assert lab.read("t").column("v").to_pylist() == [text, None]


def test_the_text_of_a_value_does_not_depend_on_the_role_s_settings(lab: Lab) -> None:
    lab.sql(
        "CREATE TABLE t (id int PRIMARY KEY, i interval, z timetz, b bytea, f float8, r tstzrange)",
        "INSERT INTO t VALUES (1, '1 day 2 hours', '12:00+01', '\\xff', 0.1, '[2024-01-01 00:00+00,)')",
        f'ALTER DATABASE "{lab.database}" SET IntervalStyle = sql_standard',
        f"ALTER DATABASE \"{lab.database}\" SET TimeZone = 'Asia/Tokyo'",
        f"ALTER DATABASE \"{lab.database}\" SET DateStyle = 'German, DMY'",
        f'ALTER DATABASE "{lab.database}" SET extra_float_digits = -15',
    )
    lab.load(lab.stream("public.t"))
    [row] = lab.read("t").select(["i", "z", "b", "f", "r"]).to_pylist()
    assert row == {
        "i": "1 day 02:00:00",
        "z": "12:00:00+01",
        "b": b"\xff",
        "f": 0.1,
        "r": '["2024-01-01 00:00:00+00",)',
    }
