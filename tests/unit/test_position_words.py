"""Positions in words."""

from __future__ import annotations

from olake_reconcile.model.position import position_words


def test_a_position_of_cursors_is_the_greatest_values_that_were_read() -> None:
    marks = [
        {
            "column": "updated_at",
            "type": "timestamptz",
            "value": "2026-01-01 00:00:00+00",
            "top": "2026-01-02 00:00:00+00",
        },
        {"column": "id", "type": "int"},
    ]
    assert (
        position_words({"marks": marks, "seen": 800, "version": 1})
        == "updated_at 2026-01-02 00:00:00+00, id none yet"
    )


def test_a_first_load_says_how_many_ranges_are_there() -> None:
    backfill = {"key": ["id"], "cuts": [["10"], ["20"], ["30"]], "done": [[0, 1], [2, 4]]}
    assert position_words({"marks": [], "backfill": backfill, "version": 1}) == "3 of 4 ranges loaded"


def test_other_positions_are_their_values_and_nothing_is_nothing() -> None:
    assert position_words({"lsn": "0/1A", "empty": None}) == "lsn 0/1A"
    assert position_words({}) == ""
