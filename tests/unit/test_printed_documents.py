"""Documents that a plan prints to be pasted: read back they say what was meant, whatever the names hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.workspaces import DAILY_YAML, Lab, a_lab

NAMES = ("public.pg$stat", "public.$1", "public.a b", 'public.o"k', "public.ü'")


def with_stream(name: str, settings: str = "") -> str:
    head = DAILY_YAML.partition("streams:")[0]
    quoted = "'" + name.replace("'", "''") + "'"
    return f"{head}streams:\n  {quoted}: {settings}\n"


def a_world(tmp_path: Path, *names: str) -> Lab:
    lab = a_lab(tmp_path)
    lab.world(sources=dict.fromkeys(names, 10))
    return lab


def printed(text: str, kind: str) -> str:
    found = re.search(r"\{kind: " + kind + r", .*?\}(?=[\s.]|$)", text, re.MULTILINE)
    assert found, text
    return found.group()


@pytest.mark.parametrize("name", NAMES)
def test_a_printed_move_is_taken(tmp_path: Path, name: str) -> None:
    lab = a_world(tmp_path, name, name + "_2")
    lab.write({"jobs/daily.yaml": with_stream(name, "{destination_table: t}")})
    lab.apply()
    lab.ok("sync", "daily")
    lab.write({"jobs/daily.yaml": with_stream(name + "_2", "{destination_table: t}")})
    lab.write({"jobs/moved.yaml": printed(lab.ok("plan").out, "Moved") + "\n"})
    assert "Plan: 0 to add, 0 to change, 0 to rebuild, 0 to remove, 0 to destroy" in lab.ok("plan").out
    lab.apply()


@pytest.mark.parametrize("name", NAMES)
def test_a_printed_import_is_taken(tmp_path: Path, name: str) -> None:
    lab = a_world(tmp_path, name)
    table: dict[str, object] = {
        "rows": 5,
        "bytes": 50,
        "files": 1,
        "owner": None,
        "snapshot": "1",
        "settings": {},
    }
    lab.write({"jobs/daily.yaml": with_stream(name, "{destination_table: t, destination_database: d}")})
    lab.world(tables={"d.t": table})
    lab.write({"jobs/imported.yaml": printed(lab.ok("plan").out, "Import") + "\n"})
    assert "1 to import" in lab.ok("plan").out
