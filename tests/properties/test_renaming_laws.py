"""Laws of moves, removals and imports over random workspaces, through the real store: apply, and the plan is empty."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from olake_reconcile.model.desired import Desired, Moved, Removed
from olake_reconcile.model.job import Job
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.plan.actions import Create, Import, Move, Rebuild, is_clear
from tests.properties.strategies import workspaces
from tests.properties.test_apply_laws import ACTIVE, World

FEW = max(8, settings().max_examples // 6)


def a_rename(desired: Desired, data: Any) -> Desired:
    """Return the workspace with some names changed, and the moves that say so; tables are pinned by the strategy."""
    moves: list[Moved] = []

    def renamed(address: Address, after: Address) -> bool:
        if not data.draw(st.booleans(), label=f"rename {address.short}"):
            return False
        moves.append(Moved(address, after))
        return True

    endpoints: dict[str, dict[str, Any]] = {"source": {}, "destination": {}}
    for kind, declared in (("source", desired.sources), ("destination", desired.destinations)):
        for name, endpoint in declared.items():
            after = f"{name}_2"
            new = after if renamed(Address(kind, name), Address(kind, after)) else name  # type: ignore[arg-type]
            endpoints[kind][new] = endpoint.model_copy(update={"name": new})
    names = {m.before: m.after.name for m in moves}
    jobs = {}
    for name, job in desired.jobs.items():
        new = f"{name}_2" if renamed(Address("job", name), Address("job", f"{name}_2")) else name
        streams = {}
        for stream_id, stream in job.streams.items():
            to = StreamId("moved", stream_id.name)
            own = (Address.of_stream(name, stream_id), Address.of_stream(new, to))
            chosen = to if renamed(*own) else stream_id
            streams[chosen] = stream.model_copy(update={"id": chosen})
        source = names.get(Address("source", job.source), job.source)
        destination = names.get(Address("destination", job.destination), job.destination)
        jobs[new] = job.model_copy(
            update={"name": new, "streams": streams, "source": source, "destination": destination}
        )
    return Desired(desired.project, endpoints["source"], endpoints["destination"], jobs, moves=tuple(moves))


@given(workspaces(ACTIVE), st.data())
@settings(max_examples=FEW)
def test_renames_touch_no_table_and_lose_nothing(before: Desired, data: Any) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.apply(before)
        for job in sorted(before.jobs):
            if data.draw(st.booleans(), label=f"sync {job}"):
                world.sync(job)
        tables, uids = world.engine.read()["tables"], _uids(world)
        after = a_rename(before, data)
        plan = world.plan(after)
        assert all(isinstance(a, Move) for a in plan.changes)
        world.apply(after)
        assert not world.plan(after).changes
        assert world.engine.read()["tables"] == tables
        assert _uids(world) == uids


def _uids(world: World) -> dict[str, Any]:
    stored = world.services.store.read()
    return {
        s.uid: (s.generation, s.phase, s.position, str(s.place))
        for j in stored.jobs.values()
        for s in j.streams.values()
    }


@given(workspaces(ACTIVE), st.data())
@settings(max_examples=FEW)
def test_what_is_removed_is_gone_and_what_is_kept_is_kept(before: Desired, data: Any) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.apply(before)
        for job in sorted(before.jobs):
            world.sync(job)
        tables = world.engine.read()["tables"]
        kept: dict[str, Job] = {}
        removals = []
        gone: set[str] = set()
        for name, declared in before.jobs.items():
            how = data.draw(st.sampled_from(["stays", "keep", "erase"]), label=name)
            if how == "stays":
                kept[name] = declared
                continue
            removals.append(Removed(Address("job", name), how))
            if how == "erase":
                gone |= {f"{s.destination_database}.{s.destination_table}" for s in declared.streams.values()}
        after = Desired(before.project, before.sources, before.destinations, kept, removals=tuple(removals))
        world.apply(after)
        assert not world.plan(after).changes
        assert world.services.store.read().jobs.keys() == kept.keys()
        assert world.engine.read()["tables"] == {k: v for k, v in tables.items() if k not in gone}


@given(workspaces(ACTIVE))
@settings(max_examples=FEW)
def test_a_lost_state_comes_back_from_the_tables_with_nothing_reloaded(desired: Desired) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.apply(desired)
        for job in sorted(desired.jobs):
            world.sync(job)
        tables, uids = world.engine.read()["tables"], _uids(world)
        for path in Path(folder).glob("state.db*"):
            path.unlink()
        again = World.__new__(World)
        again.engine, again.services = world.engine, World(Path(folder)).services
        world.engine.write(world.engine.read() | {"tables": tables})
        plan = again.plan(desired)
        assert not any(is_clear(a) or isinstance(a, Rebuild) for a in plan.changes)
        assert not [a for a in plan.changes if isinstance(a, Create) and a.address.kind == "stream"]
        assert sum(isinstance(a, Import) for a in plan.changes) == len(uids)
        again.apply(desired)
        assert not again.plan(desired).changes
        assert again.engine.read()["tables"] == tables
        assert {u: v[0] for u, v in _uids(again).items()} == {u: v[0] for u, v in uids.items()}
