"""What is remembered between runs: the same is said with it as without, and whatever it depends on makes it void."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olake_reconcile.diagnostics import Place
from olake_reconcile.model.catalogue import Catalogue
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.stored import Stored, StreamPhase
from olake_reconcile.plan.document import plan_document
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import build_plan
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec import cache as cache_file
from olake_reconcile.spec import program as program_file
from olake_reconcile.spec.parse import parse
from olake_reconcile.spec.workspace import Workspace, load_workspace
from olake_reconcile.state.lazily import stored_streams
from tests.builders import stored_of
from tests.spec_builders import CATALOGUE, PROJECT, codes, write_workspace

DEFAULTS = PROJECT.replace(
    "uid: 7f3c0d9e\n", "uid: 7f3c0d9e\njob_defaults: {source: shop, destination: lake, %s}\n"
)


def a_job(name: str, *streams: str, more: str = "") -> str:
    listed = "".join(f"  public.{stream}:\n" for stream in streams)
    return f"kind: Job\nname: {name}\n{more}stream_defaults: {{sync_mode: full_refresh, destination_database: d_{name}}}\nstreams:\n{listed}"


FILES = {
    "olake.yaml": DEFAULTS % "timezone: UTC",
    "jobs/a.yaml": a_job("a", "orders", "customers"),
    "jobs/b.yaml": a_job("b", "orders") + "---\n" + a_job("c", "items", more="schedule: '@hourly'\n"),
    "jobs/d.yaml": a_job("d", "log", more="owner: ${env:TEAM:-nobody}\n"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_workspace(tmp_path / "w", FILES)


def load(root: Path, catalogues: dict[str, Catalogue] | None = None, **environment: str) -> Workspace:
    return load_workspace(root, SystemSecrets(environment), catalogues or {}, cache=root / "cache")


def plainly(root: Path, catalogues: dict[str, Catalogue] | None = None, **environment: str) -> Workspace:
    return load_workspace(root, SystemSecrets(environment), catalogues or {})


class Parsed:
    """Which files are read as YAML."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str) -> Any:
        self.texts.append(text)
        return parse(text)

    def __contains__(self, name: str) -> bool:
        return any(f"name: {name}\n" in text for text in self.texts)


@pytest.fixture
def parsed() -> Iterator[Parsed]:
    found = Parsed()
    with mock.patch("olake_reconcile.spec.reader.parse", found):
        yield found


def test_a_file_that_says_the_same_is_not_read_again(root: Path, parsed: Parsed) -> None:
    load(root)
    parsed.texts.clear()
    desired = load(root).desired
    assert desired is not None
    assert "a" not in parsed
    assert "b" not in parsed
    assert [len(job.streams) for job in desired.jobs.values()] == [2, 1, 1, 1]
    assert "a" not in parsed, "nobody asked for a stream yet"
    assert desired == plainly(root).desired


def test_files_with_references_are_always_read(root: Path, parsed: Parsed) -> None:
    load(root, TEAM="one")
    parsed.texts.clear()
    desired = load(root, TEAM="two").desired
    assert "d" in parsed
    assert desired is not None
    assert desired.jobs["d"].owner == "two"


def test_a_stream_and_its_line_come_from_the_file(root: Path) -> None:
    load(root)
    desired = load(root).desired
    assert desired is not None
    assert desired.jobs["c"].streams[StreamId("public", "items")].destination_database == "d_c"
    assert desired.origins.place(Address.of_stream("c", "public.items")) == Place("jobs/b.yaml", 12, 3)


