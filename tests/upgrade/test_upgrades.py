"""The state of every release is read by this one, and planned to `No changes` (design §9)."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from olake_reconcile import __version__
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.state.migrations import FORMAT
from tests.upgrade.make import HERE
from tests.workspaces import Lab

RELEASES = sorted(path.parent.name for path in HERE.glob("*/state.db"))


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    """The workspace of a release, with the state that it left."""
    kept = HERE / str(request.param)
    shutil.copytree(kept / "workspace", tmp_path / "workspace")
    lab = Lab(tmp_path)
    lab.engine.write(json.loads((kept / "world.json").read_text()))
    (lab.root / ".olake").mkdir()
    shutil.copy(kept / "state.db", _state(lab))
    return lab


def _state(lab: Lab) -> Path:
    return lab.root / ".olake" / "state.db"


def test_this_release_keeps_its_state_for_later_ones() -> None:
    assert __version__ in RELEASES, "python -m tests.upgrade.make"


def test_the_state_of_a_release_plans_to_no_changes(release: Lab) -> None:
    before = _state(release).read_bytes()
    for options in ((), ("--no-refresh",)):
        outcome = release.run("plan", "--detailed-exitcode", *options)
        assert outcome.code == 0, outcome.text
        assert "No changes." in outcome.out
        # A new setting must not make old records differ: a warning would be a change that nobody sees.
        assert outcome.err == ""
    assert _state(release).read_bytes() == before


@pytest.mark.parametrize("command", ["sync daily", "pause daily", "reconcile", "resume weekly"])
def test_a_command_that_writes_brings_the_state_of_a_release_up_to_date(release: Lab, command: str) -> None:
    release.ok(*command.split())
    with closing(sqlite3.connect(_state(release))) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone() == (str(FORMAT),)
    assert release.run("plan", "--detailed-exitcode").code == 0


def test_the_history_and_holds_of_a_release_can_be_read(release: Lab) -> None:
    history = release.ok("history").out
    for word in ("Sync", "Clear Destination", "completed", "failed"):
        assert word in history
    assert "bad page" in release.ok("history", "by_hand").text
    hold = release.store.read("weekly").jobs["weekly"].hold
    assert hold is not None
    assert hold.why == "the source is being moved"
    assert all(release.store.journal(record.id) for record in release.store.applies())


def test_what_a_release_loaded_and_removed_is_still_known(release: Lab) -> None:
    jobs = release.store.read().jobs
    phases = {f"{n}/{i}": s.phase for n, j in jobs.items() for i, s in j.streams.items()}
    assert phases == {
        "by_hand/public.orders": StreamPhase.PENDING,
        "daily/public.customers": StreamPhase.LIVE,
        "daily/public.items": StreamPhase.REMOVED,
        "daily/public.orders": StreamPhase.LIVE,
        "paused/public.orders": StreamPhase.PENDING,
        "weekly/public.items": StreamPhase.LIVE,
    }
    release.ok("sync", "daily")
    release.ok("resume", "weekly")
    release.ok("sync", "weekly")


@pytest.mark.parametrize("command", ["plan", "apply --auto-approve", "sync daily", "reconcile", "status"])
def test_a_state_of_a_newer_format_is_refused_and_left_as_it_is(release: Lab, command: str) -> None:
    with closing(sqlite3.connect(_state(release))) as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE name = 'format'")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = _state(release).read_bytes()
    outcome = release.run(*command.split())
    assert outcome.code == 1
    assert "newer format (999)" in outcome.err
    assert "Upgrade this program" in outcome.err
    assert _state(release).read_bytes() == before
