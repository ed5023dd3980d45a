"""What `state export` printed, back as a value: for plans where the state itself cannot be reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.names import StreamId, parse_pattern
from olake_reconcile.model.stored import Stored, StoredEndpoint, StoredJob, StoredStream

EXPORT_VERSION = "1.0"


def read_export(document: Any) -> Stored:
    """Return what was exported. Raises `ReconcileError` for another format, or what is no export at all.

    Fingerprints of secrets are never exported: the values behind references are not compared.
    """
    if not isinstance(document, dict) or not isinstance(document.get("resources"), dict):
        raise ReconcileError(
            "the file is no exported state", remedy="Make one with: olake-reconcile state export > state.json"
        )
    version = str(document.get("format_version"))
    if version.split(".", maxsplit=1)[0] != EXPORT_VERSION.split(".", maxsplit=1)[0]:
        raise ReconcileError(
            f"the exported state has format {version[:20]}, this program reads {EXPORT_VERSION}",
            remedy="Export it again with this program: olake-reconcile state export > state.json",
        )
    try:
        return _stored(document["resources"])
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError):
        raise ReconcileError(
            "the exported state is damaged, or a newer program wrote it",
            remedy="Export it again with this program: olake-reconcile state export > state.json",
        ) from None


def _stored(resources: Mapping[str, Any]) -> Stored:
    sources: dict[str, StoredEndpoint] = {}
    destinations: dict[str, StoredEndpoint] = {}
    jobs: dict[str, StoredJob] = {}
    streams: dict[str, dict[StreamId, StoredStream]] = {}
    for address, record in resources.items():
        name, _, kind = parse_pattern(address)
        match kind:
            case "source":
                sources[name] = StoredEndpoint.model_validate(record)
            case "destination":
                destinations[name] = StoredEndpoint.model_validate(record)
            case "stream":
                stream_id = StreamId.parse(record["id"])
                streams.setdefault(name, {})[stream_id] = StoredStream.model_validate(
                    {**record, "id": stream_id}
                )
            case _:
                jobs[name] = StoredJob.model_validate(record)
    if not streams.keys() <= jobs.keys():
        raise ValueError("a stream without its job")
    return Stored(
        exists=bool(resources),
        sources=sources,
        destinations=destinations,
        jobs={n: j.model_copy(update={"streams": streams.get(n, {})}) for n, j in jobs.items()},
    )
