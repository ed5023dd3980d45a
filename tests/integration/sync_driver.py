"""A warm process that forks one child per run of the engine, so that a kill costs a fork and no start of Python.

python tests/integration/sync_driver.py      one JSON request a line on stdin; the child's pid, then its status on stdout
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class SyncDriver:
    """The test's side: start a run, and kill it."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'demo'}"}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )

    def start(self, request: dict[str, Any]) -> int:
        """Start one run; return its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def wait(self) -> int:
        """Return how the run ended: 0, or the negative signal."""
        return int(self._answer())

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the driver died"
        return line


def _run(request: dict[str, Any]) -> None:
    from olake_reconcile.engine import first_load
    from olake_reconcile.engine.base import OpenDestination, OpenSource, StreamTask, SyncRequest
    from olake_reconcile.engine.embedded import EmbeddedEngine
    from olake_reconcile.model.config import IcebergConfig, PostgresConfig
    from olake_reconcile.model.event import StreamCommitted
    from olake_reconcile.model.stream import Stream
    from olake_reconcile.model.table import Owner, TablePlace
    from olake_reconcile.sources.postgres import chunks

    chunks.CHUNK_BYTES = chunks.SPLIT_ABOVE = request["chunk_bytes"]
    first_load.CHECKPOINT_SECONDS = first_load.CHECKPOINT_SHARE = 0.0
    folder = Path(request["folder"])
    scratch = folder / f"scratch-{os.getpid()}"
    scratch.mkdir()
    stream = Stream.model_validate(request["stream"])
    catalog = IcebergConfig(
        catalog_type="jdbc", jdbc_url="jdbc:sqlite:warehouse/catalog.db", iceberg_s3_path="warehouse"
    )
    events: list[Any] = []
    task = StreamTask(
        stream=stream,
        place=TablePlace(database=stream.destination_database, table=stream.destination_table),
        owner=Owner.model_validate(request["owner"]),
    )
    EmbeddedEngine().sync(
        SyncRequest(
            run_id=f"run-{os.getpid()}",
            source=OpenSource(name="shop", config=PostgresConfig.model_validate(request["source"])),
            destination=OpenDestination(name="lake", config=catalog, base=folder),
            tasks=(task,),
            threads=2,
            scratch=scratch,
        ),
        events.append,
        lambda: False,
    )
    assert isinstance(events[-1], StreamCommitted), events[-1]


def _serve() -> None:
    import duckdb  # noqa: F401
    import psycopg  # noqa: F401

    from olake_reconcile.engine import incremental  # noqa: F401

    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                _run(json.loads(line))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
