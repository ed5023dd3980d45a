"""Windows for syncs: the loop moves a due time to when they open, and makes nothing up afterwards."""

from __future__ import annotations

from pathlib import Path

from tests.reconcile.test_loop import Loop

NIGHTS = '"@hourly"\nwindows: {syncs: [{allow: "0 22 * * *", duration: 2h}]}'


def test_a_run_that_is_due_outside_its_window_comes_when_it_opens(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"nightly": NIGHTS, "hourly": '"@hourly"'})
    loop.go_to("13:00")
    assert loop.once() == ["hourly"]
    assert loop.due("nightly") == "01 22:00:00"
    loop.go_to("22:00")
    assert sorted(loop.once()) == ["hourly", "nightly"]
    assert loop.due("nightly") == "01 23:00:00"
    loop.go_to("23:00")
    assert sorted(loop.once()) == ["hourly", "nightly"]
    assert loop.due("nightly") == "02 00:00:00"
    loop.go_to("2026-03-02T00:00:00")
    assert loop.once() == ["hourly"]
    assert loop.due("nightly") == "02 22:00:00"


def test_a_sync_by_hand_does_not_wait(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"nightly": NIGHTS})
    assert loop.lab.run("sync", "nightly").code == 0
