"""Laws of the small languages in workspace files: filters, partition fields, schedules, references."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from olake_reconcile.model.filter import (
    And,
    BadFilter,
    Comparison,
    Expression,
    InList,
    IsNull,
    Not,
    Or,
    parse_filter,
)
from olake_reconcile.model.partition import BadPartition, parse_olake_regex, parse_partition
from olake_reconcile.model.reference import BadReference, Reference, expand, parts
from olake_reconcile.model.schedule import BadSchedule, due_times, next_due, parse_schedule
from olake_reconcile.secrets import REDACTED, SystemSecrets
from tests.properties.strategies import partition_fields

# Filters

COLUMNS = ["a", "b", 'Quo"ted', "and"]
VALUES: list[Any] = [0, 1, -1, Decimal("1.0"), Decimal("1.50"), "", "x", "it's", True, False]
LITERALS: SearchStrategy[Any] = st.sampled_from(VALUES)
OPERATORS = ["=", "!=", "<", "<=", ">", ">="]


def expressions() -> SearchStrategy[Expression]:
    column = st.sampled_from(COLUMNS)
    leaf: SearchStrategy[Expression] = st.one_of(
        st.builds(Comparison, column, st.sampled_from(OPERATORS), LITERALS),
        st.builds(InList, column, st.lists(LITERALS, min_size=1, max_size=3).map(tuple)),
        st.builds(IsNull, column),
    )

    def deeper(inner: SearchStrategy[Expression]) -> SearchStrategy[Expression]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(st.builds(Not, inner), st.builds(And, several), st.builds(Or, several))

    return st.recursive(leaf, deeper, max_leaves=8)


def spelled(draw: DrawFn, expression: Expression) -> str:
    """Spell an expression in one of the many ways that mean the same."""

    def word(text: str) -> str:
        return draw(st.sampled_from([text, text.upper(), text.capitalize()]))

    def column(name: str) -> str:
        plain = name.isidentifier() and name not in ("and",)
        return name if plain and draw(st.booleans()) else '"' + name.replace('"', '""') + '"'

    def literal(value: Any) -> str:
        if isinstance(value, bool):
            return word(str(value).lower())
        return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)

    def inside(item: Expression) -> str:
        return f"({say(item)})"

    def say(item: Expression) -> str:
        space = draw(st.sampled_from([" ", "  ", "\n"]))
        match item:
            case Comparison(name, operator, value):
                other = {"=": ["=", "=="], "!=": ["!=", "<>"]}.get(operator, [operator])
                return f"{column(name)}{space}{draw(st.sampled_from(other))}{space}{literal(value)}"
            case InList(name, values):
                return f"{column(name)} {word('in')}{space}({', '.join(map(literal, values))})"
            case IsNull(name):
                return f"{column(name)} {word('is')}{space}{word('null')}"
            case Not(IsNull(name)) if draw(st.booleans()):
                return f"{column(name)} is {word('not')} null"
            case Not(InList(name, values)) if draw(st.booleans()):
                return f"{column(name)} {word('not')} in ({', '.join(map(literal, values))})"
            case Not(inner):
                return f"{word('not')} {inside(inner)}"
            case And(items):
                return f" {word('and')} ".join(map(inside, draw(st.permutations(items))))
            case Or(items):
                return f"{space}{word('or')}{space}".join(map(inside, draw(st.permutations(items))))

    return say(expression)


@st.composite
def two_spellings(draw: DrawFn) -> tuple[Expression, str, str]:
    expression = draw(expressions())
    return expression, spelled(draw, expression), spelled(draw, expression)


def truth(expression: Expression, row: dict[str, Any]) -> bool | None:
    """Evaluate by SQL's three-valued logic; values of other types than the literal's count as NULL."""
    match expression:
        case Comparison(column, operator, value):
            found = row[column]
            if found is None or _kind(found) != _kind(value):
                return None
            return bool(
                {
                    "=": found == value,
                    "!=": found != value,
                    "<": found < value,
                    "<=": found <= value,
                    ">": found > value,
                    ">=": found >= value,
                }[operator]
            )
        case InList(column, values):
            return _any([truth(Comparison(column, "=", value), row) for value in values])
        case IsNull(column):
            return row[column] is None
        case Not(item):
            inside = truth(item, row)
            return None if inside is None else not inside
        case And(items):
            opposite = _any([truth(Not(item), row) for item in items])
            return None if opposite is None else not opposite
        case Or(items):
            return _any([truth(item, row) for item in items])


def _kind(value: Any) -> str:
    return "bool" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def _any(found: list[bool | None]) -> bool | None:
    return True if True in found else None if None in found else False


ROWS = st.fixed_dictionaries({c: st.sampled_from([None, *VALUES]) for c in COLUMNS})


@given(two_spellings(), ROWS)
def test_filters_that_differ_in_spelling_only_are_equal_and_true_of_the_same_rows(
    case: tuple[Expression, str, str], row: dict[str, Any]
) -> None:
    expression, one, other = case
    first, second = parse_filter(one), parse_filter(other)
    assert first.canonical() == second.canonical()
    assert truth(first.expression, row) == truth(second.expression, row) == truth(expression, row)


@given(expressions(), expressions(), ROWS)
def test_filters_with_equal_canonical_forms_are_true_of_the_same_rows(
    one: Expression, other: Expression, row: dict[str, Any]
) -> None:
    from olake_reconcile.model.filter import Filter

    if Filter("", one).canonical() == Filter("", other).canonical():
        assert truth(one, row) == truth(other, row)


@given(
    st.text(max_size=40)
    | st.lists(
        st.sampled_from(["a", "=", "1", "(", ")", "'", "and", "not", "in", "null", "is", ","]), max_size=12
    ).map(" ".join)
)
def test_any_text_is_a_filter_or_a_bad_filter_that_points_into_it(text: str) -> None:
    offset = 0
    try:
        parse_filter(text)
    except BadFilter as bad:
        offset = bad.offset
    assert 0 <= offset <= len(text)


# Partition fields

ANY_COLUMN = st.text(min_size=1, max_size=8)


@given(partition_fields(ANY_COLUMN))
def test_a_partition_field_is_read_back_from_its_text(field: Any) -> None:
    assert parse_partition(str(field)) == field


@given(st.lists(partition_fields(st.sampled_from(["id", "created_at", "Ü b"])), min_size=1, max_size=3))
def test_olakes_spelling_of_partition_fields_means_the_same(fields: Any) -> None:
    def olake(field: Any) -> str:
        width = f"[{field.width}]" if field.width else ""
        return f"{{{field.column}, {field.transform}{width}}}"

    assert parse_olake_regex("/" + "/".join(map(olake, fields))) == tuple(fields)


@given(st.text(max_size=20))
def test_any_text_is_a_partition_field_or_a_bad_one(text: str) -> None:
    try:
        field = parse_partition(text)
    except BadPartition:
        return
    assert parse_partition(str(field)) == field


# Schedules

NUMBER = {"minute": (0, 59), "hour": (0, 23), "day": (1, 28), "month": (1, 12), "weekday": (0, 6)}


@st.composite
def cron_fields(draw: DrawFn) -> str:
    def one(name: str) -> str:
        low, high = NUMBER[name]
        number = st.integers(low, high).map(str)
        step = st.integers(1, high).map(lambda n: f"*/{n}")
        return draw(st.one_of(st.just("*"), number, step))

    return " ".join(one(name) for name in NUMBER)


SCHEDULES = st.one_of(
    cron_fields(),
    st.builds("every {}{}".format, st.integers(1, 300), st.sampled_from("mhd")),
    st.builds("{}-{}".format, st.integers(1, 300), st.sampled_from(["minutes", "hours", "days"])),
    st.sampled_from(["@hourly", "@daily", "@weekly", "@monthly", "0,30 15 3 * * * *", "*/20 * * * * * *"]),
)
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Havana"]
).map(ZoneInfo)
# Around the days on which clocks change, and anywhere.
DAYS = [("2025-03-29", 2), ("2025-10-25", 2), ("2025-03-08", 2), ("2025-04-04", 3), ("2000-01-01", 32_000)]


def moments(day: str, days: int) -> SearchStrategy[datetime]:
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return st.timedeltas(timedelta(), timedelta(days=days)).map(lambda later: start + later)


MOMENTS = st.one_of(*(moments(day, days) for day, days in DAYS))


@given(SCHEDULES)
def test_a_schedules_canonical_form_is_a_schedule_that_means_the_same(text: str) -> None:
    schedule = parse_schedule(text)
    assert parse_schedule(schedule.canonical()).canonical() == schedule.canonical()


@given(SCHEDULES, MOMENTS, ZONES)
@example("1 * * * *", datetime(2025, 3, 30, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
def test_the_next_due_time_is_later_and_none_between_is_skipped(
    text: str, moment: datetime, zone: ZoneInfo
) -> None:
    schedule = parse_schedule(text)
    coming = list(islice(due_times(schedule, moment, zone), 6))
    assert all(a < b for a, b in zip([moment, *coming], coming, strict=False)), "strictly later"
    found, now = [], moment
    for _ in coming:
        due = next_due(schedule, now, zone)
        assert due is not None
        found.append(due)
        now = due
    assert found == coming, "asking from each due time gives the same ones"
    # Asking from any moment before a due time finds that one at the latest.
    for due in coming:
        for before in (timedelta(microseconds=1), timedelta(seconds=59), timedelta(minutes=61)):
            if due - before >= moment:
                earlier = next_due(schedule, due - before, zone)
                assert earlier is not None
                assert earlier <= due


@given(st.integers(1, 59), MOMENTS, ZONES)
def test_every_minutes_schedule_fires_in_every_hour_that_passes(
    step: int, moment: datetime, zone: ZoneInfo
) -> None:
    """Wherever clocks go: real time passes evenly, and so does a schedule whose hour is `*`."""
    schedule = parse_schedule(f"*/{step} * * * *")
    coming = islice(due_times(schedule, moment, zone), 200 // step + 3)
    end = moment + timedelta(hours=3)
    minute = moment.replace(second=0, microsecond=0)
    wanted = []
    while minute <= end:
        if minute > moment and minute.astimezone(zone).minute % step == 0:
            wanted.append(minute)
        minute += timedelta(minutes=1)
    assert [due for due in coming if due <= end] == wanted[: 200 // step + 3]


@given(st.integers(0, 23), st.integers(0, 59), MOMENTS, ZONES)
def test_a_daily_schedule_fires_once_on_every_day(
    hour: int, minute: int, moment: datetime, zone: ZoneInfo
) -> None:
    schedule = parse_schedule(f"{minute} {hour} * * *")
    days = [due.astimezone(zone).date() for due in islice(due_times(schedule, moment, zone), 5)]
    assert days == [days[0] + timedelta(days=i) for i in range(5)]
    assert days[0] - moment.astimezone(zone).date() <= timedelta(days=1)


@given(st.text(max_size=20))
def test_any_text_is_a_schedule_or_a_bad_one(text: str) -> None:
    try:
        schedule = parse_schedule(text)
    except BadSchedule:
        return
    assert parse_schedule(schedule.canonical()).canonical() == schedule.canonical()


# References

ENV_NAMES = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,8}\Z")
NO_BRACE = st.text(st.characters(exclude_characters="}"), max_size=8)
REFERENCES = st.one_of(
    st.builds(Reference, st.just("env"), ENV_NAMES, st.none() | NO_BRACE),
    st.builds(Reference, st.just("file"), NO_BRACE.filter(bool)),
)
PIECES = st.lists(st.one_of(st.text(max_size=8), REFERENCES), max_size=5)


def written(piece: str | Reference) -> str:
    return str(piece) if isinstance(piece, Reference) else piece.replace("$", "$$")


@given(PIECES)
def test_references_and_text_are_read_back_from_how_they_are_written(pieces: list[str | Reference]) -> None:
    text = "".join(map(written, pieces))
    assert "".join(map(written, parts(text))) == text
    assert [p for p in parts(text) if isinstance(p, Reference)] == [
        p for p in pieces if isinstance(p, Reference)
    ]


@given(PIECES, st.text(max_size=8))
def test_expanding_replaces_references_and_nothing_else(pieces: list[str | Reference], value: str) -> None:
    text = "".join(map(written, pieces))
    wanted = "".join(value if isinstance(p, Reference) else p for p in pieces)
    assert expand(text, lambda reference: value) == wanted


@given(st.text(st.sampled_from("$${}env:file/-A1 "), max_size=16))
def test_a_dollar_is_a_reference_a_dollar_or_an_error(text: str) -> None:
    try:
        found = parts(text)
    except BadReference:
        assert "$" in text
        return
    assert "".join(map(written, found)) == text


# Secrets

SECRET_TEXT = st.text(st.characters(exclude_characters=REDACTED, codec="utf-8"), min_size=4, max_size=12)


@given(st.lists(SECRET_TEXT, min_size=1, max_size=4), st.lists(st.text(max_size=6), min_size=5, max_size=5))
def test_redacted_text_never_contains_a_secret(values: list[str], between: list[str]) -> None:
    assume(all("\n" not in v and "\r" not in v for v in values))
    secrets = SystemSecrets({f"S{i}": value for i, value in enumerate(values)})
    for i in range(len(values)):
        secrets.resolve(Reference("env", f"S{i}"))
    text = "".join(piece for pair in zip(between, [*values, ""] * 5, strict=False) for piece in pair)
    redacted = secrets.redact(text)
    assert not [value for value in values if value in redacted]
