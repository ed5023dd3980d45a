"""Explaining one job, stream, source or destination (design §10): what is, why, and what happens next, with evidence.

Reads the state and the files, connects to nothing, changes nothing.
"""

from __future__ import annotations

from olake_reconcile.errors import UsageError
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.names import Address, parse_address
from olake_reconcile.reconcile.explain_endpoint import explain_endpoint
from olake_reconcile.reconcile.explain_job import explain_job
from olake_reconcile.reconcile.explain_stream import explain_stream
from olake_reconcile.reconcile.explanation import Explanation
from olake_reconcile.reconcile.services import Services


def explain(services: Services, desired: Desired | None, text: str) -> Explanation:
    """Return what there is to say about the address `text`. `desired` is None when the files have mistakes.

    Raises `UsageError` for what is neither stored nor in the files.
    """
    try:
        address = parse_address(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
    explanation = _explain(services, desired, address)
    if explanation is None:
        raise UsageError(
            f"{address.short} was never applied, and no file declares it",
            remedy="See `olake-reconcile status` for jobs, `status --sources` for sources and destinations.",
        )
    return explanation


def _explain(services: Services, desired: Desired | None, address: Address) -> Explanation | None:
    match address.kind:
        case "job":
            return explain_job(services, desired, address)
        case "stream":
            return explain_stream(services, desired, address)
        case "source" | "destination":
            return explain_endpoint(services, desired, address)
