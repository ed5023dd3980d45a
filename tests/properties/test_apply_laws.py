"""Applying a random workspace over another one ends in what the files say, through the real store."""

from __future__ import annotations

import random as randomness
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from olake_reconcile.clock import ManualClock
from olake_reconcile.engine.scripted import ScriptedEngine
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.journal import ApplyStatus
from olake_reconcile.model.run import RunStatus, Trigger
from olake_reconcile.model.stream import Stream, SyncMode, canonical_stream, show_stream
from olake_reconcile.plan.document import plan_document
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan
from olake_reconcile.reconcile.apply import apply_plan
from olake_reconcile.reconcile.observe import make_plan
from olake_reconcile.reconcile.runs import sync_job
from olake_reconcile.reconcile.services import Services
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.state.holder import this_process
from olake_reconcile.state.store import SqlStore
from olake_reconcile.wiring import read_offline
from tests.builders import PROJECT_UID
from tests.properties.strategies import JOB_SETTINGS, workspaces

EVERYTHING = Options(allow_rebuild=("*",), allow_delete=("*",))
# Inactive jobs clear nothing, which blocks: that is a golden plan of its own.
ACTIVE = JOB_SETTINGS.map(lambda given: {**given, "active": True})


class World:
    """A state and a scripted world in a folder."""

    def __init__(self, folder: Path) -> None:
        self.engine = ScriptedEngine(folder)
        self.engine.write({"sources": {f"public.{n}": 10 for n in ("a", "b", "c", "d", "e f", "ü")}})
        self.services = Services(
            root=folder,
            clock=ManualClock(datetime(2026, 3, 1, tzinfo=UTC)),
            secrets=SystemSecrets({"SHOP_PASSWORD": "hunter2"}, folder),
            store=SqlStore("sqlite:///state.db", folder),
            engine=self.engine,
            holder=this_process(),
            who="ann",
        )

    def plan(self, desired: Desired) -> Plan:
        plan, _ = make_plan(self.services, desired, {}, EVERYTHING, connect=True)
        return plan

    def apply(self, desired: Desired) -> None:
        apply_plan(self.services, lambda: self.plan(desired), lambda step: None)

    def sync(self, job: str) -> None:
        run = sync_job(self.services, PROJECT_UID, job, Trigger.MANUAL, lambda event: None, lambda: False)
        assert run.status is RunStatus.COMPLETED


@given(workspaces(ACTIVE), workspaces(ACTIVE), st.data())
@settings(max_examples=max(8, settings().max_examples // 4))
def test_after_an_apply_the_plan_is_empty_and_tables_hold_what_the_files_say(
    before: Desired, after: Desired, data: Any
) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        for desired in (before, after):
            world.apply(desired)
            assert not world.plan(desired).changes
            for job in sorted(desired.jobs):
                if data.draw(st.booleans(), label=f"sync {job}"):
                    world.sync(job)
                    assert not world.plan(desired).changes
        assert not world.services.store.applies(ApplyStatus.RUNNING)
        _tables_hold_what_was_applied(world)


def _tables_hold_what_was_applied(world: World) -> None:
    """A table that is there was loaded with the stored settings, or its stream waits to load it anew."""
    tables = world.engine.read()["tables"]
    for job in world.services.store.read().jobs.values():
        for stream in job.streams.values():
            table = tables.get(str(stream.place))
            if stream.phase == "live":
                assert table is not None
                assert table["owner"]["stream"] == stream.uid
                assert table["owner"]["generation"] == stream.generation
            elif stream.phase == "pending":
                assert table is None or table["owner"]["stream"] != stream.uid


# The same workspace as files: split, ordered and spelled in any way.


def documents(desired: Desired) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"kind": "Project", "name": desired.project.name, "uid": desired.project.uid}
    ]
    found += [
        {"kind": "Source", "name": n, "type": "postgres", "config": s.config}
        for n, s in desired.sources.items()
    ]
    found += [
        {"kind": "Destination", "name": n, "type": "iceberg", "config": d.config}
        for n, d in desired.destinations.items()
    ]
    for name, job in desired.jobs.items():
        found.append(
            {
                "kind": "Job",
                "name": name,
                "source": job.source,
                "destination": job.destination,
                "owner": job.owner,
                "labels": job.labels,
                "streams": {str(i): show_stream(s) for i, s in job.streams.items()},
            }
        )
    return found


def write(folder: Path, found: list[dict[str, Any]], random: randomness.Random) -> None:
    """Write the documents into files below `folder`, in any order and any number per file."""
    project, *others = found
    random.shuffle(others)
    (folder / "jobs" / "deep").mkdir(parents=True)
    texts: dict[str, list[str]] = {"olake.yaml": [_text(project, random)]}
    for document in others:
        name = random.choice(["olake.yaml", "jobs/a.yaml", "jobs/b.yml", "jobs/deep/c.yaml"])
        texts.setdefault(name, []).append(_text(document, random))
    for name, parts in texts.items():
        (folder / name).write_text("---\n".join(parts))


def _text(value: dict[str, Any], random: randomness.Random) -> str:
    return orjson.dumps(_mixed(value, random)).decode() + "\n"


def _mixed(value: Any, random: randomness.Random) -> Any:
    if isinstance(value, dict):
        items = list(value.items())
        random.shuffle(items)
        return {k: _mixed(v, random) for k, v in items}
    return value


SUPPORTED = st.fixed_dictionaries({}, optional={"labels": st.just({"x": "1"}), "owner": st.just("team")})


@given(workspaces(SUPPORTED), st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_files_order_or_layout(
    desired: Desired, random: randomness.Random
) -> None:
    plans = []
    for _ in range(2):
        with TemporaryDirectory() as folder:
            root = Path(folder)
            write(root, documents(supported(desired)), random)
            workspace = read_offline(root, SystemSecrets({}, root))
            assert workspace.desired is not None, [d.render() for d in workspace.diagnostics]
            loaded = workspace.desired
            for name, job in supported(desired).jobs.items():
                assert {i: canonical_stream(s) for i, s in loaded.jobs[name].streams.items()} == {
                    i: canonical_stream(s) for i, s in job.streams.items()
                }
            world = World(root)
            plan, _ = make_plan(world.services, loaded, {}, Options(), connect=False)
            plans.append(without_places(plan_document(plan)))
    assert orjson.dumps(plans[0]) == orjson.dumps(plans[1])


def supported(desired: Desired) -> Desired:
    """Return the workspace with what this release refuses put back to its default."""
    refused = [
        "cursor",
        "fallback_cursor",
        "normalization",
        "delete_mode",
        "null_cursor",
        "on_rebuild",
        "chunk_column",
    ]
    usual = {name: Stream.model_fields[name].default for name in refused}

    def put_back(stream: Stream) -> Stream:
        columns = stream.columns.model_copy(update={"sync_new": True})
        changes = {"columns": columns, "partition_by": stream.partition_by[:1]}
        return stream.model_copy(update={**usual, **changes, "sync_mode": SyncMode.FULL_REFRESH})

    jobs = {
        name: job.model_copy(update={"streams": {i: put_back(s) for i, s in job.streams.items()}})
        for name, job in desired.jobs.items()
        if job.streams
    }
    return Desired(desired.project, desired.sources, desired.destinations, jobs)


def without_places(document: dict[str, Any]) -> dict[str, Any]:
    for change in document["resource_changes"]:
        change["place"] = None
        for setting in change["change"]["settings"]:
            setting["place"] = None
    return document
