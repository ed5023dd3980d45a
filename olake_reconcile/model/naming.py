"""How source names become destination names, by OLake's rule (reference: olake-engine §2.4, §6.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

# OLake's metadata columns: every destination table has them beside the source's columns (engine.md).
METADATA_COLUMNS = ("_olake_id", "_olake_timestamp", "_op_type", "_cdc_timestamp", "_cdc_lsn")

_NOT_PLAIN = re.compile(r"[^a-z0-9]")


@lru_cache(maxsize=50_000)  # most columns of a workspace share few names
def reformat(name: str) -> str:
    """Lower-case `name` and replace every character outside a-z and 0-9 by an underscore, one for one."""
    return _NOT_PLAIN.sub("_", name.lower())


def column_name(source_name: str, *, use_source_column_names: bool) -> str:
    """Return the destination name of a column."""
    return source_name if use_source_column_names else reformat(source_name)


def default_database(source_type: str, source_database: str, namespace: str) -> str:
    """Return OLake's default destination database: `<type>_<source database>_<namespace>`.

    MySQL, MongoDB, Oracle and Kafka leave the source's database out, as OLake does.
    """
    names = [source_type, namespace]
    if source_type not in {"mysql", "mongodb", "oracle", "kafka"} and source_database:
        names.insert(1, source_database)
    return "_".join(reformat(n) for n in names)


def collisions(
    names: Mapping[str, str], reserved: Iterable[str] = METADATA_COLUMNS
) -> list[tuple[str, list[str]]]:
    """Find destination names that several source columns, or a metadata column, would share.

    `names` maps source names to destination names. Catalogs such as Glue fold case, so names that differ
    in case alone collide too. Returns (destination name, source names that want it), sorted.
    """
    taken: dict[str, list[str]] = {}
    for source, destination in names.items():
        taken.setdefault(destination.lower(), []).append(source)
    held = {r.lower() for r in reserved}
    return sorted(
        (destination, sorted(sources))
        for destination, sources in taken.items()
        if len(sources) > 1 or destination in held
    )
