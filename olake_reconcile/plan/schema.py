"""The JSON Schema of the plan document (`plan --json`, `show --json`, plan files): a contract with programs.

Written as models, so that the schema is generated; the document itself is made in `plan/document.py`, and a
test holds every golden plan to this. Within a major version fields are only added, so readers must let pass
those that they do not know.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from olake_reconcile.diagnostics import Severity
from olake_reconcile.plan.actions import Consent, Loss
from olake_reconcile.plan.document import FORMAT_VERSION
from olake_reconcile.plan.drift import DriftKind, Healing
from olake_reconcile.plan.effects import Reason

Kind = Literal["source", "destination", "job", "stream"]
Verb = Literal["create", "update", "delete", "forget", "no-op"]


class PlanPlace(BaseModel):
    """A position in a workspace file; both count from 1."""

    file: str
    line: int
    column: int


class PlanSetting(BaseModel):
    """One setting that differs; `before` and `after` are its values, defaults filled in, null when unset."""

    setting: str = Field(description="Its path, such as `columns.exclude` or `config.host`.")
    before: Any
    after: Any
    forces: bool = Field(description="Whether this one alone would rebuild the table.")
    note: str
    place: PlanPlace | None = Field(description="The line that decided the new value.")


class PlanChange(BaseModel):
    """What is done to a resource. `before` and `after` are its settings, those at their default left out."""

    actions: list[Verb] = Field(
        min_length=1, max_length=2, description='["delete", "create"] clears a table and builds it anew.'
    )
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    settings: list[PlanSetting]
    unchanged: int = Field(ge=0, description="How many settings are the same on both sides.")


class PlanImpact(BaseModel):
    """What a clear costs; null where metadata does not tell."""

    rows: int | None
    bytes: int | None
    seconds: int | None = Field(description="Time until the table is full again, from `rate`.")
    rate: int | None = Field(description="Rows per second of the last load.")
    soft_deleted: int | None = Field(
        None, description="Rows kept as soft deletes, which no reload brings back."
    )
    loses: list[Loss] = Field([], description="History that the source can no longer give back.")
    shared_with: list[str] = Field(
        [], description="Streams of the same table, and jobs of the same slot or consumer group."
    )


class PlanBlock(BaseModel):
    """Why an action may not be done, and what lets it."""

    code: str
    message: str
    remedy: str = Field(description="The line to paste, or what to do.")
    approval: str = Field(description="The document to commit instead, where one would do.")


class PlanTable(BaseModel):
    """A table at its destination."""

    database: str
    table: str


class PlanTables(BaseModel):
    """Which tables are concerned: `old` is cleared, unless `leaves_old`; `new` is built."""

    old: PlanTable | None
    new: PlanTable | None = None
    leaves_old: bool = False


class PlanAdoption(BaseModel):
    """The table that an import takes over; `uid` is empty until its marks are written."""

    table: PlanTable
    uid: str
    generation: int = Field(ge=0)


class PlanResource(BaseModel):
    """What happens to one resource, and why."""

    address: str
    kind: Kind
    change: PlanChange
    data: Literal["kept", "erased"]
    reasons: list[Reason]
    consent: Consent = Field(alias="class")
    impact: PlanImpact | None
    blocked: list[PlanBlock]
    notes: list[str]
    made_from: int = Field(ge=0, description="The serial of the stored record; 0 when there was none.")
    place: PlanPlace | None
    tables: PlanTables | None = None
    adopts: PlanAdoption | None = Field(None, description="A no-op that takes over a table, with its data.")
    moved_from: str | None = Field(
        None, description="The address that it had; a no-op that changes the name alone."
    )


class PlanSummary(BaseModel):
    """How many resources of each fate. A rebuild counts once; `remove` keeps data, `destroy` loses it."""

    add: int
    change: int
    rebuild: int
    remove: int
    destroy: int
    imported: int = Field(alias="import")
    forget: int
    move: int


class PlanCost(BaseModel):
    """What all clears cost together: sums of what is known, with how many tables are left out of each."""

    tables: int = Field(description="Tables that are cleared, and so empty at once.")
    rows: int
    rows_unknown: int
    bytes: int
    bytes_unknown: int
    seconds: int = Field(
        description="Time until the last table is full, `rebuilds_at_once` loading at a time."
    )
    seconds_unknown: int
    long_loads: int = Field(description="Loads that hold a snapshot of the source for over an hour.")
    rebuilds_at_once: int


class PlanBase(BaseModel):
    """What the plan starts from. One made against a revision shows a change, and cannot be applied."""

    kind: Literal["state", "export", "revision"]
    revision: str | None = Field(description="The commit, for a plan against a revision.")


class PlanNarrowed(BaseModel):
    """How the plan was narrowed. Short addresses: `daily_orders/public.orders`."""

    target: list[str]
    exclude: list[str]
    selector: list[str]
    pulled_in: list[str] = Field(description="Came along, because what is selected needs it.")
    left_out: list[str] = Field(description="Has changes too, and is not in the plan.")


class PlanWaiting(BaseModel):
    """A job of which nothing would be done now, and why."""

    job: str
    code: Literal["window", "pace"]
    reason: str
    until: str | None = Field(description="When a window opens next, if one does.")


class PlanUnmanaged(BaseModel):
    """A stored job that no file declares any more: it goes on syncing."""

    job: str
    streams: int


class PlanDrift(BaseModel):
    """What moved without us. It is no part of the plan, nor of its hash."""

    address: str
    kind: DriftKind
    message: str
    expected: Any
    found: Any
    remedy: str
    healing: Healing = Field(
        description="Who puts it right: the loop, nobody any more (it came back), a person, or nobody has to."
    )


class PlanUnseen(BaseModel):
    """What no drift was looked for in."""

    tables: int
    streams: int


class PlanDiagnostic(BaseModel):
    """A finding in the files or on the way."""

    severity: Severity
    code: str
    message: str
    hint: str
    file: str | None
    line: int | None
    column: int | None


class PlanDocument(BaseModel):
    """What an apply would do."""

    format_version: str = Field(pattern=rf"^{FORMAT_VERSION.split('.', maxsplit=1)[0]}\.[0-9]+$")
    plan_hash: str = Field(pattern=r"^[0-9a-f]{32}$")
    project: str = Field(description="The project's uid.")
    new_state: bool = Field(description="Nothing is known to be deployed.")
    environment: str = Field("default", description="The environment that it was made for.")
    waiting: list[PlanWaiting] = Field([], description="Jobs that an apply would leave for later.")
    blocked: list[PlanBlock] = Field([], description="Why nothing of it may be done at all.")
    narrowed: PlanNarrowed | None = Field(None, description="There when the plan is about a part only.")
    against: PlanBase | None = None
    summary: PlanSummary
    impact: PlanCost | None = None
    resource_changes: list[PlanResource]
    uses: dict[str, dict[str, int]] = Field(
        description="For each job that is touched, the endpoints that it uses, with their serials."
    )
    owners: dict[str, str] = Field({}, description="Who owns each touched job, where its file says.")
    drift: list[PlanDrift]
    drift_unseen: PlanUnseen | None = Field(None, description="There when not all was looked at.")
    unmanaged: list[PlanUnmanaged]
    diagnostics: list[PlanDiagnostic]


def plan_schema() -> dict[str, Any]:
    """Return the schema of the plan document."""
    schema = PlanDocument.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "olake-reconcile plan",
    }
