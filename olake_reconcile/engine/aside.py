"""Rows that the destination may hold already, kept on disk until it is asked."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from olake_reconcile.destinations.iceberg.schema import conform


class Aside:
    """Batches in a file of the run's scratch folder, which goes with it. One thread at a time may write."""

    def __init__(self, scratch: Path, schema: pa.Schema) -> None:
        self._path = scratch / f"aside-{uuid.uuid4().hex}.arrow"
        self._schema = schema
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self.rows = 0

    def take(self, batch: pa.RecordBatch) -> None:
        """Keep the rows of `batch`; columns beyond the table's are ignored."""
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_stream(str(self._path), self._schema, options=options)
        self._writer.write_batch(conform(batch, self._schema))
        self.rows += batch.num_rows

    def finish(self) -> None:
        """Nothing more is kept."""
        if self._writer is not None:
            self._writer.close()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Return what was kept."""
        if self._writer is None:
            return
        with pa.ipc.open_stream(str(self._path)) as reader:
            yield from reader
