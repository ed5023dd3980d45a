"""Observed: what runs and the destination show, as far as somebody looked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from olake_reconcile.diagnostics import Diagnostic
from olake_reconcile.model.catalogue import SourceStream
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.table import TablePlace, TableStatus


class ValueState(StrEnum):
    """How the value behind a reference compares with the one that was applied."""

    SAME = "same"
    CHANGED = "changed"
    UNKNOWN = "unknown"  # not set here: not compared (design §3)


class SeenStreams(Mapping[tuple[str, StreamId], SourceStream]):
    """The streams of several sources, by source and stream; none is looked at before somebody asks."""

    def __init__(self, sources: Mapping[str, Mapping[StreamId, SourceStream]]) -> None:
        self._sources = sources

    def __getitem__(self, key: tuple[str, StreamId]) -> SourceStream:
        """Return a stream of a source."""
        return self._sources[key[0]][key[1]]

    def __iter__(self) -> Iterator[tuple[str, StreamId]]:
        """Yield the keys."""
        return ((source, stream) for source, streams in self._sources.items() for stream in streams)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self._sources.values()))


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen. A missing key means that nobody looked.

    `values` maps the path of each reference of an endpoint to its state. `identities` holds what servers said
    of themselves. `tables` is keyed by destination and place, `streams` by source and stream.
    """

    values: Mapping[Address, Mapping[str, ValueState]] = field(default_factory=dict)
    identities: Mapping[Address, str] = field(default_factory=dict)
    tables: Mapping[tuple[str, TablePlace], TableStatus] = field(default_factory=dict)
    streams: Mapping[tuple[str, StreamId], SourceStream] = field(default_factory=dict)
    running: frozenset[str] = frozenset()  # jobs with a sync running now
    bereft: frozenset[str] = frozenset()  # jobs of which a table is gone that a position relies on
    warnings: tuple[Diagnostic, ...] = ()
