"""Lint for data: what is allowed and will hurt is said, once, on its line; a comment silences it there."""

from __future__ import annotations

from pathlib import Path

import pytest

from olake_reconcile.model.catalogue import Catalogue, Kind, SourceColumn, SourceStream
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stream import SyncMode
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec.endpoints import read_source
from olake_reconcile.spec.lint import lint_logs
from olake_reconcile.spec.lint_secrets import CODE, plaintext_secrets
from olake_reconcile.spec.reader import read_documents
from olake_reconcile.spec.report import Report
from olake_reconcile.spec.workspace import Workspace, load_workspace
from tests.spec_builders import PROJECT, codes, write_workspace

#: Shapes of real tokens, put together here so that no scanner takes this file for one.
AWS = "AKIA" + "IOSFODNN7EXAMPLQ"
GITHUB = "ghp_" + "a1B2c3D4e5F6g7H8i9J0a1B2c3D4e5F6g7H8"


def a_table(name: str, *, key: tuple[str, ...] = ("id",), rows: int = 10, size: int = 0) -> SourceStream:
    kinds = {
        "id": Kind.LONG,
        "status": Kind.STRING,
        "updated_at": Kind.TIMESTAMPTZ,
        "created_at": Kind.TIMESTAMPTZ,
    }
    return SourceStream(
        id=StreamId("public", name),
        relation="table",
        columns=tuple(SourceColumn(name=n, type=str(k), kind=k) for n, k in kinds.items()),
        primary_key=key,
        rows=rows,
        bytes=size,
        sync_modes=tuple(SyncMode),
    )


TABLES = [
    a_table("orders"),
    a_table("events", rows=2_000_000_000),
    a_table("blobs", size=2**41),
    a_table("log", key=()),
]
CATALOGUE = Catalogue(identity="1/shop", streams={t.id: t for t in TABLES})
JOB = "kind: Job\nname: orders\nsource: shop\ndestination: lake\n"


def load(root: Path, job: str) -> Workspace:
    write_workspace(root, {"olake.yaml": PROJECT, "jobs/job.yaml": JOB + job})
    return load_workspace(root, SystemSecrets({"SHOP_PASSWORD": "x"}), {"shop": CATALOGUE})


def test_a_huge_table_read_in_full_every_few_minutes_is_warned_of(tmp_path: Path) -> None:
    streams = "stream_defaults: {sync_mode: full_refresh}\nstreams: {public.events: , public.blobs: , public.orders: }\n"
    found = load(tmp_path, f"schedule: every 5m\n{streams}")
    assert codes(found) == ["huge-full-refresh"] * 2
    assert "about 2,000,000,000 rows" in found.diagnostics[0].message
    assert found.desired is not None
    assert codes(load(tmp_path, f'schedule: "0 3 * * *"\n{streams}')) == []
    assert codes(load(tmp_path, streams)) == []


def test_an_upsert_that_somebody_wrote_on_a_table_without_a_key_is_warned_of(tmp_path: Path) -> None:
    stream = "streams:\n  public.log:\n    sync_mode: full_refresh\n"
    assert codes(load(tmp_path, stream)) == []
    assert codes(load(tmp_path, stream + "    write_mode: upsert\n")) == ["upsert-without-key"]
    assert codes(load(tmp_path, stream + "    write_mode: append\n")) == []


@pytest.mark.parametrize(
    ("partition", "warned"),
    [("month(updated_at)", True), ("status", True), ("month(created_at)", False), ("bucket(4, id)", False)],
)
def test_a_partition_by_a_column_that_changes_is_warned_of(
    tmp_path: Path, partition: str, warned: bool
) -> None:
    stream = f'streams:\n  public.orders:\n    sync_mode: incremental\n    cursor: updated_at\n    partition_by: ["{partition}"]\n'
    found = load(tmp_path, stream)
    assert codes(found) == (["changing-partition"] if warned else [])
    if warned:
        assert found.diagnostics[0].place is not None
        assert found.diagnostics[0].place.line == 9
    assert codes(load(tmp_path, stream + "    write_mode: append\n")) == []


