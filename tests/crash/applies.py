"""The applies that are killed, each with the workspace before it, after it, and as somebody edits it meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.workspaces import PROJECT_YAML

# Due once a year: a test sees only what applies make due.
_YEARLY = '"0 0 1 1 *"'

_DAILY: dict[str, str] = {"public.orders": "", "public.customers": ""}

LAKE2 = """\
---
kind: Destination
name: lake2
type: iceberg
config: {catalog_type: jdbc, jdbc_url: "jdbc:sqlite:second/catalog.db", iceberg_s3_path: second}
"""
UNUSED = """\
---
kind: Source
name: unused
type: postgres
config: {host: old.internal, database: old, username: olake}
"""


def job(name: str, streams: Mapping[str, str], settings: str = "", database: str = "sales") -> dict[str, str]:
    """Return the file of a job; streams map to their settings in YAML's flow style."""
    lines = [
        "kind: Job",
        f"name: {name}",
        f"schedule: {_YEARLY}",
        f"stream_defaults: {{sync_mode: full_refresh, destination_database: {database}}}",
        *([settings] if settings else []),
        "streams:",
        *(f"  {stream}: {given}" for stream, given in streams.items()),
    ]
    return {f"jobs/{name}.yaml": "\n".join(lines) + "\n"}


def daily(settings: str = "", **streams: str) -> dict[str, str]:
    """Return the file of `daily`; a stream given as "-" is left out."""
    named = {f"public.{name}": given for name, given in streams.items()}
    return job("daily", {k: v for k, v in (_DAILY | named).items() if v != "-"}, settings)


def weekly(items: str = "") -> dict[str, str]:
    return job("weekly", {"public.items": items}, database="other")


def project(*more: str) -> dict[str, str]:
    return {"olake.yaml": PROJECT_YAML + "".join(more)}


BASE = {**project(), **daily(), **weekly()}


@dataclass(frozen=True, slots=True)
class Change:
    """A set of files (None: removed), and what else differs with them."""

    files: Mapping[str, str | None] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Killed:
    """An apply to kill: `before` is applied and synced change by change, `after` is what the killed command does.

    `meanwhile` is how the files look when somebody applies again without knowing of the kill.
    """

    before: tuple[Change, ...]
    after: Change
    meanwhile: Change
    command: tuple[str, ...] = ("apply", "--auto-approve")


_BASE = Change(BASE)
_MONTH, _DAY = "{partition_by: [month(at)]}", "{partition_by: [day(at)]}"
_OTHER_SERVER = {"olake.yaml": PROJECT_YAML.replace("db.internal", "db2.internal")}
_ERASE = "{on_remove: clear}"

_TAKER = job("a_taker", {"public.items": "{destination_table: orders}"})

APPLIES: dict[str, Killed] = {
    "new job": Killed(
        (Change({**BASE, "jobs/weekly.yaml": None}),),
        Change(weekly()),
        Change(weekly(items=_DAY)),
    ),
    "partition of one stream": Killed((_BASE,), Change(daily(orders=_MONTH)), Change(daily(orders=_DAY))),
    "several jobs": Killed(
        (_BASE,),
        Change({**daily(orders=_MONTH, customers=_MONTH), **weekly(items=_MONTH)}),
        Change({**daily(orders=_MONTH, customers=_MONTH), **weekly(items=_DAY)}),
    ),
    "destination moved": Killed(
        (_BASE,),
        Change(daily(orders="{destination_table: orders_v2}")),
        Change(daily(orders="{destination_table: orders_v3}")),
    ),
    "removal with erase": Killed(
        (Change({**BASE, **daily(customers=_ERASE)}),),
        Change(daily(customers="-")),
        Change(daily(customers=_ERASE, orders=_MONTH)),
    ),
    "re-enabled": Killed(
        (_BASE, Change(daily(customers="-"))),
        Change(daily()),
        Change(daily(customers=_MONTH)),
    ),
    "activated and rebuilt": Killed(
        (_BASE, Change(daily("active: false"))),
        Change(daily(orders=_MONTH)),
        Change(daily(orders=_DAY)),
    ),
    "credentials and rebuild": Killed(
        (_BASE,),
        Change(daily(orders=_MONTH), {"SHOP_PASSWORD": "another-canary"}),
        Change(daily(orders=_DAY), {"SHOP_PASSWORD": "another-canary"}),
    ),
    "clear by hand": Killed(
        (_BASE,),
        Change(),
        Change(daily(orders=_MONTH)),
        ("clear", "daily", "--auto-approve"),
    ),
    "endpoint, job and removal": Killed(
        (Change({**BASE, **project(UNUSED), "jobs/weekly.yaml": None}),),
        Change(
            {
                **project(LAKE2),
                **daily(customers="-"),
                **job("weekly", {"public.items": ""}, "destination: lake2", "other"),
            }
        ),
        Change(
            {
                **project(LAKE2),
                **daily(customers="-", orders="{columns: {exclude: [name]}}"),
                **job("weekly", {"public.items": _DAY}, "destination: lake2", "other"),
            }
        ),
    ),
    "another server": Killed(
        (_BASE,),
        Change(_OTHER_SERVER),
        Change({**_OTHER_SERVER, **daily(orders=_MONTH)}),
        ("apply", "--auto-approve", "--allow-rebuild", "*"),
    ),
    # `daily` goes before `a_taker`, which is to build the table that it gives up.
    "table handed over to another job": Killed(
        (_BASE,),
        Change({**daily(orders="{destination_table: orders_v2}"), **_TAKER}),
        Change({**daily(orders="{destination_table: orders_v3}"), **_TAKER}),
    ),
}
