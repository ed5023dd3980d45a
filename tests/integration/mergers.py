"""Forked writers of one table, killed at a chosen step or racing each other. Run as a program; see `Mergers`.

What a table must hold follows from its position alone, so that after any kill the table can be judged by itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO
from tablelab import OWNER, PLACE, TableLab

from olake_reconcile.destinations.iceberg import maintain as maintenance
from olake_reconcile.destinations.iceberg.change import Conflict, append
from olake_reconcile.destinations.iceberg.merge import merge
from olake_reconcile.model.catalogue import Kind
from olake_reconcile.model.maintenance import Maintenance
from olake_reconcile.model.stream import DeleteMode


def lab_in(folder: Path) -> TableLab:
    columns = {"id": Kind.LONG, "p": Kind.INT, "v": Kind.LONG, "_op_type": Kind.STRING}
    return TableLab(folder, columns, ["p"])


def changes(position: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows and the soft deletes that lead to `position`."""
    touched = [i for i in range(60) if (i * 7 + position * 5) % 11 < 2 + 6 * (i % 3 == 0)]
    rows = [
        {"id": i, "p": (i + position) % 3 if i % 5 == 0 else i % 3, "v": position, "_op_type": "u"}
        for i in touched
    ]
    return rows, [
        {"id": i, "_op_type": "d"} for i in range(60) if i not in touched and i % 13 == position % 13
    ]


def expected(position: int) -> list[dict[str, Any]]:
    """What the table holds at `position`."""
    model = {i: {"id": i, "p": i % 3, "v": 0, "_op_type": "r"} for i in range(60)}
    for step in range(1, position + 1):
        rows, deletes = changes(step)
        model |= {r["id"]: r for r in rows}
        for d in deletes:
            model[d["id"]] = {**model[d["id"]], "_op_type": "d"}
    return list(model.values())


def advance(lab: TableLab) -> int:
    """Take the table from the position where it is to the next one; return that."""
    with lab.change() as (_, change):
        position = 0 if change.position is None else change.position["at"] + 1
    if position == 0:
        lab.append(expected(0), {"at": 0})
    else:
        lab.merge(*changes(position), mode=DeleteMode.SOFT, position={"at": position})
    return position


def race(folder: Path, goal: int, how: str) -> None:
    """Move the table on until it is at `goal`, whoever else does so too."""
    lab = TableLab(folder)
    position = -1
    while position < goal:
        with lab.change() as (catalog, change):
            position = (change.position or {"at": 0})["at"]
            if position >= goal:
                return
            rows = [{"id": position if how == "append" else 0, "v": f"{os.getpid()}"}]
            files = lab.write(change, rows, f"{os.getpid()}")
            try:
                if how == "append":
                    append(catalog, change, files, "run", {"at": position + 1})
                else:
                    merge(catalog, change, files, ["id"], "run", {"at": position + 1})
            except Conflict:
                continue


def maintain(lab: TableLab) -> None:
    """Put the table in order, with no regard to readers of what was."""
    maintenance.maintain(
        lab.house,
        PLACE,
        OWNER,
        Maintenance(keep_days=0, keep_snapshots=2, grace_hours=0),
        "maintenance",
        lab.folder,
        lambda: datetime.now(UTC) + timedelta(seconds=1),
        lambda: False,
    )


def killed_after(steps: int) -> None:
    """Kill this process at the given step; steps are files that are created or deleted, and both sides of the commit."""
    left = [steps]

    def step() -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    def counted(real: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
        def call(*args: Any, **settings: Any) -> Any:
            step()
            found = real(*args, **settings)
            if after:
                step()
            return found

        return call

    PyArrowFile.create = counted(PyArrowFile.create)  # type: ignore[method-assign]
    PyArrowFileIO.delete = counted(PyArrowFileIO.delete)  # type: ignore[method-assign]
    SqlCatalog.commit_table = counted(SqlCatalog.commit_table, after=True)  # type: ignore[method-assign]


def serve() -> None:
    """Read requests, one a line; run each in forked children and answer with their ends."""
    for line in sys.stdin:
        request = json.loads(line)
        children = [_forked(request) for _ in range(request.get("writers", 1))]
        print(json.dumps([os.waitpid(child, 0)[1] for child in children]), flush=True)


def _forked(request: dict[str, Any]) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        folder = Path(request["folder"])
        if request.get("steps") is not None:
            killed_after(request["steps"])
        if request.get("maintain"):
            maintain(lab_in(folder))
        elif "goal" in request:
            race(folder, request["goal"], request["how"])
        else:
            advance(lab_in(folder))
        status = 0
    finally:
        os._exit(status)


class Mergers:
    """The test's side: asks a warm process for forked writers."""

    def __init__(self) -> None:
        path = os.pathsep.join(sys.path)
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def close(self) -> None:
        """Let it end, and wait for it."""
        self._process.communicate()

    def run(self, folder: Path, **request: Any) -> list[int]:
        """Return how each writer ended: 0, or the signal that killed it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"folder": str(folder), **request}) + "\n")
        self._process.stdin.flush()
        found: list[int] = json.loads(self._process.stdout.readline())
        return found


if __name__ == "__main__":
    serve()
