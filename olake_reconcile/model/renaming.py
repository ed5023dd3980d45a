"""What a rename means for the records of jobs: one rule for the planner, which foresees it, and the state store."""

from __future__ import annotations

from typing import Literal

from olake_reconcile.model.codec import read_job
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.job import canonical_job
from olake_reconcile.model.stored import MODEL_VERSION, StoredJob


def with_endpoint(job: StoredJob, kind: Literal["source", "destination"], name: str) -> StoredJob:
    """Return the job with its source or destination called `name`."""
    spec = {**job.spec, kind: name}
    meaning = fingerprint(canonical_job(read_job(job.name, spec)))
    return job.model_copy(update={"spec": spec, "fingerprint": meaning, "model_version": MODEL_VERSION})


def split_off(job: StoredJob, name: str) -> StoredJob:
    """Return what a new job starts as when streams of `job` move to it: the same settings, no streams yet.

    The uid follows from the two jobs, so that whoever foresees it and whoever does it agree.
    """
    return StoredJob(
        name=name,
        uid=fingerprint([job.uid, name])[:8],
        spec=job.spec,
        fingerprint=job.fingerprint,
        model_version=job.model_version,
        serial=1,
    )
