"""A block of job settings (a job, the project's `job_defaults`) as values, and how blocks are laid over each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from olake_reconcile.model.job import Retry, Runtime
from olake_reconcile.spec import supported
from olake_reconcile.spec.grammar import read_database, read_duration, read_schedule, read_timezone
from olake_reconcile.spec.node import Map
from olake_reconcile.spec.report import Document
from olake_reconcile.spec.settings import Settings, read_settings
from olake_reconcile.spec.shape import Checked
from olake_reconcile.spec.windows import read_windows

_ADDING = frozenset({"labels", "protect", "retry"})
# What the job's block gives its streams beside `stream_defaults`, which is nearer to them.
_FOR_STREAMS = ("protect", "destination_database")


@dataclass(frozen=True, slots=True)
class JobLayer:
    """What one block says about a job, by the model's field names, and what it gives the job's streams."""

    values: Mapping[str, Any] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    streams: Settings = field(default_factory=Settings)

    def over(self, outer: JobLayer) -> JobLayer:
        """Return this layer laid over `outer`; maps that add up are merged key by key."""
        values = {**outer.values, **self.values}
        for key in _ADDING & self.values.keys():
            if self.values[key] is not None:
                values[key] = {**(outer.values.get(key) or {}), **self.values[key]}
        broken = (outer.broken - self.values.keys()) | self.broken
        return JobLayer(values, broken, self.streams.over(outer.streams))


def read_layer(document: Document, block: Map, checked: Checked, prefix: tuple[str, ...] = ()) -> JobLayer:
    """Return what the block at `prefix` says about jobs; keys that are no job settings are passed over."""
    values: dict[str, Any] = {}
    broken = set(checked.broken_keys(*prefix))
    for key in _READERS.keys() & block.keys():
        given = block[key]
        value = None if given is None else _READERS[key](document, block, key)
        if value is None and given is not None:
            broken.add(key)
        else:
            values[key] = value
    supported.refuse(document, block, supported.JOB)
    streams = Settings(
        {k: values[k] for k in _FOR_STREAMS if k in values}, frozenset(broken & set(_FOR_STREAMS))
    )
    values.pop("destination_database", None)
    if isinstance(defaults := block.get("stream_defaults"), Map):
        wrong = checked.broken_keys(*prefix, "stream_defaults")
        streams = read_settings(document, defaults, wrong).over(streams)
    return JobLayer(values, frozenset(broken), streams)


def _plain(document: Document, block: Map, key: str) -> Any:
    return block[key]


def _duration(document: Document, block: Map, key: str) -> int | None:
    return read_duration(document, block[key], block.value_offset(key))


def _retry(document: Document, block: Map, key: str) -> dict[str, int] | None:
    retry: Map = block[key]
    given: dict[str, int] = {}
    if retry.get("attempts") is not None:
        given["attempts"] = retry["attempts"]
    if retry.get("backoff") is not None:
        backoff = _duration(document, retry, "backoff")
        if backoff is None:
            return None
        if not 1 <= backoff <= 86_400:
            document.error(retry.value_offset("backoff"), "out-of-range", "'backoff' is between 1s and 1d")
            return None
        given["backoff"] = backoff
    return given


def _timeout(document: Document, block: Map, key: str) -> int | None:
    seconds = _duration(document, block, key)
    if seconds == 0:
        document.error(block.value_offset(key), "out-of-range", "'timeout' is 1s or more")
        return None
    return seconds


def _staleness(document: Document, block: Map, key: str) -> int | None:
    seconds = _duration(document, block, key)
    if seconds is not None and seconds < 60:
        document.error(block.value_offset(key), "out-of-range", "'max_staleness' is 1m or more")
        return None
    return seconds


def retry_of(values: Mapping[str, Any]) -> Retry | None:
    """Return a merged `retry`, None when there is none."""
    given = values.get("retry")
    return None if given is None else Retry(**given)


_READERS: dict[str, Callable[[Document, Map, str], Any]] = {
    "source": _plain,
    "destination": _plain,
    "schedule": lambda d, b, k: read_schedule(d, b[k], b.value_offset(k)),
    "timezone": lambda d, b, k: read_timezone(d, b[k], b.value_offset(k)),
    "active": _plain,
    "owner": _plain,
    "labels": lambda d, b, k: dict(b[k]),
    "runtime": lambda d, b, k: Runtime(b[k]),
    "retry": _retry,
    "timeout": _timeout,
    "jitter": _duration,
    "max_staleness": _staleness,
    "windows": read_windows,
    "destination_database": lambda d, b, k: read_database(d, b[k], b.value_offset(k)),
    "protect": lambda d, b, k: {key: bool(value) for key, value in b[k].items()},
}
