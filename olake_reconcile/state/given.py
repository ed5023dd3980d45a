"""A state that was given as a value: read from a file, or made up from a revision. Nothing can be written to it."""

from __future__ import annotations

from pathlib import Path

from olake_reconcile.model.stored import Stored
from olake_reconcile.state.store import SqlStore

_NOWHERE = Path("/dev/null/given")  # no file can be made below a device


class GivenState(SqlStore):
    """A store that does not exist, and reads as such (no key, no runs, no leases), but for what was applied."""

    def __init__(self, stored: Stored) -> None:
        super().__init__("sqlite:///state.db", _NOWHERE)
        self._stored = stored

    def read(self, job: str | None = None) -> Stored:
        """Return everything that was given; with `job`, of the jobs only that one."""
        if job is None:
            return self._stored
        jobs = {name: found for name, found in self._stored.jobs.items() if name == job}
        return self._stored.model_copy(update={"jobs": jobs})