@pytest.mark.parametrize("number", range(9))
def test_whatever_a_job_depends_on_makes_what_is_remembered_void(
    root: Path, parsed: Parsed, number: int
) -> None:
    edits: dict[int, Callable[[], object]] = {
        0: lambda: write_workspace(root, {"olake.yaml": DEFAULTS % "timezone: Europe/Berlin"}),
        1: lambda: write_workspace(
            root, {"olake.yaml": FILES["olake.yaml"].replace("database: shop", "database: other")}
        ),
        2: lambda: write_workspace(
            root, {"olake.yaml": FILES["olake.yaml"].replace("s3_path: warehouse", "s3_path: w2")}
        ),
        3: lambda: mock.patch("olake_reconcile.__version__", "0.0.0"),
        4: lambda: mock.patch.object(program_file, "MODEL_VERSION", 99),
        5: lambda: write_workspace(root, {"jobs/a.yaml": a_job("a", "orders", "items")}),
        6: lambda: nullcontext(),  # the environment, below
        7: lambda: nullcontext(),  # a catalogue, below
        8: lambda: os.chmod(root / "cache" / cache_file.FILE, 0o644),
    }
    write_workspace(
        root, {"olake.yaml": FILES["olake.yaml"].replace("database: shop", 'database: "${env:DB:-shop}"')}
    )
    before = {7: {"shop": CATALOGUE}}.get(number, {})
    load(root, before)
    parsed.texts.clear()
    program_file.program.cache_clear()
    context = edits[number]()
    if isinstance(context, Path) or not isinstance(context, AbstractContextManager):
        context = nullcontext()  # a Path was one, too
    with context:
        again = load(root, {}, **({"DB": "elsewhere"} if number == 6 else {}))
    program_file.program.cache_clear()
    assert "a" in parsed
    assert again.desired == plainly(root, {}, **({"DB": "elsewhere"} if number == 6 else {})).desired


def test_jobs_are_compared_with_each_other_though_none_is_read(root: Path) -> None:
    load(root)
    write_workspace(
        root, {"jobs/e.yaml": a_job("A", "other"), "jobs/f.yaml": a_job("f", "orders").replace("d_f", "d_a")}
    )
    assert sorted(codes(load(root))) == ["duplicate-name", "shared-table"]
    assert load(root).diagnostics == plainly(root).diagnostics


def test_a_file_with_warnings_warns_every_time(root: Path) -> None:
    write_workspace(root, {"jobs/e.yaml": "kind: Job\nname: e\n"})
    load(root)
    assert codes(load(root)) == ["no-streams"]


HOSTILE = [
    b"",
    b"x",
    b"olake-workspace-1 1 2 3\n[]",
    b'["", {"jobs/a.yaml": null}]',
    b"\x80\x04\x95cos\nsystem\n",
]


@pytest.mark.parametrize("content", HOSTILE)
def test_a_damaged_or_foreign_cache_counts_as_absent(root: Path, parsed: Parsed, content: bytes) -> None:
    load(root)
    path = root / "cache" / cache_file.FILE
    path.write_bytes(content)
    parsed.texts.clear()
    assert load(root).desired == plainly(root).desired
    assert "a" in parsed


def test_a_cache_that_came_with_the_files_is_not_trusted(root: Path, parsed: Parsed, tmp_path: Path) -> None:
    # A pull request that brings a cache must not be able to hide its own edit.
    load(root)
    elsewhere = tmp_path / "clone"
    shutil.copytree(root, elsewhere)
    os.chmod(elsewhere / "cache" / cache_file.FILE, 0o600)
    parsed.texts.clear()
    load(elsewhere)
    assert "a" in parsed


