"""Observed: what runs and the destination show, as far as somebody looked."""

from __future__ import annotations

from collections.abc import Mapping
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
    warnings: tuple[Diagnostic, ...] = ()
