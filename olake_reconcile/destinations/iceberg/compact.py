"""Compaction: the same rows in fewer and fuller files, with the deleted ones left out, in commits of bounded size.

A commit replaces exactly the files that it has read: it goes onto the snapshot that it was worked out against or not at
all, so a merge that was quicker wins, and the work is done again against what the merge left (hazards H-49, H-50). The
table stays at its position.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io import load_file_io

from olake_reconcile.destinations.iceberg.catalog import load_table
from olake_reconcile.destinations.iceberg.commit import Conflict, commit_snapshot
from olake_reconcile.destinations.iceberg.debt import Work, suspects, work
from olake_reconcile.destinations.iceberg.files import DataWriter, TableFormat
from olake_reconcile.destinations.iceberg.live import DELETE_ROWS, LiveFile, delete_rows, live_files
from olake_reconcile.destinations.iceberg.owner import require_ours
from olake_reconcile.destinations.iceberg.position import position_of
from olake_reconcile.destinations.iceberg.position_deletes import PositionDeletes
from olake_reconcile.destinations.iceberg.rows import read_rows
from olake_reconcile.destinations.iceberg.snapshot import change as changed
from olake_reconcile.destinations.iceberg.snapshot import data_file
from olake_reconcile.destinations.iceberg.target import Target, checked
from olake_reconcile.destinations.iceberg.workspace import Workspace, workspace
from olake_reconcile.errors import OutcomeUnknown
from olake_reconcile.model.table import Owner, TablePlace

#: What one commit writes anew, and what one run does: the rest is for the next.
_COMMIT_BYTES: Final = 1 << 30
_RUN_BYTES: Final = 8 << 30
#: How often work that a writer overtook is done again.
_ATTEMPTS: Final = 3


class Stopped(Exception):
    """Somebody asked to stop; what was committed stays, nothing else is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What compaction has done: rows and bytes that were written, files before and after, whether work is left."""

    rows: int = 0
    bytes: int = 0
    files_before: int = 0
    files_after: int = 0
    left: bool = False

    def __add__(self, other: Compacted) -> Compacted:
        """Return both together; what is left is known by the later."""
        return Compacted(
            rows=self.rows + other.rows,
            bytes=self.bytes + other.bytes,
            files_before=self.files_before + other.files_before,
            files_after=self.files_after + other.files_after,
            left=other.left,
        )


def compact(
    catalog: SqlCatalog,
    place: TablePlace,
    owner: Owner,
    target_bytes: int,
    run_id: str,
    scratch: Path | None,
    cancelled: Callable[[], bool],
) -> Compacted:
    """Write anew what is worth it, until nothing is or the run has done its share.

    Raises `Stopped`, `Conflict` when writers were quicker each time, `Blocked` when the table is another's.
    """
    total, conflicts = Compacted(), 0
    while total.bytes < _RUN_BYTES:
        target = found(catalog, place, owner)
        if target is None:
            break
        try:
            with workspace(scratch) as space:
                done = _Compaction(target, space, target_bytes, cancelled).commit(catalog, run_id)
        except Conflict:
            conflicts += 1
            if conflicts == _ATTEMPTS:
                raise
            continue
        if done is None:
            break
        total += done
        if not done.left:
            break
    return total


def found(catalog: SqlCatalog, place: TablePlace, owner: Owner) -> Target | None:
    """Return the table as a commit of maintenance starts from: it stays what it is. Raises `Blocked`."""
    existing = load_table(catalog, place)
    metadata = checked(existing, place, owner)
    if existing is None or metadata is None:
        return None
    schema, spec = metadata.schema(), metadata.spec()
    return Target(
        place=place,
        owner=require_ours(place, existing.properties, owner),
        existing=existing,
        staged=metadata,
        schema=schema,
        format=TableFormat(schema=schema, spec=spec, folder=f"{metadata.location}/data"),
        io=load_file_io(catalog.properties, metadata.location),
        commit_id=uuid.uuid4().hex,
    )


class _Compaction:
    """One commit's worth of work, upon one snapshot."""

    def __init__(
        self, base: Target, space: Workspace, target_bytes: int, cancelled: Callable[[], bool]
    ) -> None:
        self._base = base
        self._space = space
        self._target_bytes = target_bytes
        self._cancelled = cancelled
        self._live = live_files(base.io, base.staged)
        # In order of their paths, as a delete file names them.
        self._data = sorted(self._live.data, key=lambda f: f.path)
        prefix = f"{base.commit_id[:8]}-{uuid.uuid4().hex[:8]}"
        self._writer = DataWriter(base.io, base.format, prefix, target_bytes)
        self._marks = PositionDeletes(base.io, f"{base.format.folder}/{prefix}", [f.path for f in self._data])

    def commit(self, catalog: SqlCatalog, run_id: str) -> Compacted | None:
        """Do the most useful part of the work; return None when there is none."""
        everything = work(self._data, self._dead(), self._target_bytes)
        chosen = _first(everything)
        if not chosen:
            return None
        try:
            return replace(self._commit(catalog, run_id, chosen), left=len(chosen) < len(everything))
        except OutcomeUnknown:
            raise  # what was written may be the table's by now
        except BaseException:
            self._writer.abandon()
            self._marks.abandon()
            raise

    def _dead(self) -> dict[int, int]:
        """Find the deleted rows of all files whose partitions have enough of them."""
        homes = suspects(self._live)
        self._note_dead([d for home in sorted(homes, key=repr) for d in self._live.deletes[home]])
        return dict(self._space.rows("SELECT f, count(*) FROM dead GROUP BY f"))

    def _note_dead(self, deletes: Sequence[LiveFile]) -> None:
        named = pa.record_batch(
            [
                pa.array(range(len(self._data)), pa.int32()),
                pa.array([f.path for f in self._data], pa.string()),
            ],
            ["f", "path"],
        )
        self._space.run(
            "CREATE OR REPLACE TABLE files AS SELECT * FROM batches", {"batches": (named.schema, [named])}
        )
        self._space.run(
            "CREATE OR REPLACE TABLE dead AS SELECT DISTINCT f.f, b.pos AS position "
            "FROM batches b JOIN files f ON b.file_path = f.path",
            {"batches": (DELETE_ROWS, delete_rows(self._base.io, deletes))},
        )

    def _commit(self, catalog: SqlCatalog, run_id: str, chosen: Sequence[Work]) -> Compacted:
        homes = sorted({w.home for w in chosen}, key=repr)
        outdated = [d for home in homes for d in self._live.deletes.get(home, ())]
        self._note_dead(outdated)  # of these partitions all, however few
        removed = [n for w in chosen for n in w.files]
        for number in removed:
            self._rewrite(number)
        self._mark(homes, set(removed))
        files = self._writer.finish()
        if self._cancelled():
            raise Stopped
        added = [*(data_file(f) for f in files), *self._marks.files]
        going: dict[str, list[LiveFile]] = {}
        for file in [*(self._data[n] for n in removed), *outdated]:
            going.setdefault(file.manifest, []).append(file)
        entries = {manifest: [f.entry for f in gone] for manifest, gone in going.items()}
        delta = changed(self._base.io, self._base.staged, added, entries)
        position = position_of(self._base.staged)
        commit_snapshot(catalog, self._base, replace(delta, same_rows=True), run_id, position)
        return Compacted(
            rows=sum(f.statistics.rows for f in files),
            bytes=sum(self._data[n].file.file_size_in_bytes for n in removed),
            files_before=len(removed) + len(outdated),
            files_after=len(added),
        )

    def _rewrite(self, number: int) -> None:
        without = self._space.arrow(f"SELECT position FROM dead WHERE f = {number} ORDER BY position")
        positions = without.column(0).combine_chunks()
        for batch in read_rows(self._base.io, self._data[number].path, self._base.schema, without=positions):
            if self._cancelled():
                raise Stopped
            self._writer.write(batch)
            del batch  # see read_rows

    def _mark(self, homes: Sequence[tuple[int, tuple[object, ...]]], going: set[int]) -> None:
        """Write what the delete files of `homes` say of the files that stay."""
        places = {home: number for number, home in enumerate(homes)}
        staying = [
            (places[f.home], n) for n, f in enumerate(self._data) if f.home in places and n not in going
        ]
        named = pa.record_batch(
            [pa.array([h for h, _ in staying], pa.int32()), pa.array([n for _, n in staying], pa.int32())],
            ["h", "f"],
        )
        self._space.run("CREATE TABLE staying AS SELECT * FROM batches", {"batches": (named.schema, [named])})
        rows = self._space.stream(
            "SELECT s.h, s.f, d.position FROM dead d JOIN staying s USING (f) ORDER BY s.h, s.f, d.position"
        )
        self._marks.write(rows, homes)


def _first(everything: Sequence[Work]) -> list[Work]:
    chosen: list[Work] = []
    for one in everything:
        if chosen and sum(w.size for w in chosen) + one.size > _COMMIT_BYTES:
            break
        chosen.append(one)
    return chosen
