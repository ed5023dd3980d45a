"""Finding drift: what is stored beside what was seen. What nobody looked at is counted, not guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from olake_reconcile.model.catalogue import Kind, SourceColumn, SourceStream
from olake_reconcile.model.codec import read_stream
from olake_reconcile.model.names import Address
from olake_reconcile.model.naming import column_name
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.partition import PartitionField
from olake_reconcile.model.stored import Stored, StoredJob, StoredStream, StreamPhase
from olake_reconcile.model.stream import Stream, SyncMode
from olake_reconcile.model.table import Owner, TableAbsent, TableFacts, TableTrace
from olake_reconcile.plan.drift import HEALED, MOST_ROUNDS, Drift, DriftKind, DriftReport


def find_drift(
    stored: Stored,
    observed: Observed,
    project: str,
    environment: str,
    *,
    addresses: Sequence[Address] | None = None,
    heals: bool = False,
    stopped: frozenset[str] = frozenset(),
) -> DriftReport:
    """Compare what is stored with what was seen; only `addresses` (jobs, streams) if some are given.

    `heals` is the project's `self_heal`; `stopped` are the keys of what is healed no more.
    """
    chosen = None if addresses is None else set(addresses)
    found: list[Drift] = []
    counts = {"tables": 0, "tables_unseen": 0, "streams": 0, "streams_unseen": 0}
    for name, job in sorted(stored.jobs.items()):
        whole = chosen is None or Address("job", name) in chosen
        if whole and job.hold is not None:
            found.append(_held(job))
        for id_, stream in sorted(job.streams.items()):
            address = Address.of_stream(name, id_)
            if stream.phase is StreamPhase.REMOVED or not (whole or address in (chosen or ())):
                continue
            look = _Look(address, job, stream, observed, project, environment)
            counts["tables" if look.status is not None else "tables_unseen"] += 1
            counts["streams" if look.catalogued else "streams_unseen"] += 1
            found += look.drift()
    return DriftReport(found=tuple(_with_healing(d, heals, stopped) for d in found), **counts)


def _with_healing(drift: Drift, heals: bool, stopped: frozenset[str]) -> Drift:
    if drift.kind not in HEALED:
        return drift
    if drift.key in stopped:
        remedy = (
            f"it came back {MOST_ROUNDS} times: find out who else manages the table; it is healed no more"
        )
        return drift.model_copy(update={"healing": "stopped", "remedy": remedy})
    if heals:
        return drift.model_copy(update={"healing": "automatic", "remedy": "the loop puts it right"})
    return drift


def _held(job: StoredJob) -> Drift:
    assert job.hold is not None
    hold = job.hold
    why = f": {hold.why}" if hold.why else ""
    until = f", until {hold.until:%Y-%m-%d %H:%M} UTC" if hold.until else ""
    return Drift(
        address=str(Address("job", job.name)),
        kind=DriftKind.HELD,
        message=f"held by {hold.who} since {hold.since:%Y-%m-%d %H:%M} UTC{until}{why}",
        remedy=f"olake-reconcile resume {job.name}",
        healing="none",
    )


class _Look:
    """One stream: what is stored of it beside what was seen."""

    def __init__(
        self,
        address: Address,
        job: StoredJob,
        stream: StoredStream,
        observed: Observed,
        project: str,
        environment: str,
    ) -> None:
        self.address = address
        self.stored = stream
        self.expected = Owner(
            project=project,
            environment=environment,
            job=job.name,
            stream=stream.uid,
            generation=stream.generation,
            stream_id=str(stream.id),
        )
        self.status = observed.tables.get((str(job.spec.get("destination")), stream.place))
        source = str(job.spec.get("source"))
        self.catalogued = Address("source", source) in observed.identities
        self.offered = observed.streams.get((source, stream.id)) if self.catalogued else None

    def drift(self) -> Iterator[Drift]:
        settings = read_stream(self.stored.id, self.stored.spec)
        trace = None
        match self.status:
            case TableAbsent() if self.stored.phase.has_data and self.stored.phase is not StreamPhase.LOADING:
                yield self._said(
                    DriftKind.TABLE_GONE,
                    f"the table {self.stored.place} is gone",
                    remedy=f"if nobody can bring it back: olake-reconcile apply --replace {self.address.short}",
                )
            case TableFacts() if self.stored.phase.has_data:
                trace = self.status.trace
                yield from self._table(self.status, trace, settings)
            case _:
                pass
        if self.catalogued:
            yield from self._source(settings, trace)

    def _said(self, kind: DriftKind, message: str, **given: Any) -> Drift:
        return Drift(address=str(self.address), kind=kind, message=message, **given)

    # The table

    def _table(self, facts: TableFacts, trace: TableTrace | None, settings: Stream) -> Iterator[Drift]:
        place, owner = self.stored.place, facts.owner
        if owner is None and (trace is None or not trace.runs):
            yield self._said(
                DriftKind.TABLE_REPLACED,
                f"another table stands at {place}: it has no marks of ours, and no commit",
                remedy="find out whose it is: runs refuse it",
            )
            return
        if owner is None:
            yield self._said(
                DriftKind.MARKS_LOST,
                f"the marks on {place} that say whose it is are gone or damaged: runs refuse it",
                remedy="set safety.self_heal: true, and the loop writes them again",
            )
        elif _identity(owner) != _identity(self.expected):
            yield self._said(
                DriftKind.TABLE_TAKEN,
                f"{place} bears the marks of another owner: {_owner_words(owner)}",
                found=owner.model_dump(),
                remedy="decide whose it is: give this stream another destination_table, or take it from the other",
            )
            return
        if trace is not None:
            yield from self._edits(trace, settings)

    def _edits(self, trace: TableTrace, settings: Stream) -> Iterator[Drift]:
        place = self.stored.place
        if trace.settings:
            names = ", ".join(sorted(trace.settings))
            yield self._said(
                DriftKind.SETTINGS_CHANGED,
                f"properties of {place} were changed: {names}",
                expected={k: v[0] for k, v in sorted(trace.settings.items())},
                found={k: v[1] for k, v in sorted(trace.settings.items())},
                remedy="set safety.self_heal: true, and the loop sets them again",
            )
        partition = [
            str(PartitionField(f.transform, self._column(f.column, settings), f.width))
            for f in settings.partition_by
        ]
        # An edit that has not been loaded yet is ours: the stream would be pending.
        if trace.runs and list(trace.partition_by) != partition:
            yield self._said(
                DriftKind.PARTITION_CHANGED,
                f"{place} is partitioned otherwise than its stream says",
                expected=partition,
                found=list(trace.partition_by),
                remedy=self._comes_back(settings, "puts it back; older files stay as they are"),
            )
        if trace.schema_edits:
            yield self._said(
                DriftKind.SCHEMA_CHANGED,
                f"the schema of {place} was altered: {'; '.join(trace.schema_edits)}",
                found=list(trace.schema_edits),
                remedy=self._comes_back(
                    settings, "goes on where it can; values of a dropped column are lost"
                ),
            )
        if trace.rolled_back:
            yield self._said(
                DriftKind.ROLLED_BACK,
                f"{place} was rolled back: our last commit is not behind it any more",
                remedy=self._comes_back(settings, "goes on from the position that the table shows now"),
            )
        if trace.foreign:
            yield self._said(
                DriftKind.FOREIGN_COMMITS,
                f"others committed to {place} since our last commit: {'; '.join(trace.foreign)}",
                found=list(trace.foreign),
                remedy=self._comes_back(settings, "keeps their rows: find out who writes"),
            )

    def _comes_back(self, settings: Stream, otherwise: str) -> str:
        """A full refresh replaces schema, partitioning and rows."""
        if settings.sync_mode is SyncMode.FULL_REFRESH:
            return "the next run replaces all of it"
        return f"the next run {otherwise}"

    @staticmethod
    def _column(name: str, settings: Stream) -> str:
        return column_name(name, use_source_column_names=settings.use_source_column_names)

    # The source

    def _source(self, settings: Stream, trace: TableTrace | None) -> Iterator[Drift]:
        offered = self.offered
        if offered is None:
            yield self._said(
                DriftKind.SOURCE_TABLE_GONE,
                f"the source has no {self.stored.id} any more, or does not let us read it",
                remedy="bring it back or grant SELECT; else take the stream out of its file",
            )
            return
        if gone := sorted({c for c in _needed(settings) if offered.column(c) is None}):
            yield self._said(
                DriftKind.SOURCE_COLUMN_GONE,
                f"{self.stored.id} has no column {', '.join(gone)} any more, which its settings use",
                expected=gone,
                remedy="bring it back, or change the settings that use it",
            )
        columns = trace.columns if trace is not None and settings.normalization else {}
        if changed := sorted(self._retyped(offered, columns, settings)):
            yield self._said(
                DriftKind.SOURCE_TYPE_CHANGED,
                f"columns of {self.stored.id} have another type now: "
                + "; ".join(f"{name} is {new}, the table has {old}" for name, old, new in changed),
                expected={name: old for name, old, _ in changed},
                found={name: new for name, _, new in changed},
                remedy="the next run brings it"
                if settings.sync_mode is SyncMode.FULL_REFRESH
                else f"only a rebuild helps: olake-reconcile apply --replace {self.address.short}",
            )

    def _retyped(
        self, offered: SourceStream, columns: dict[str, str], settings: Stream
    ) -> Iterator[tuple[str, str, str]]:
        for column in offered.columns:
            known = columns.get(self._column(column.name, settings))
            if known is not None and settings.columns.selects(column.name) and not _fits(column, known):
                yield column.name, known, column.type


_WIDENS = {Kind.INT: Kind.LONG, Kind.FLOAT: Kind.DOUBLE}


def _fits(column: SourceColumn, known: str) -> bool:
    """Whether the table's column holds the source's values, or can be widened so that it does; text holds all."""
    base, kind = known.partition("(")[0].partition("<")[0], column.kind
    if kind is None or base in (kind.value, Kind.STRING.value):
        return True
    return any({base, kind.value} == {narrow.value, wide.value} for narrow, wide in _WIDENS.items())


def _needed(settings: Stream) -> Iterator[str]:
    """Yield the source columns that a stream's settings name: it cannot be read without them."""
    yield from filter(None, (settings.cursor, settings.fallback_cursor, settings.chunk_column))
    yield from settings.columns.include or ()
    yield from (f.column for f in settings.partition_by)
    if settings.filter is not None:
        yield from settings.filter.columns()


def _identity(owner: Owner) -> tuple[str, str, str, int]:
    """A table keeps its stream through renames of the job: its name does not count."""
    return owner.project, owner.environment, owner.stream, owner.generation


def _owner_words(owner: Owner) -> str:
    return f"project {owner.project}, environment {owner.environment}, job {owner.job}, generation {owner.generation}"