def test_a_truncated_cache_counts_as_absent_wherever_it_ends(root: Path) -> None:
    load(root)
    path = root / "cache" / cache_file.FILE
    whole = path.read_bytes()
    facts = path.stat()
    expected = plainly(root).desired
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        os.utime(path, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
        assert cache_file.recall(root / "cache") == cache_file.Remembered()
        assert load(root).desired == expected
        path.unlink()
        path.touch(0o600)


def test_a_cache_that_cannot_be_written_stops_nothing(root: Path) -> None:
    (root / "cache").write_text("a file where the folder should be")
    assert load(root).desired == plainly(root).desired


EDITS = st.one_of(
    st.tuples(st.just("olake.yaml"), st.sampled_from([DEFAULTS % f"timezone: {z}" for z in ("UTC", "Asia/Tokyo")] + [
        DEFAULTS % "stream_defaults: {partition_by: [day(at)]}", PROJECT, "kind: Project\n", DEFAULTS % "active: ${env:ON}",
    ])),
    st.tuples(st.sampled_from(["jobs/a.yaml", "jobs/b.yaml", "jobs/n.yaml"]), st.sampled_from([
        None, a_job("a", "orders"), a_job("b", "orders", "log"), a_job("a", "orders", more="source: nowhere\n"),
        a_job("b", "names") + "---\n" + a_job("x", "orders"), a_job("y", "orders").replace("d_y", "d_a"), "kind: Job\nname: [",
        "kind: Job\nname: w\n", a_job("z", "orders", more="schedule: 0 0 30 2 *\n"), a_job("s", "orders", more="owner: ${env:ON}\n"),
        "{kind: Moved, from: job.gone, to: job.a}\n", "{kind: Import, address: b/public.nothing}\n",
        "{kind: Removed, address: a/public.orders, data: erase}\n", a_job("v", "log") + "---\n{kind: Moved, from: a/public.z, to: v/public.log}\n",
        a_job("a", "orders").replace("{sync_mode", "{on_remove: clear, sync_mode"), a_job("a", "orders", "customers", more="# a comment\n"),
    ])),
    st.tuples(st.just("ON"), st.sampled_from([None, "true", "false"])),
    st.tuples(st.just("catalogue"), st.sampled_from([None, CATALOGUE, CATALOGUE.model_copy(update={"streams": {}})])),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(EDITS, min_size=1, max_size=6), st.sampled_from([*StreamPhase]))
def test_with_what_is_remembered_the_same_is_said_and_planned_byte_for_byte(
    edits: list[tuple[str, Any]], phase: StreamPhase
) -> None:
    environment: dict[str, str] = {}
    catalogues: dict[str, Catalogue] = {}
    stored = Stored()
    with tempfile.TemporaryDirectory() as folder:
        root = write_workspace(Path(folder), FILES)
        load(root)
        for what, value in edits:
            targets: dict[str, dict[str, Any]] = {"ON": environment, "catalogue": catalogues}
            target = targets.get(what, {})
            key = "shop" if what == "catalogue" else what
            if what not in ("ON", "catalogue"):
                (root / what).unlink(missing_ok=True) if value is None else (root / what).write_text(value)
            elif value is None:
                target.pop(key, None)
            else:
                target[key] = value
            plain, known = plainly(root, catalogues, **environment), load(root, catalogues, **environment)
            assert known.diagnostics == plain.diagnostics
            if known.desired is None or plain.desired is None:
                assert known.desired is plain.desired
                continue
            for show_all in (False, True):
                assert _planned(known.desired, _deferred(stored), show_all) == _planned(
                    plain.desired, stored, show_all
                )
            assert known.desired == plain.desired
            stored = stored_of(plain.desired, phase)


def _planned(desired: Desired, stored: Stored, show_all: bool) -> bytes:
    return orjson.dumps(plan_document(build_plan(desired, stored, Observed(), Options(show_all=show_all))))


def _deferred(stored: Stored) -> Stored:
    """Return the same as the state store reads it."""
    jobs = {
        name: job.model_copy(
            update={
                "streams": stored_streams(
                    [(i, s.model_dump_json()) for i, s in job.streams.items()], nullcontext
                )
            }
        )
        for name, job in stored.jobs.items()
    }
    return stored.model_copy(update={"jobs": jobs})


def test_whoever_reads_while_another_writes_sees_one_cache_or_the_other(root: Path) -> None:
    load(root)
    one = cache_file.recall(root / "cache")
    other = replace(one, context="other")
    for content in (one, other) * 20:
        cache_file.remember(root / "cache", content)
        assert cache_file.recall(root / "cache") == content
    assert [path.name for path in (root / "cache").iterdir()] == [cache_file.FILE], "no drafts are left"


def test_a_job_without_source_is_one_mistake_though_its_streams_are_fine(tmp_path: Path) -> None:
    files = {"olake.yaml": PROJECT, "jobs/a.yaml": a_job("a", "orders")}
    assert codes(load(write_workspace(tmp_path, files))) == ["missing-key", "missing-key"]
