"""Adopting tables in an apply: the marks are written first, then the stream is stored as theirs.

Killed between the two, the table has marks that no stored stream fits: the next plan takes it back by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from olake_reconcile.engine.base import OpenDestination
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.journal import StepKind
from olake_reconcile.model.table import Owner
from olake_reconcile.plan.actions import Action, Create, Import, Update
from olake_reconcile.reconcile.journal import Journal
from olake_reconcile.reconcile.services import Services


def with_uids(apply_id: str, actions: Sequence[Action]) -> list[Action]:
    """Give each adopted stream its uid: that of its table's marks, or one that follows from the apply.

    So a resumed apply gives the same one.
    """
    return [
        action.model_copy(update={"uid": fingerprint([apply_id, str(action.address)])[:8]})
        if isinstance(action, Import) and not action.uid
        else action
        for action in actions
    ]


def adopt_tables(
    services: Services,
    journal: Journal,
    project: str,
    destination: OpenDestination,
    actions: Sequence[Action],
) -> None:
    """Write the marks of the streams into the tables that they adopt, journaled."""
    for action in with_uids(journal.apply_id, actions):
        if not isinstance(action, Import):
            continue
        owner = Owner(
            project=project,
            environment=services.environment,
            job=action.address.name,
            stream=action.uid,
            stream_id=action.address.stream,
            generation=action.generation,
        )
        journal.do(
            StepKind.TABLE_ADOPTED,
            str(action.address),
            partial(services.engine.adopt, destination, action.table, owner),
            {"uid": action.uid},
        )


def destination_name(actions: Sequence[Action]) -> str | None:
    """Return the destination that the actions give their job; None when they leave it as it is."""
    for action in actions:
        if action.address.kind == "job" and isinstance(action, Create | Update):
            return str(action.after["destination"])
    return None
