"""The files of a new workspace, as text. Nothing is written here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from olake_reconcile.spec.editor import SCHEMA_FILE
from olake_reconcile.spec.files import ROOT_FILE
from olake_reconcile.spec.spelled import spelled

IGNORED = ("/.olake/", "/warehouse/")
EXAMPLE = "jobs/example.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What `init` has to know. The password's variable is a name: the secret itself is never asked for."""

    name: str
    source: str
    host: str
    port: int
    database: str
    username: str
    password_variable: str
    destination: str
    warehouse: str


def starter_files(answers: Answers, uid: str) -> dict[str, str]:
    """Return the files by their place in the workspace."""
    return {ROOT_FILE: _project(answers, uid), EXAMPLE: _example(answers)}


def ignoring(before: str) -> str:
    """Return the text of .gitignore with the entries that it lacks."""
    there = {line.strip().strip("/") for line in before.splitlines()}
    missing = [entry for entry in IGNORED if entry.strip("/") not in there]
    if before and missing and not before.endswith("\n"):
        before += "\n"
    return before + "".join(f"{entry}\n" for entry in missing)


def safe_name(text: str) -> str:
    """Return `text` as a name for a project, source or job."""
    return re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")[:100] or "analytics"


def _project(answers: Answers, uid: str) -> str:
    catalog = f"jdbc:sqlite:{answers.warehouse.rstrip('/')}/catalog.db"
    return f"""\
# yaml-language-server: $schema={SCHEMA_FILE}
kind: Project
name: {spelled(answers.name)}
uid: {spelled(uid)}  # marks our tables; never change it
job_defaults:
  source: {spelled(answers.source)}
  destination: {spelled(answers.destination)}
---
kind: Source
name: {spelled(answers.source)}
type: postgres
config:
  host: {spelled(answers.host)}
  port: {answers.port}
  database: {spelled(answers.database)}
  username: {spelled(answers.username)}
  password: ${{env:{answers.password_variable}}}
---
kind: Destination
name: {spelled(answers.destination)}
type: iceberg
config:
  catalog_type: jdbc
  jdbc_url: {spelled(catalog)}
  iceberg_s3_path: {spelled(answers.warehouse)}
"""


def _example(answers: Answers) -> str:
    return f"""\
# yaml-language-server: $schema=../{SCHEMA_FILE}
# An example, all comments, so that nothing depends on tables that you may not have. A job with your own tables:
#   olake-reconcile discover {answers.source} --write-job first
#
# kind: Job
# name: daily_orders
# schedule: "@hourly"
# stream_defaults: {{sync_mode: full_refresh, destination_database: sales}}
# streams:
#   public.orders:
#     sync_mode: incremental
#     cursor: updated_at
#     partition_by: [month(created_at)]
#     columns: {{exclude: [card_number]}}
#   public.customers:
"""
