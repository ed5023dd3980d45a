"""A workspace as if it had been applied: what a plan against a git revision starts from.

Nothing is known of what really runs: every stream counts as synced, so that a change which would rebuild it shows;
what servers said they are, the values behind references and how long a load takes are unknown.
"""

from __future__ import annotations

from olake_reconcile.model.codec import place_of
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.endpoint import Endpoint, show_endpoint
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.job import Job, canonical_job, show_job
from olake_reconcile.model.stored import Stored, StoredEndpoint, StoredJob, StoredStream, StreamPhase
from olake_reconcile.model.stream import canonical_stream, show_stream


def as_if_applied(desired: Desired) -> Stored:
    """Return the state that a complete apply of `desired`, and a sync of all its jobs, would leave."""
    return Stored(
        exists=True,
        sources={name: _endpoint(source) for name, source in desired.sources.items()},
        destinations={name: _endpoint(destination) for name, destination in desired.destinations.items()},
        jobs={name: _job(job) for name, job in desired.jobs.items()},
    )


def _endpoint(endpoint: Endpoint) -> StoredEndpoint:
    spec = show_endpoint(endpoint)
    return StoredEndpoint(name=endpoint.name, uid="", spec=spec, fingerprint=fingerprint(spec))


def _job(job: Job) -> StoredJob:
    return StoredJob(
        name=job.name,
        uid="",
        spec=show_job(job),
        fingerprint=fingerprint(canonical_job(job)),
        streams={
            stream_id: StoredStream(
                id=stream_id,
                uid="",
                spec=show_stream(stream),
                fingerprint=fingerprint(canonical_stream(stream)),
                place=place_of(stream),
                phase=StreamPhase.LIVE,
            )
            for stream_id, stream in job.streams.items()
        },
    )
