"""The law behind incremental runs (H-1): whoever commits when, the next run begins at or below every row still to come."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from olake_reconcile.engine.moment import floors
from olake_reconcile.sources.postgres.position import Mark, Position, Values


@dataclass(frozen=True)
class Transaction:
    """Begins, takes its cursor value from the clock, prepares perhaps, commits."""

    begin: int
    taken: int
    prepared: int | None
    commit: int

    def key_at(self, time: int, name: str) -> str | None:
        """How it is listed at a time; None when it is not in flight."""
        if not self.begin <= time < self.commit:
            return None
        return f"x{name}" if self.prepared is not None and time >= self.prepared else f"v{name}"


@st.composite
def transactions(draw: st.DrawFn) -> Transaction:
    begin = draw(st.integers(0, 30))
    taken = begin + draw(st.integers(0, 3))
    commit = taken + 1 + draw(st.sampled_from((0, 1, 2, 4, 8, 16, 32)))
    prepared = draw(st.none() | st.integers(taken, commit - 1))
    return Transaction(begin, taken, prepared, commit)


class Seen:
    """What a run lists before its snapshot and after it."""

    def __init__(self, running: list[Transaction], first: int, last: int) -> None:
        both = [(t.key_at(time, str(i)), t) for time in (first, last) for i, t in enumerate(running)]
        self.transactions = {key: t for key, t in both if key is not None}
        # Ids that completed in between are seen as such.
        self.unlisted = any(first < t.commit <= last for t in running)


def number(values: Values) -> int:
    return -1 if values[0] is None else int(values[0])


@settings(max_examples=400, deadline=None)
@given(
    st.lists(transactions(), min_size=2, max_size=8),
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=6),
)
@example([Transaction(3, 4, None, 5), Transaction(2, 3, None, 6)], [(1, 4, 2), (5, 0, 0)])  # never listed
def test_every_row_is_read_by_the_first_run_whose_snapshot_shows_it(
    running: list[Transaction], runs: list[tuple[int, int, int]]
) -> None:
    previous: Position | None = None
    read: set[int] = set()
    first = 0
    for gap, before, after in [*runs, (200, 0, 0)]:
        first += gap
        snapshot, last = first + before, first + before + after
        visible = {i for i, t in enumerate(running) if t.commit <= snapshot}
        lower = min(map(number, previous.bounds)) if previous else -1
        read |= {i for i in visible if running[i].taken >= lower}
        assert read == visible, "nothing that is visible was passed over"
        base: Values = tuple(m.value for m in previous.marks) if previous else (None,)
        greatest = max([number(base), *(running[i].taken for i in visible)])
        mark = Mark(column="at", type="integer", value=str(greatest) if greatest >= 0 else None)
        found = floors(previous, base, Seen(running, first, last))
        previous = Position(marks=(mark,), floors=found)
        first = last
    assert len(read) == len(running)
