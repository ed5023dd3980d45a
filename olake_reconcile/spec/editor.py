"""`.olake/schema.json`: what editors complete and check workspace files by. Written by `init`, kept fresh by `validate`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import orjson

from olake_reconcile.spec.program import program
from olake_reconcile.spec.schema import workspace_schema
from olake_reconcile.spec.writing import write_whole

SCHEMA_FILE = ".olake/schema.json"


def write_editor_schema(root: Path) -> None:
    """Write the schema, marked with the program that it is of."""
    text = orjson.dumps({"$comment": program(), **workspace_schema()}, option=orjson.OPT_INDENT_2).decode()
    write_whole(root / SCHEMA_FILE, text + "\n", replace=True)


def refresh_editor_schema(root: Path) -> None:
    """Write the schema again if it is there and another program's; one that cannot be written is no mistake."""
    path = root / SCHEMA_FILE
    with suppress(OSError):
        with path.open("rb") as file:
            is_ours = program().encode() in file.read(200)
        if not is_ours:
            write_editor_schema(root)
