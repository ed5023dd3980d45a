"""Merging rows into a table by key, in one commit: new rows replace those of the same key, deleted keys go.

Rows are found by `locate`. A file that loses few of its rows is left as it is, and a delete file names their positions;
one that loses many is written anew without them; one that loses all leaves the table. Small files of earlier merges are
written as one once there are enough of them (`folding`). All this is worked out against the table as it is at the commit,
and worked out again when maintenance came first.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import ManifestEntry
from pyiceberg.schema import Schema

from olake_reconcile.destinations.iceberg.change import Change, move, on_latest
from olake_reconcile.destinations.iceberg.commit import commit_snapshot
from olake_reconcile.destinations.iceberg.files import DataWriter, TableFormat, WrittenFile
from olake_reconcile.destinations.iceberg.folding import to_fold
from olake_reconcile.destinations.iceberg.live import (
    DELETE_ROWS,
    Home,
    LiveFile,
    delete_rows,
    live_files,
)
from olake_reconcile.destinations.iceberg.locate import key_schema, load_keys, locate
from olake_reconcile.destinations.iceberg.position_deletes import PositionDeletes
from olake_reconcile.destinations.iceberg.rows import POSITION, read_rows
from olake_reconcile.destinations.iceberg.schema import arrow_schema, conform_array
from olake_reconcile.destinations.iceberg.snapshot import change as changed
from olake_reconcile.destinations.iceberg.snapshot import data_file
from olake_reconcile.destinations.iceberg.workspace import Workspace, workspace
from olake_reconcile.errors import OutcomeUnknown
from olake_reconcile.model.stream import DeleteMode

#: A file that has lost more than this share of its rows is written anew: each reader would pay for the rest of its life.
REWRITTEN_SHARE: Final = 0.3
_TOMBSTONES: Final = 10_000


def upsert(
    catalog: SqlCatalog,
    change: Change,
    files: Sequence[WrittenFile],
    key: Sequence[str],
    run_id: str,
    position: Mapping[str, Any],
) -> int | None:
    """Add the rows of `files`; the table's rows with the same values in `key` (destination names) go.

    Each key comes at most once in `files`. Everything else is as with `merge`.
    """
    return merge(catalog, change, files, key, run_id, position)


def merge(
    catalog: SqlCatalog,
    change: Change,
    files: Sequence[WrittenFile],
    key: Sequence[str],
    run_id: str,
    position: Mapping[str, Any],
    *,
    deletes: pa.Table | None = None,
    mode: DeleteMode = DeleteMode.HARD,
    tombstones: bool = False,
) -> int | None:
    """Add the rows of `files` in place of those with the same key, and delete the keys in `deletes`, in one commit.

    `deletes` has the key's columns under their destination names. With `DeleteMode.SOFT` the last image of a deleted row
    stays, with the values that `deletes` has in further columns (`_op_type`, `_olake_timestamp`, …). A key that the table
    does not hold is passed over, or with `tombstones` becomes a row of what `deletes` has, all else NULL. No key comes
    twice. Returns the snapshot's id, None when no snapshot was needed.

    Raises `Conflict`, `OutcomeUnknown` (keep the files, they may be the table's), `ReconcileError` when a key column is
    missing or the catalog refused. Memory is bounded; what an attempt wrote besides `files` is gone after a failure.
    """
    fields = key_schema(change, key)
    if not files and (deletes is None or not deletes.num_rows):
        move(catalog, change, position)
        return None

    def attempt(base: Change) -> int | None:
        with workspace(base.scratch) as space:
            load_keys(space, base, fields, files, deletes)
            work = _Merge(base, space, files, deletes, mode, tombstones=tombstones)
            try:
                locate(space, base, fields, work.data, _only_homes(base, fields, files, deletes))
                return work.commit(catalog, run_id, position)
            except OutcomeUnknown:
                raise  # what was written may be the table's by now
            except BaseException:
                work.abandon()
                raise

    return on_latest(catalog, change, attempt)


@dataclass(frozen=True, slots=True)
class _Loss:
    """What one file loses: rows that go now, and rows that were deleted before."""

    hits: int
    dead: int


class _Merge:
    """One attempt, upon one snapshot."""

    def __init__(
        self,
        base: Change,
        space: Workspace,
        files: Sequence[WrittenFile],
        deletes: pa.Table | None,
        mode: DeleteMode,
        *,
        tombstones: bool,
    ) -> None:
        self._base = base
        self._space = space
        self._files = files
        self._deletes = deletes
        self._soft = mode is DeleteMode.SOFT
        self._tombstones = tombstones
        self._folded: set[int] = set()
        self._live = live_files(base.io, base.staged)
        # In order of their paths, as a delete file names them.
        self.data = sorted(self._live.data, key=lambda f: f.path)
        prefix = f"{base.commit_id[:8]}-{uuid.uuid4().hex[:8]}"
        format_ = TableFormat(schema=base.schema, spec=base.format.spec, folder=base.format.folder)
        self._writer = DataWriter(base.io, format_, prefix)
        folder = f"{base.staged.location}/data"
        self._marks = PositionDeletes(base.io, f"{folder}/{prefix}", [f.path for f in self.data])

    def abandon(self) -> None:
        self._writer.abandon()
        self._marks.abandon()

    def commit(self, catalog: SqlCatalog, run_id: str, position: Mapping[str, Any]) -> int | None:
        losses = self._losses()
        if self._deletes is not None:
            if self._soft:
                self._keep_images(losses, self._deletes)
            if self._tombstones:
                self._add_tombstones(self._deletes)
        removed = self._rewrite(losses)
        outdated = self._mark(losses, removed)
        added = [*(data_file(f) for f in (*self._files, *self._writer.finish())), *self._marks.files]
        if not added and not removed:
            move(catalog, self._base, position)
            return None
        going = _by_manifest([*(self.data[i] for i in removed), *outdated])
        delta = changed(self._base.io, self._base.staged, added, going)
        return commit_snapshot(catalog, self._base, delta, run_id, position)

    def _losses(self) -> dict[int, _Loss]:
        """Find out what each file loses; leave in `hits` only rows that were still there, in `dead` the others."""
        space = self._space
        touched = {self.data[i].home for (i,) in space.rows("SELECT DISTINCT f FROM hits")}
        self._folded = to_fold(self.data, touched | {(f.spec_id, f.key) for f in self._files})
        touched |= {self.data[i].home for i in self._folded}
        inside = [(i, f.path) for i, f in enumerate(self.data) if f.home in touched]
        named = pa.record_batch(
            [pa.array([i for i, _ in inside], pa.int32()), pa.array([p for _, p in inside], pa.string())],
            ["f", "path"],
        )
        space.run("CREATE TABLE files AS SELECT * FROM batches", {"batches": (named.schema, [named])})
        rows = delete_rows(
            self._base.io, (d for home in sorted(touched, key=repr) for d in self._live.deletes.get(home, ()))
        )
        space.run(
            "CREATE TABLE dead AS SELECT DISTINCT f.f, b.pos AS position "
            "FROM batches b JOIN files f ON b.file_path = f.path",
            {"batches": (DELETE_ROWS, rows)},
        )
        space.run(
            "CREATE TABLE fresh AS SELECT x.f, x.position, x.n FROM hits x "
            "ANTI JOIN dead d ON d.f = x.f AND d.position = x.position",
            {},
        )
        hits = dict(space.rows("SELECT f, count(*) FROM fresh GROUP BY f"))
        dead = dict(space.rows("SELECT f, count(*) FROM dead GROUP BY f"))
        return {i: _Loss(hits.get(i, 0), dead.get(i, 0)) for i in sorted(hits.keys() | self._folded)}

    def _keep_images(self, losses: Mapping[int, _Loss], deletes: pa.Table) -> None:
        """Write the last image of every row that is deleted softly, with the values that its deletion brings."""
        for number in losses:
            found = self._space.arrow(
                f"SELECT position, n FROM fresh WHERE f = {number} AND n IS NOT NULL ORDER BY position"
            )
            if not found.num_rows:
                continue
            positions, deletions = (found.column(i).combine_chunks() for i in (0, 1))
            for batch in read_rows(self._base.io, self.data[number].path, self._base.schema, only=positions):
                which = deletions.take(pc.index_in(batch.column(POSITION), value_set=positions))
                self._writer.write(_marked(batch, deletes.take(which)))

    def _add_tombstones(self, deletes: pa.Table) -> None:
        """Write a row for every deleted key that the table does not hold."""
        unknown = self._space.arrow(
            "SELECT n FROM keys WHERE n IS NOT NULL AND n NOT IN (SELECT n FROM fresh WHERE n IS NOT NULL) ORDER BY n"
        ).column(0)
        arrow = arrow_schema(self._base.schema)
        for start in range(0, len(unknown), _TOMBSTONES):
            chosen = deletes.take(unknown.slice(start, _TOMBSTONES))
            nulls = [pa.nulls(chosen.num_rows, f.type) for f in arrow]
            self._writer.write(_marked(pa.RecordBatch.from_arrays(nulls, schema=arrow), chosen))

    def _rewrite(self, losses: Mapping[int, _Loss]) -> list[int]:
        """Write anew what is left of files that lose many rows or are folded; return the files that leave the table."""
        removed = []
        for number, loss in losses.items():
            file = self.data[number]
            gone = loss.hits + loss.dead
            if number not in self._folded and gone <= file.file.record_count * REWRITTEN_SHARE:
                continue
            removed.append(number)
            if gone < file.file.record_count:
                positions = self._space.arrow(
                    f"SELECT position FROM fresh WHERE f = {number} UNION ALL "
                    f"SELECT position FROM dead WHERE f = {number} ORDER BY position"
                )
                left = positions.column(0).combine_chunks()
                for batch in read_rows(self._base.io, file.path, self._base.schema, without=left):
                    self._writer.write(batch)
                    del batch  # see read_rows
        return removed

    def _mark(self, losses: Mapping[int, _Loss], removed: Sequence[int]) -> list[LiveFile]:
        """Write delete files for the rows that go from files that stay; return the delete files that these replace."""
        going = set(removed)
        marked = {self.data[i].home for i in losses if i not in going}
        marked |= {self.data[i].home for i in removed if losses[i].dead}
        if not marked:
            return []
        homes = sorted(marked, key=repr)
        places = {home: number for number, home in enumerate(homes)}
        staying = [
            (places[f.home], i) for i, f in enumerate(self.data) if f.home in places and i not in going
        ]
        named = pa.record_batch(
            [pa.array([h for h, _ in staying], pa.int32()), pa.array([i for _, i in staying], pa.int32())],
            ["h", "f"],
        )
        self._space.run("CREATE TABLE staying AS SELECT * FROM batches", {"batches": (named.schema, [named])})
        rows = self._space.stream(
            "SELECT s.h, s.f, x.position FROM (SELECT f, position FROM dead UNION ALL SELECT f, position FROM fresh) x "
            "JOIN staying s USING (f) ORDER BY s.h, s.f, x.position"
        )
        self._marks.write(rows, homes)
        return [d for home in homes for d in self._live.deletes.get(home, ())]


def _marked(rows: pa.RecordBatch, deletions: pa.Table) -> pa.RecordBatch:
    """Put what `deletions` has in place of what `rows` has; row by row they belong together."""
    arrays = [
        conform_array(deletions.column(f.name).combine_chunks(), f.type, f.name)
        if f.name in deletions.column_names
        else rows.column(f.name)
        for f in rows.schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=rows.schema)


def _only_homes(
    base: Change, key: Schema, files: Sequence[WrittenFile], deletes: pa.Table | None
) -> set[Home] | None:
    """Return the only places where rows with the keys of `files` can be; None when they may be anywhere.

    A key stays in its partition for ever when the partitioning depends on nothing but the key (H-22).
    """
    sources = {f.source_id for spec in base.staged.partition_specs for f in spec.fields}
    if deletes is not None or not sources or len(base.staged.partition_specs) > 1:
        return None
    # Other values may be read back as another type of Python's than they were written as.
    plain = all(isinstance(value, (int, str, NoneType)) for f in files for value in f.key)
    return {(f.spec_id, f.key) for f in files} if plain and sources <= key.field_ids else None


def _by_manifest(files: Sequence[LiveFile]) -> dict[str, list[ManifestEntry]]:
    found: dict[str, list[ManifestEntry]] = {}
    for file in files:
        found.setdefault(file.manifest, []).append(file.entry)
    return found
