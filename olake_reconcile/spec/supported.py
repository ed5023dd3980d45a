"""What this release does not do yet: one table, so that every refusal says the same thing and none is forgotten.

A setting that the model knows and no code implements is an error here, never silence at run time. A
default written out is fine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from olake_reconcile.spec.node import Map, offset_at, value_at
from olake_reconcile.spec.report import Document

CODE = "not-yet"


@dataclass(frozen=True, slots=True)
class NotYet:
    """A setting, the only values of it that are taken (none: it cannot be given), and what to do instead."""

    setting: str  # dotted below the block
    taken: tuple[str | bool, ...]
    instead: str

    def refuses(self, value: Any) -> bool:
        """Whether a value (null is none) is not supported."""
        return value is not None and value not in self.taken

    def message(self, value: Any) -> str:
        """Return the complaint about `value`, which is shown where it is a word."""
        if isinstance(value, bool):
            value = str(value).lower()
        shown = f"{self.setting}: {value}" if self.taken and isinstance(value, str) else f"'{self.setting}'"
        return f"{shown} is not supported yet: {self.instead}"


Table = Mapping[str, list[tuple[NotYet, tuple[str, ...]]]]


def _table(*rows: NotYet) -> Table:
    """Return rows, with the paths of their settings, by the key at which the paths begin."""
    found: dict[str, list[tuple[NotYet, tuple[str, ...]]]] = {}
    for row in rows:
        path = tuple(row.setting.split("."))
        found.setdefault(path[0], []).append((row, path))
    return found


STREAM = _table(
    NotYet("sync_mode", ("full_refresh", "incremental"), "use incremental or full_refresh"),
    NotYet("normalization", (True,), "leave it out"),
    NotYet("delete_mode", ("soft",), "use soft"),
    NotYet("on_rebuild", ("clear",), "use clear"),
)
JOB = _table(
    NotYet("runtime", ("embedded",), "use embedded"),
)
PROJECT = _table(
    NotYet("runtime", ("embedded",), "use embedded"),
)

# A list under 'include' is final, and without one new columns come along: the switch cannot say otherwise.
NEW_COLUMNS = {
    True: "new columns beside a list of columns are not supported yet: use 'exclude' to take all but some",
    False: "keeping new columns out is not supported yet without a list: name the columns under 'include'",
}

STATE = "a state on another database is not supported yet: use sqlite:///.olake/state.db"

# OLake's config fields and values that the embedded engine does not know yet.
CONFIG_KEYS: dict[str, frozenset[str]] = {
    "postgres": frozenset({"ssh_config"}),
    "iceberg": frozenset(
        [
            "aws_region",
            "aws_access_key",
            "aws_secret_key",
            "aws_session_token",
            "aws_profile",
            "s3_endpoint",
            "s3_use_ssl",
            "s3_path_style",
            "no_identifier_fields",
            "arrow_writes",
            "sink_jar_path",
            "sink_rpc_server_host",
            "glue_additional_config",
            "glue_endpoint",
            "glue_access_key",
            "glue_secret_key",
            "glue_region",
            "glue_catalog_id",
            "hive_uri",
            "hive_clients",
            "hive_sasl_enabled",
            "rest_catalog_url",
            "rest_auth_type",
            "token",
            "oauth2_uri",
            "credential",
            "scope",
            "rest_signing_name",
            "rest_signing_region",
            "rest_signing_v_4",
            "gcp_service_account_json",
            "gcp_auth_scopes",
            "gcp_project_id",
        ]
    ),
}
CATALOG_TYPES = frozenset(
    {"glue", "hive", "rest", "lakekeeper", "nessie", "s3tables", "unity", "polaris", "biglake"}
)
CATALOGS_SUPPORTED = "use catalog_type jdbc with a jdbc_url that begins with jdbc:sqlite:"
SQLITE_URL = "jdbc:sqlite:"


def refuse(document: Document, block: Map, table: Table) -> None:
    """Complain about everything in `block` that `table` does not take."""
    for key in table.keys() & block.keys():
        for row, path in table[key]:
            if row.refuses(value := value_at(block, path)):
                document.error(offset_at(block, path), CODE, row.message(value))