@pytest.mark.parametrize("line", ["here", "above"])
def test_a_warning_is_silenced_on_its_line_or_alone_above_it(tmp_path: Path, line: str) -> None:
    allow = "# lint: allow changing-partition"
    above, here = (f"    {allow}\n", "") if line == "above" else ("", f"  {allow}")
    stream = f"streams:\n  public.orders:\n    sync_mode: incremental\n    cursor: updated_at\n{above}    partition_by: [status]{here}\n"
    assert codes(load(tmp_path, stream)) == []
    assert codes(load(tmp_path, stream.replace("changing-partition", "never-due"))) == ["changing-partition"]


def test_an_error_is_not_silenced(tmp_path: Path) -> None:
    found = load(
        tmp_path, "streams:\n  public.nothing:  # lint: allow unknown-stream\n    sync_mode: full_refresh\n"
    )
    assert codes(found) == ["unknown-stream"]


def logs(tmp_path: Path, *sources: str) -> list[str]:
    write_workspace(tmp_path, {"olake.yaml": "\n---\n".join(sources)})
    report, secrets = Report(), SystemSecrets({})
    documents = read_documents(tmp_path, secrets, report, lambda text: False, None)
    entries = {d.root["name"]: read_source(d, secrets) for d in documents.by_kind["Source"]}
    report.found.clear()
    lint_logs(entries, [(f"job_{name}", name) for name in entries])
    return [d.code for d in report.found]


def test_two_jobs_that_consume_one_slot_are_warned_of(tmp_path: Path) -> None:
    one = "kind: Source\nname: {}\ntype: postgres\nconfig: {{host: {}, update_method: {{type: CDC, replication_slot: s}}}}"
    assert logs(tmp_path, one.format("a", "db"), one.format("b", "DB")) == ["shared-log"]
    assert logs(tmp_path, one.format("a", "db"), one.format("b", "other")) == []


def test_two_jobs_that_share_a_consumer_group_are_warned_of(tmp_path: Path) -> None:
    one = "kind: Source\nname: {}\ntype: kafka\nconfig: {{bootstrap_servers: k, consumer_group_id: g}}"
    assert logs(tmp_path, one.format("a"), one.format("b")) == ["shared-log"]


# -- secrets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        f"# the old key was {AWS}",
        f"deploy_token: {GITHUB}",
        "wharehouse_password: Tr0ub4dor&3",
        'password = "correct-h0rse!"',
        "url: postgresql://olake:hunter2canary@db/shop",
        "-----BEGIN " + "RSA PRIVATE KEY-----",
    ],
)
@pytest.mark.parametrize("file", ["jobs/notes.yaml", "README.md", "deploy/values.toml"])
def test_a_secret_in_any_file_is_found_and_never_shown(tmp_path: Path, file: str, line: str) -> None:
    write_workspace(tmp_path, {"olake.yaml": PROJECT, file: f"first\n{line}\n"})
    (found,) = plaintext_secrets(tmp_path, ())
    assert found.code == CODE
    assert str(found.place) == f"{file}:2"
    for secret in (AWS, GITHUB, "Tr0ub4dor", "h0rse", "hunter2canary"):
        assert secret not in found.render()


@pytest.mark.parametrize(
    "line",
    [
        "password: ${env:SHOP_PASSWORD}",
        "password: <your password>",
        "password: changeme-2024",
        "def connect(password: str) -> None:",
        "token = os.environ['TOKEN_1']",
        "jdbc: postgresql://olake:${env:PGPASSWORD}@db/shop",
        "secret: a reference, such as ${env:NAME}",
        "primary_key: order_id2",
        "password: Tr0ub4dor&3  # lint: allow possible-secret",
        "password_file: /run/secrets/db1",
    ],
)
def test_what_is_no_secret_is_left_in_peace(tmp_path: Path, line: str) -> None:
    write_workspace(tmp_path, {"olake.yaml": PROJECT, "notes.txt": f"{line}\n"})
    assert plaintext_secrets(tmp_path, ()) == []


def test_what_git_ignores_is_not_looked_at(tmp_path: Path) -> None:
    import subprocess

    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    files = {"olake.yaml": PROJECT, ".gitignore": "*.env\n", "prod.env": f"A={AWS}\n", "b.txt": f"B={AWS}\n"}
    write_workspace(tmp_path, files)
    assert [str(d.place) for d in plaintext_secrets(tmp_path, ())] == ["b.txt:1"]
