"""What an explanation is made of: sentences by topic, each with where it can be looked up and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from typing import Any

from pydantic import Field

from olake_reconcile.model.base import Model
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.names import Address
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.stored import Stored
from olake_reconcile.plan.actions import Action, Rebuild, Remove
from olake_reconcile.plan.plan import build_plan
from olake_reconcile.plan.words import counted


class Topic(StrEnum):
    """What a sentence is about; the value is the word that stands before it."""

    NOW = "Now"
    NEXT = "Next run"
    SCHEDULE = "Schedule"
    HOLD = "Held"
    INACTIVE = "Inactive"
    QUEUE = "Queue"
    LOOP = "Loop"
    LAST = "Last run"
    FAILURE = "Failure"
    RETRY = "Retry"
    FILES = "Files"
    CONSENT = "Consent"
    PHASE = "Phase"
    FRESH = "Data"
    POSITION = "Position"
    COST = "Rebuild"
    LEASE = "Lease"
    USE = "Used by"
    IDENTITY = "Identity"


class Statement(Model):
    """One or more sentences. `at` is a file and line or a run; `remedy` a line to paste; `facts` the same for programs."""

    topic: Topic
    text: str
    at: str = ""
    remedy: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class Explanation(Model):
    """Everything that is to be said of one address; `headline` is the answer in one sentence."""

    address: str
    kind: str
    headline: str
    statements: tuple[Statement, ...]


def said_of_files(
    desired: Desired | None, stored: Stored, address: Address, *, place: str
) -> Iterator[Statement]:
    """Yield how the files differ from what was applied, and what of that waits for consent. Connects to nothing."""
    if desired is None:
        text = "The files have mistakes, so what they want is unknown; runs use what was applied."
        yield Statement(topic=Topic.FILES, text=text, remedy="olake-reconcile validate")
        return
    actions = changes_of(desired, stored, address)
    if not actions:
        yield Statement(topic=Topic.FILES, text="The files say what was applied.", at=place)
        return
    clears = [a for a in actions if isinstance(a, Rebuild | Remove)]
    what = f"; {counted(len(clears), 'of them clears', 'of them clear')} data" if clears else ""
    yield Statement(
        topic=Topic.FILES,
        text=f"The files differ from what was applied: {counted(len(actions), 'change')}{what}. Runs use what was applied.",
        at=place,
        remedy="olake-reconcile plan",
        facts={"changes": [{"address": str(a.address), "action": a.action} for a in actions]},
    )
    for action in actions:
        for block in action.blocked:
            remedy = block.remedy + (f"\nor commit: {block.approval}" if block.approval else "")
            yield Statement(topic=Topic.CONSENT, text=sentence(block.message), remedy=remedy)


def changes_of(desired: Desired, stored: Stored, address: Address) -> list[Action]:
    """Return the actions of a plan that concern an address, a job's streams included. Only that job is looked at."""
    if address.kind in ("source", "destination"):
        desired, stored = replace(desired, jobs={}), stored.model_copy(update={"jobs": {}})
    else:
        desired = replace(desired, jobs={n: j for n, j in desired.jobs.items() if n == address.name})
        stored = stored.model_copy(
            update={"jobs": {n: j for n, j in stored.jobs.items() if n == address.name}}
        )
    plan = build_plan(desired, stored, Observed())
    if address.kind == "job":
        return [
            a for a in plan.changes if a.address.name == address.name and a.address.kind in ("job", "stream")
        ]
    return [a for a in plan.changes if a.address == address]


def place_of_setting(desired: Desired | None, address: Address, setting: str = "") -> str:
    """Return `file:line` of a setting or a resource, empty where no file decides it."""
    place = desired.origins.place(address, setting) if desired else None
    return str(place) if place else ""


def sentence(text: str) -> str:
    """Return `text` as a sentence."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
