"""Every row of the change table with every other (design §4): what a pair of changes means for one stream.

Each change says in words of its own what it means; `expected` puts two together by the rules of the design, and knows
nothing of the planner. Changes of one slot are alternatives and make no pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import combinations_with_replacement
from typing import Any

import pytest

from olake_reconcile.model.desired import Desired, Moved
from olake_reconcile.model.job import Runtime
from olake_reconcile.model.names import Address, StreamId, parse_address
from olake_reconcile.model.observed import Observed, ValueState
from olake_reconcile.model.stored import Hold, Stored, StreamPhase
from olake_reconcile.model.stream import OnRemove, Protect, SyncMode, WriteMode
from olake_reconcile.model.table import Owner, TableFacts, TablePlace
from olake_reconcile.plan.actions import Action, Move, Rebuild, Remove
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import build_plan
from tests.builders import (
    PROJECT_UID,
    a_desired,
    a_destination,
    a_job,
    a_project,
    a_source,
    a_stream,
    stored_of,
)

ORDERS = StreamId.parse("public.orders")
UID = "u-daily-public.orders"
PLACE, ELSEWHERE = (TablePlace(database="sales", table=t) for t in ("orders", "orders_v2"))


def a_table(stream: str | None = UID) -> TableFacts:
    owner = Owner(project=PROJECT_UID, environment="default", job="daily", stream=stream or "", generation=1)
    return TableFacts(rows=5, bytes=50, files=1, owner=owner if stream else None, snapshot="s")


@dataclass
class Scene:
    """What is stored, what the files say, what was seen."""

    before: dict[str, Any] = field(default_factory=dict)  # settings of the stream
    after: dict[str, Any] = field(default_factory=dict)
    job_before: dict[str, Any] = field(default_factory=dict)
    job_after: dict[str, Any] = field(default_factory=dict)
    phase: StreamPhase = StreamPhase.LIVE
    hold: Hold | None = None
    name: str = "daily"
    present: bool = True
    job_present: bool = True
    source: dict[str, Any] = field(default_factory=dict)
    destination: dict[str, Any] = field(default_factory=dict)
    identities: dict[str, str] = field(
        default_factory=lambda: {"source.shop": "one", "destination.lake": "here"}
    )
    moves: list[Moved] = field(default_factory=list)
    values: dict[Address, Mapping[str, ValueState]] = field(default_factory=dict)
    tables: dict[TablePlace, TableFacts] = field(default_factory=lambda: {PLACE: a_table()})
    options: Options = field(default_factory=Options)

    def both(self, **settings: Any) -> None:
        self.before |= settings
        self.after |= settings

    def stored(self) -> Stored:
        others = a_stream("public.items", destination_table="items")
        old = a_job("daily", a_stream(**self.before), others, **self.job_before)
        found = stored_of(a_desired(old, _bystander()), identities={"shop": "one", "lake": "here"})
        job = found.jobs["daily"]
        subject = job.streams[ORDERS].model_copy(update={"phase": self.phase})
        changed = job.model_copy(update={"streams": {**job.streams, ORDERS: subject}, "hold": self.hold})
        return found.model_copy(update={"jobs": {**found.jobs, "daily": changed}})

    def desired(self) -> Desired:
        others = a_stream("public.items", destination_table="items")
        streams = [a_stream(**self.after), others] if self.present else [others]
        jobs = [a_job(self.name, *streams, **self.job_after)] if self.job_present else []
        source = a_source(**({"name": self.job_after.get("source", "shop")} | self.source))
        destination = a_destination(
            **({"name": self.job_after.get("destination", "lake")} | self.destination)
        )
        ends = {"source": source.name, "destination": destination.name}
        bystander = _bystander().model_copy(update=ends)
        return a_desired(
            *jobs,
            bystander,
            project=a_project(),
            sources={source.name: source},
            destinations={destination.name: destination},
            moves=tuple(self.moves),
        )

    def observed(self) -> Observed:
        lakes = ("lake", self.job_after.get("destination", "lake"))
        tables = {(lake, place): facts for lake in lakes for place, facts in self.tables.items()}
        identities = {parse_address(a): said for a, said in self.identities.items()}
        return Observed(values=self.values, identities=identities, tables=tables)


def _bystander() -> Any:
    return a_job("weekly", a_stream("public.log", destination_table="log"))


@dataclass(frozen=True)
class Means:
    """What one change means, in the words of the design."""

    reasons: frozenset[str] = frozenset()
    in_place: bool = False  # an edit that by itself reloads nothing
    guards: bool = False  # a rebuild needs consent by name
    guards_removal: bool = False
    allows: bool = False
    never_synced: bool = False
    gone: bool = False  # the stream is in the files no longer
    erases: bool = False  # if it goes, its data shall
    remembered: bool = False  # it went before
    leaves_table: bool = False  # the table is at a destination that is written to no more
    stops_clears: frozenset[str] = frozenset()
    stops_building: frozenset[str] = frozenset()
    stops_clears_of_declared: frozenset[str] = frozenset()  # a job that leaves is not asked


@dataclass(frozen=True)
class Change:
    name: str
    slot: str
    make: Callable[[Scene], Any]
    means: Means = Means()


def _because(*reasons: str, **more: Any) -> Means:
    return Means(reasons=frozenset(f"rebuild_because_{r}" for r in reasons), **more)


def _other_source(s: Scene) -> None:
    s.identities["source.shop"] = "two"
    s.source = {"config": {**a_source().config, "host": "db2"}}


def _taken_for_the_same(s: Scene) -> None:
    _other_source(s)
    s.source["identity"] = "same"


def _named_anew(kind: str, identity: str) -> Callable[[Scene], None]:
    def make(s: Scene) -> None:
        s.job_after[kind] = "other"
        s.identities[f"{kind}.other"] = identity

    return make


def _renamed(kind: str) -> Callable[[Scene], None]:
    def make(s: Scene) -> None:
        old = {"source": "shop", "destination": "lake"}[kind]
        s.job_after[kind] = "other"
        s.moves.append(Moved(parse_address(f"{kind}.{old}"), parse_address(f"{kind}.other")))

    return make


def _other_catalog(s: Scene) -> None:
    s.identities["destination.lake"] = "there"
    s.destination = {"config": {**a_destination().config, "jdbc_url": "jdbc:sqlite:second/catalog.db"}}


def _job_renamed(s: Scene) -> None:
    s.name = "nightly"
    s.moves.append(Moved(parse_address("daily"), parse_address("nightly")))


def _onto_foreign(s: Scene) -> None:
    s.after["destination_table"] = "orders_v2"
    s.tables[ELSEWHERE] = a_table(None)


def _pruned(s: Scene) -> None:
    s.job_present = False
    s.options = replace(s.options, prune=True)


def _pruned_and_erased(s: Scene) -> None:
    _pruned(s)
    s.both(on_remove=OnRemove.CLEAR)


def _removed_and_erased(s: Scene) -> None:
    s.present = False
    s.both(on_remove=OnRemove.CLEAR)


def _allow(s: Scene) -> None:
    s.options = replace(s.options, allow_rebuild=("*/*",), allow_delete=("*/*",))


def _hold(s: Scene) -> None:
    s.hold = Hold(who="ann", since=datetime(2026, 3, 1, tzinfo=UTC))


def _replace(s: Scene) -> None:
    s.options = replace(s.options, replace=("*/public.orders",))


def _incremental(s: Scene, cursor: str) -> None:
    s.after |= {"sync_mode": SyncMode.INCREMENTAL, "cursor": cursor}


def _cursor(s: Scene) -> None:
    s.before |= {"sync_mode": SyncMode.INCREMENTAL, "cursor": "id"}
    _incremental(s, "updated_at")


def _append_no_more(s: Scene) -> None:
    s.both(**VERSIONS)
    s.after["write_mode"] = WriteMode.UPSERT


# Every version of a row, of which the source has the newest alone.
VERSIONS = {"sync_mode": SyncMode.INCREMENTAL, "cursor": "id", "write_mode": WriteMode.APPEND}
PROTECT = Protect(rebuild=True, delete=True)
CREDENTIALS = {Address("source", "shop"): {"password": ValueState.CHANGED}}

CHANGES = [
    Change("partition", "partition", lambda s: s.after.update(partition_by=["day(at)"]), _because("partition_changed")),
    Change("filter", "filter", lambda s: s.after.update(filter="id > 5"), _because("filter_changed")),
    Change("threads", "threads", lambda s: s.after.update(threads=4), Means(in_place=True)),
    Change("protected", "protect", lambda s: s.both(protect=PROTECT), Means(guards=True, guards_removal=True)),
    Change("protection taken away", "protect", lambda s: s.before.update(protect=PROTECT), Means(in_place=True, guards=True, guards_removal=True)),
    Change("protection given", "protect", lambda s: s.after.update(protect=PROTECT), Means(in_place=True, guards=True)),
    Change("table moved", "place", lambda s: s.after.update(destination_table="orders_v2"), _because("destination_moved")),
    Change("table moved onto a foreign one", "place", _onto_foreign, _because("destination_moved", stops_building=frozenset({"table-exists"}))),
    Change("never synced", "phase", lambda s: setattr(s, "phase", StreamPhase.PENDING), Means(never_synced=True)),
    Change("first load begun", "phase", lambda s: setattr(s, "phase", StreamPhase.LOADING)),
    Change("back again", "phase", lambda s: setattr(s, "phase", StreamPhase.REMOVED), _because("reenabled", remembered=True)),
    Change("needs resync", "phase", lambda s: setattr(s, "phase", StreamPhase.NEEDS_RESYNC), _because("needs_resync")),
    Change("quarantined", "phase", lambda s: setattr(s, "phase", StreamPhase.QUARANTINED)),
    Change("schedule", "schedule", lambda s: s.job_after.update(schedule="@hourly")),
    Change("deactivated", "active", lambda s: s.job_after.update(active=False)),
    Change("activated", "active", lambda s: s.job_before.update(active=False)),
    Change("inactive", "active", lambda s: (s.job_before.update(active=False), s.job_after.update(active=False)), Means(stops_clears_of_declared=frozenset({"job-inactive"}))),
    Change("held", "hold", _hold, Means(stops_clears_of_declared=frozenset({"job-held"}))),
    Change("credentials", "values", lambda s: s.values.update(CREDENTIALS)),
    Change("another host, the same server", "source", lambda s: setattr(s, "source", {"config": {**a_source().config, "host": "db2"}})),
    Change("another server", "source", _other_source, _because("source_identity_changed", guards=True)),
    Change("another server, taken for the same", "source", _taken_for_the_same),
    Change("source renamed", "source", _renamed("source")),
    Change("source removed and added as another name", "source", _named_anew("source", "one")),
    Change("another source", "source", _named_anew("source", "two"), _because("source_identity_changed", guards=True)),
    Change("another catalog", "destination", _other_catalog, _because("destination_identity_changed", guards=True, leaves_table=True)),
    Change("destination renamed", "destination", _renamed("destination")),
    Change("destination removed and added as another name", "destination", _named_anew("destination", "here")),
    Change("runtime", "runtime", lambda s: s.job_after.update(runtime=Runtime.OLAKE), _because("runtime_changed")),
    Change("job renamed", "name", _job_renamed),
    Change("table replaced by somebody", "owner", lambda s: s.tables.update({PLACE: a_table(None)}), Means(stops_clears=frozenset({"table-not-ours"}))),
    Change("incremental", "mode", lambda s: _incremental(s, "id"), _because("sync_mode_changed", "cursor_changed")),
    Change("another cursor", "mode", _cursor, _because("cursor_changed")),
    Change("a cursor that is not used", "mode", lambda s: s.after.update(cursor="id"), Means(in_place=True)),
    Change("append", "mode", lambda s: s.both(**VERSIONS), Means(guards=True)),
    Change("append no more", "mode", _append_no_more, _because("write_mode_changed", guards=True)),
    Change("by request", "replace", _replace, _because("by_request")),
    Change("taken out", "presence", lambda s: setattr(s, "present", False), Means(gone=True)),
    Change("taken out and erased", "presence", _removed_and_erased, Means(gone=True, erases=True)),
    Change("job pruned", "presence", _pruned, Means(gone=True)),
    Change("job pruned and erased", "presence", _pruned_and_erased, Means(gone=True, erases=True)),
    Change("allowed", "consent", _allow, Means(allows=True)),
]  # fmt: skip

PAIRS = [
    (a, b)
    for a, b in combinations_with_replacement(CHANGES, 2)
    if (a is b or a.slot != b.slot)
    # There is nothing to replace or to rename in what is not there.
    and not ({"presence"} & {a.slot, b.slot} and {"replace", "name"} & {a.slot, b.slot})
    and {a.name, b.name} != {"never synced", "by request"}
]


@dataclass(frozen=True)
class Result:
    """What happens to the stream."""

    action: str
    reasons: frozenset[str] = frozenset()
    consent: str = ""
    blocked: frozenset[str] = frozenset()
    erases: bool = False


NOTHING = Result("nothing")


def expected(a: Change, b: Change) -> Result:
    """Put the meanings together."""
    both = [a.means, b.means]

    def any_(name: str) -> bool:
        return any(getattr(m, name) for m in both)

    def all_of(name: str) -> frozenset[str]:
        return frozenset().union(*(getattr(m, name) for m in both))

    pruned = any("pruned" in c.name for c in (a, b))
    stops_clears = all_of("stops_clears") | (frozenset() if pruned else all_of("stops_clears_of_declared"))
    unallowed = frozenset() if any_("allows") else frozenset({"needs-consent"})
    if any_("gone"):
        if any_("remembered") and not pruned:
            return NOTHING
        erases = any_("erases") and not any_("never_synced") and not any_("leaves_table")
        erases = erases and not any_("remembered")
        guarded = any_("guards_removal")
        consent = "guarded" if guarded else "destructive" if erases else "safe"
        blocked = (stops_clears if erases else frozenset()) | (unallowed if guarded else frozenset())
        return Result("remove", frozenset({"delete_because_not_in_config"}), consent, blocked, erases)
    reasons = all_of("reasons")
    if any_("never_synced"):
        settings = reasons - {
            f"rebuild_because_{r}"
            for r in (
                "by_request",
                "runtime_changed",
                "source_identity_changed",
                "destination_identity_changed",
            )
        }
        if not settings and not any_("in_place"):
            return NOTHING
        return Result("update", frozenset(), "safe", all_of("stops_building"))
    if not reasons:
        return Result("update", frozenset(), "safe") if any_("in_place") else NOTHING
    left = any_("leaves_table")
    guarded = any_("guards")
    stops = (stops_clears - {"table-not-ours"} if left else stops_clears) | all_of("stops_building")
    if left and any("replaced by somebody" in c.name for c in (a, b)):
        # What stands at the new destination under that name is not ours either.
        moved = any("table moved" in c.name for c in (a, b))
        stops |= frozenset() if moved else frozenset({"table-exists"})
    blocked = stops | (unallowed if guarded else frozenset())
    return Result("rebuild", reasons, "guarded" if guarded else "destructive", blocked, not left)


def found(scene: Scene) -> Result:
    plan = build_plan(scene.desired(), scene.stored(), scene.observed(), scene.options)
    mine = [
        a
        for a in plan.changes
        if a.address.kind == "stream" and a.address.stream == "public.orders" and not isinstance(a, Move)
    ]
    if not mine:
        return NOTHING
    [action] = mine
    return _result(action)


def _result(action: Action) -> Result:
    erases = (isinstance(action, Remove) and action.erase) or (
        isinstance(action, Rebuild) and not action.leaves_old
    )
    return Result(
        action.action,
        frozenset(r.value for r in action.reasons),
        action.consent.value,
        frozenset(b.code for b in action.blocked),
        erases,
    )


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " + ".join(dict.fromkeys(c.name for c in pair)))
def test_a_pair_of_changes_means_what_its_parts_mean(pair: tuple[Change, Change]) -> None:
    scene = Scene()
    for change in dict.fromkeys(c.name for c in pair):
        next(c for c in CHANGES if c.name == change).make(scene)
    assert found(scene) == expected(*pair)
