"""Small workspaces for tests of the reader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from olake_reconcile.model.catalogue import Catalogue, Kind, SourceColumn, SourceStream
from olake_reconcile.model.names import StreamId
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec.workspace import Workspace, load_workspace

PROJECT = """\
kind: Project
name: analytics
uid: 7f3c0d9e
---
kind: Source
name: shop
type: postgres
config: {host: db, database: shop, username: olake, password: "${env:SHOP_PASSWORD}"}
---
kind: Destination
name: lake
type: iceberg
config: {catalog_type: jdbc, jdbc_url: "jdbc:sqlite:warehouse/catalog.db", iceberg_s3_path: warehouse}
"""

JOB = """\
kind: Job
name: orders
source: shop
destination: lake
streams:
  public.orders:
    sync_mode: full_refresh
"""


def write_workspace(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def load(root: Path, job: str = "", *, project: str = PROJECT, **environment: str) -> Workspace:
    """Load a workspace of one project file and, if given, one job file."""
    files = {"olake.yaml": project} | ({"jobs/job.yaml": job} if job else {})
    return load_workspace(write_workspace(root, files), SystemSecrets(environment), {})


def codes(workspace: Workspace) -> list[str]:
    return [d.code for d in workspace.diagnostics if d.code != "not-checked"]


def _table(name: str, columns: dict[str, tuple[str, Kind | None]], key: tuple[str, ...] = ()) -> SourceStream:
    return SourceStream(
        id=StreamId("public", name),
        relation="table",
        columns=tuple(SourceColumn(name=n, type=t, kind=k) for n, (t, k) in columns.items()),
        primary_key=key,
    )


CATALOGUE = Catalogue(
    identity="7301/shop",
    streams={
        table.id: table
        for table in (
            _table(
                "orders",
                {
                    "id": ("int8", Kind.LONG),
                    "status": ("text", Kind.STRING),
                    "total": ("numeric(10,2)", Kind.DECIMAL),
                    "created": ("timestamptz", Kind.TIMESTAMPTZ),
                },
                ("id",),
            ),
            _table("log", {"at": ("timestamp", Kind.TIMESTAMP), "payload": ("tsvector", None)}),
            _table("names", {"name": ("text", Kind.STRING), "Name": ("text", Kind.STRING)}),
        )
    },
)
