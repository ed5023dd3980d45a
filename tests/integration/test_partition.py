"""Partitioning: every transform over every kind of column, compared with the Iceberg spec's definitions.

The expected values are computed here in plain Python from the spec's text (floor division, Murmur3 over the spec's
encodings, checked against the spec's own table of reference hashes), not by the library that writes.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from lab import Lab

pytestmark = pytest.mark.integration

EPOCH = datetime.fromisoformat("1970-01-01")


def days(value: str) -> int:
    return (date.fromisoformat(value) - date(1970, 1, 1)).days


def micros(value: str) -> int:
    return (datetime.fromisoformat(value) - EPOCH) // timedelta(microseconds=1)


def murmur3(data: bytes) -> int:
    """Murmur3, 32 bits, x86, seed 0, as a signed number (Iceberg spec, Appendix B)."""
    h, mask = 0, 0xFFFFFFFF

    def mix(k: int) -> int:
        k = k * 0xCC9E2D51 & mask
        k = (k << 15 | k >> 17) & mask
        return k * 0x1B873593 & mask

    blocks = len(data) // 4
    for i in range(blocks):
        h ^= mix(int.from_bytes(data[4 * i : 4 * i + 4], "little"))
        h = (h << 13 | h >> 19) & mask
        h = (h * 5 + 0xE6546B64) & mask
    if tail := data[4 * blocks :]:
        h ^= mix(int.from_bytes(tail, "little"))
    h ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        h ^= h >> shift
        h = h * factor & mask
    return h - (1 << 32) if h >> 31 else h


def long_hash(value: int) -> int:
    return murmur3(struct.pack("<q", value))


def decimal_hash(value: str) -> int:
    unscaled = int(Decimal(value).scaleb(2))
    length = (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1
    return murmur3(unscaled.to_bytes(length, "big", signed=True))


def bucket(hashed: Callable[[Any], int]) -> Callable[[Any], int]:
    return lambda value: (hashed(value) & 0x7FFFFFFF) % 16


def test_the_hash_of_this_test_is_the_spec_s() -> None:
    assert long_hash(34) == 2017239379
    assert decimal_hash("14.20") == -500754589
    assert long_hash(days("2017-11-16")) == -653330422
    assert long_hash(micros("2017-11-16T22:31:08")) == -2047944441
    assert murmur3(b"iceberg") == 1210000089
    assert murmur3(UUID("f79c3e09-677c-4bbd-a479-3f349cb785e7").bytes) == 1488055340
    assert murmur3(bytes([0, 1, 2, 3])) == -188683207


DATES = ["2024-02-29", "1970-01-01", "1969-12-31", "1969-01-01", "1900-03-01", "0001-01-01"]
TIMES = [
    "2024-02-29T23:59:59.999999",
    "1970-01-01T00:00:00",
    "1969-12-31T23:59:59.999999",
    "1969-12-31T00:00:00",
    "0001-01-01T00:00:00",
]
TEXTS = ["iceberg", "", "ab", "👩👩👩👩", "éàüöï"]
NUMBERS = [34, -1, 0, -11, 9, 10, 2147483647, -2147483648]
DECIMALS = ["14.20", "-0.01", "0.00", "10.65", "-99.99"]
UUIDS = ["f79c3e09-677c-4bbd-a479-3f349cb785e7", "00000000-0000-0000-0000-000000000000"]


def year_of(text: str) -> int:
    return int(text[:4]) - 1970


def month_of(text: str) -> int:
    return year_of(text) * 12 + int(text[5:7]) - 1


Case = tuple[str, str, list[Any], Callable[[Any], Any]]
CASES: list[Case] = [
    ("v", "int", NUMBERS, lambda v: v),
    ("v", "text", TEXTS, lambda v: v),
    ("v", "date", DATES, days),
    ("v", "timestamp", TIMES, micros),
    ("v", "timestamptz", TIMES, micros),
    ("v", "numeric(10,2)", DECIMALS, Decimal),
    ("v", "uuid", UUIDS, lambda v: UUID(v)),
    ("v", "boolean", [True, False], lambda v: v),
    ("v", "time", ["00:00:01", "23:59:59.999999"], lambda v: micros(f"1970-01-01T{v}")),
    ("v", "bytea", ["\\x00ff", "\\x"], lambda v: bytes.fromhex(v[2:])),
    ("year(v)", "date", DATES, year_of),
    ("year(v)", "timestamp", TIMES, year_of),
    ("year(v)", "timestamptz", TIMES, year_of),
    ("month(v)", "date", DATES, month_of),
    ("month(v)", "timestamp", TIMES, month_of),
    ("month(v)", "timestamptz", TIMES, month_of),
    ("day(v)", "date", DATES, days),
    ("day(v)", "timestamp", TIMES, lambda v: days(v[:10])),
    ("day(v)", "timestamptz", TIMES, lambda v: days(v[:10])),
    ("hour(v)", "timestamp", TIMES, lambda v: micros(v) // 3_600_000_000),
    ("hour(v)", "timestamptz", TIMES, lambda v: micros(v) // 3_600_000_000),
    ("bucket(16, v)", "int", NUMBERS, bucket(long_hash)),
    ("bucket(16, v)", "bigint", NUMBERS, bucket(long_hash)),
    ("bucket(16, v)", "date", DATES, bucket(lambda v: long_hash(days(v)))),
    ("bucket(16, v)", "timestamp", TIMES, bucket(lambda v: long_hash(micros(v)))),
    ("bucket(16, v)", "timestamptz", TIMES, bucket(lambda v: long_hash(micros(v)))),
    ("bucket(16, v)", "time", ["22:31:08"], bucket(lambda v: long_hash(micros(f"1970-01-01T{v}")))),
    ("bucket(16, v)", "text", TEXTS, bucket(lambda v: murmur3(v.encode()))),
    ("bucket(16, v)", "numeric(10,2)", DECIMALS, bucket(decimal_hash)),
    ("bucket(16, v)", "uuid", UUIDS, bucket(lambda v: murmur3(UUID(v).bytes))),
    ("bucket(16, v)", "bytea", ["\\x00010203"], bucket(lambda v: murmur3(bytes.fromhex(v[2:])))),
    ("truncate(10, v)", "int", NUMBERS[:-1], lambda v: v - v % 10),
    ("truncate(10, v)", "bigint", NUMBERS, lambda v: v - v % 10),
    ("truncate(3, v)", "text", TEXTS, lambda v: v[:3]),
    ("truncate(50, v)", "numeric(10,2)", DECIMALS, lambda v: Decimal(int(Decimal(v) * 100) // 50 * 50) / 100),
    ("truncate(1, v)", "bytea", ["\\x00ff", "\\x"], lambda v: bytes.fromhex(v[2:])[:1]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("transform", "type_", "values", "expected"), CASES, ids=[f"{c[0]} {c[1]}" for c in CASES]
)
def test_rows_are_in_the_partition_that_the_spec_says(
    module_lab: Lab, transform: str, type_: str, values: list[Any], expected: Callable[[Any], Any]
) -> None:
    lab = module_lab
    lab.sql(
        "DROP TABLE IF EXISTS t", f"CREATE TABLE t (id int PRIMARY KEY, v {type_})", "SET TimeZone = 'UTC'"
    )
    with lab.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for row, value in enumerate([*values, None]):
            connection.execute("INSERT INTO t VALUES (%s, %s)", (row, value))
    name = f"t{CASES.index((transform, type_, values, expected))}"
    lab.load(lab.stream("public.t", partition_by=(transform,), destination_table=name))

    table = lab.table(name)
    found = Counter(plain(task.file.partition[0]) for task in table.scan().plan_files())
    assert found == Counter({expected(v) for v in values} | {None})
    rows = len(values) + 1
    assert lab.read(name).column("id").to_pylist() == list(range(rows))
    assert lab.duck(name, "SELECT count(*), count(DISTINCT id) FROM t").to_pylist()[0] == {
        "count_star()": rows,
        "count(DISTINCT id)": rows,
    }


def plain(value: Any) -> Any:
    return UUID(bytes=value) if isinstance(value, bytes) and len(value) == 16 else value


def test_several_fields_and_many_partitions_keep_every_row_once(lab: Lab) -> None:
    lab.sql(
        "CREATE TABLE t (id int PRIMARY KEY, d date, region text, n int)",
        "INSERT INTO t SELECT g, date '2020-01-01' + g % 400, 'r' || g % 7, g % 13 FROM generate_series(1, 30000) g",
    )
    fields = ("month(d)", "region", "bucket(4, n)", "bucket(4, id)")
    event = lab.load(lab.stream("public.t", partition_by=fields))
    assert event.rows == 30000
    assert lab.sql("SELECT sum(id), sum(n), count(DISTINCT d) FROM t") == [
        tuple(
            lab.duck("t", "SELECT sum(id)::BIGINT a, sum(n)::BIGINT b, count(DISTINCT d) c FROM t")
            .to_pylist()[0]
            .values()
        )
    ]
    table = lab.table("t")
    assert [f.name for f in table.spec().fields] == ["d_month", "region", "n_bucket", "id_bucket"]
    assert sum(f.file.record_count for f in table.scan(row_filter="region = 'r3'").plan_files()) == len(
        lab.sql("SELECT 1 FROM t WHERE region = 'r3'")
    )


def test_a_partition_name_gives_way_to_a_column_of_that_name(lab: Lab) -> None:
    lab.sql(
        "CREATE TABLE t (id int PRIMARY KEY, d date, d_day int)", "INSERT INTO t VALUES (1, '2024-01-01', 5)"
    )
    lab.load(lab.stream("public.t", partition_by=("day(d)",)))
    assert [f.name for f in lab.table("t").spec().fields] == ["d_day_"]
    assert lab.duck("t").column("d_day").to_pylist() == [5]


def test_files_of_many_partitions_do_not_stay_open(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from olake_reconcile.destinations.iceberg import files

    monkeypatch.setattr(files, "BUDGET_BYTES", 20_000)
    monkeypatch.setattr(files, "MAX_OPEN_FILES", 5)
    lab.sql(
        "CREATE TABLE t (id int PRIMARY KEY, k int)",
        "INSERT INTO t SELECT g, g % 20 FROM generate_series(1, 20000) g",
    )
    event = lab.load(lab.stream("public.t", partition_by=("k",)), threads=1)
    assert event.files >= 20
    assert lab.read("t").column("id").to_pylist() == list(range(1, 20001))
