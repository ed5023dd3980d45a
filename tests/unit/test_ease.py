"""`init`, `discover --write-job`, `fmt`, `validate --output sarif`, completion: the first hour, and every day's typing."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from olake_reconcile.cli.main import cli
from olake_reconcile.model.catalogue import Kind, SourceColumn, SourceStream
from olake_reconcile.model.names import StreamId
from olake_reconcile.spec.draft import draft_job
from olake_reconcile.spec.editor import SCHEMA_FILE
from tests.workspaces import CANARY, PROJECT_YAML, Lab, a_lab


def an_empty_lab(folder: Path) -> Lab:
    return a_lab(folder, {})


# -- init --------------------------------------------------------------------------------------------------


def test_init_writes_a_valid_workspace_and_says_what_to_type_next(tmp_path: Path) -> None:
    lab = an_empty_lab(tmp_path)
    done = lab.ok("init", "--database", "shop", "--name", "analytics")
    assert "export SHOP_PASSWORD=…" in done.out
    assert "olake-reconcile discover shop --write-job first" in done.out
    assert "Valid: 0 jobs" in lab.ok("validate", "--strict").out
    assert lab.ok("fmt", "--check").out == ""
    assert json.loads((lab.root / SCHEMA_FILE).read_text())["oneOf"]
    assert "/.olake/" in (lab.root / ".gitignore").read_text()
    assert "${env:SHOP_PASSWORD}" in (lab.root / "olake.yaml").read_text()
    lab.ok("discover", "shop", "--write-job", "first")
    assert "to add" in lab.ok("plan").out


def test_init_asks_on_a_terminal(tmp_path: Path) -> None:
    lab = an_empty_lab(tmp_path)
    answers = "\n".join(["analytics", "db.internal", "5433", "shop", "", "", "", "", ""])
    done = lab.run("init", answer=answers)
    assert done.code == 0, done.text
    text = (lab.root / "olake.yaml").read_text()
    assert "host: db.internal\n  port: 5433\n" in text


def test_init_refuses_inside_a_workspace_and_writes_nothing(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    (lab.root / "below").mkdir()
    done = lab.run("init", "below", "--database", "shop")
    assert done.code == 1
    assert "is a workspace already" in done.err
    assert list((lab.root / "below").iterdir()) == []


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    lab = an_empty_lab(tmp_path)
    lab.write({"jobs/example.yaml": "mine\n", ".gitignore": "*.pyc"})
    assert lab.run("init", "--database", "shop").code == 1
    assert (lab.root / "jobs/example.yaml").read_text() == "mine\n"
    assert not (lab.root / "olake.yaml").exists()
    lab.remove("jobs/example.yaml")
    lab.ok("init", "--database", "shop")
    assert (lab.root / ".gitignore").read_text() == "*.pyc\n/.olake/\n/warehouse/\n"


def test_init_without_a_terminal_names_the_line_to_type(tmp_path: Path) -> None:
    done = an_empty_lab(tmp_path).run("init")
    assert done.code == 64
    assert "olake-reconcile init --database NAME" in done.err


# -- discover --write-job ----------------------------------------------------------------------------------


def a_column(name: str, kind: Kind | None) -> SourceColumn:
    return SourceColumn(name=name, type=str(kind), kind=kind)


def a_stream(**given: Any) -> SourceStream:
    columns = (a_column("id", Kind.LONG), a_column("updated_at", Kind.TIMESTAMPTZ), a_column("search", None))
    usual = {
        "id": StreamId("public", "orders"),
        "relation": "table",
        "columns": columns,
        "primary_key": ("id",),
    }
    return SourceStream.model_validate(usual | given)


def test_a_draft_is_incremental_where_an_index_begins_with_the_cursor() -> None:
    text = draft_job("a", "shop", None, [a_stream(indexed=("id", "updated_at"))])
    assert "    sync_mode: incremental\n    cursor: updated_at\n    columns: {exclude: [search]}" in text
    text = draft_job("a", "shop", None, [a_stream(indexed=("id",))])
    assert "\n    # sync_mode: incremental" in text
    assert "\n    sync_mode: incremental" not in text


def test_a_drafted_job_is_written_once_and_is_valid(tmp_path: Path) -> None:
    lab = a_lab(tmp_path, {"olake.yaml": PROJECT_YAML})
    assert (
        "wrote jobs/new.yaml" in lab.ok("discover", "shop", "--write-job", "new", "--stream", "public.o*").out
    )
    text = (lab.root / "jobs/new.yaml").read_text()
    assert "public.orders:" in text
    assert "public.items" not in text
    assert "Valid: 1 job, 1 stream." in lab.ok("validate", "--strict").out
    assert lab.ok("fmt", "--check").out == ""
    again = lab.run("discover", "shop", "--write-job", "new")
    assert again.code == 1
    assert "--force" in again.err
    assert (lab.root / "jobs/new.yaml").read_text() == text
    lab.ok("discover", "shop", "--write-job", "jobs/new.yaml", "--force")
    assert "Valid: 1 job, 3 streams." in lab.ok("validate").out


def test_a_draft_that_would_be_wrong_is_not_written(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    lab.write(
        {
            "jobs/daily.yaml": (lab.root / "jobs/daily.yaml")
            .read_text()
            .replace(", destination_database: sales", "")
        }
    )
    done = lab.run("discover", "shop", "--write-job", "second")
    assert done.code == 1
    assert "shared-table" in done.err
    assert not (lab.root / "jobs/second.yaml").exists()


@pytest.mark.parametrize("target", ["../x.yaml", "/tmp/x.yaml", "other/x.yaml", "a b"])
def test_a_job_is_written_below_jobs_only(tmp_path: Path, target: str) -> None:
    assert a_lab(tmp_path).run("discover", "shop", "--write-job", target).code == 64


# -- fmt ---------------------------------------------------------------------------------------------------


def test_fmt_checks_shows_and_writes_keeping_the_mode(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    path = lab.root / "jobs/daily.yaml"
    lab.write(
        {
            "jobs/daily.yaml": "name: daily\nkind: Job  \nstreams:\n  public.orders: {sync_mode: full_refresh}\n"
        }
    )
    path.chmod(0o640)
    before = path.read_text()
    check = lab.run("fmt", "--check")
    assert (check.code, check.out) == (1, "jobs/daily.yaml\n")
    assert "+kind: Job\n" in lab.ok("fmt", "--diff").out
    assert path.read_text() == before
    lab.ok("fmt")
    assert path.read_text().startswith("kind: Job\nname: daily\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert lab.ok("fmt", "--check").out == ""


def test_fmt_leaves_a_broken_file_alone_and_formats_the_others(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    lab.write({"jobs/a.yaml": "kind: [\n", "jobs/b.yaml": "name: b\nkind: Job\n"})
    done = lab.run("fmt")
    assert done.code == 1
    assert "jobs/a.yaml: not formatted" in done.err
    assert (lab.root / "jobs/b.yaml").read_text() == "kind: Job\nname: b\n"


# -- validate ----------------------------------------------------------------------------------------------


def test_strict_makes_warnings_errors(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    lab.write({"notes.txt": "password: Tr0ub4dor&3\n"})
    assert "warning: this looks like" in lab.ok("validate").err
    strict = lab.run("validate", "--strict")
    assert strict.code == 1
    assert "Tr0ub4dor" not in strict.text


def test_sarif_names_rules_levels_and_relative_places(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    lab.write(
        {
            "jobs/bad é.yaml": "kind: Job\nname: bad\nactive: '😀'\nstreams: {}\n",
            "n.txt": "pwd: Tr0ub4dor&3\n",
        }
    )
    done = lab.run("validate", "--output", "sarif")
    assert done.code == 1
    log = json.loads(done.out)
    (run,) = log["runs"]
    assert (log["version"], run["columnKind"]) == ("2.1.0", "unicodeCodePoints")
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
    places = [r["locations"][0]["physicalLocation"] for r in run["results"] if "locations" in r]
    assert {"jobs/bad%20%C3%A9.yaml", "n.txt"} <= {p["artifactLocation"]["uri"] for p in places}
    assert all(p["region"]["startLine"] >= 1 and p["region"]["startColumn"] >= 1 for p in places)
    assert "Tr0ub4dor" not in done.text
    assert CANARY not in done.text


def test_validate_refreshes_an_older_schema_and_writes_none_by_itself(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    lab.ok("validate")
    path = lab.root / SCHEMA_FILE
    assert not path.exists()
    lab.write({SCHEMA_FILE: "{}"})
    lab.ok("validate")
    assert json.loads(path.read_text())["oneOf"]


# -- completion and help -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_calls_the_program(tmp_path: Path, shell: str) -> None:
    script = an_empty_lab(tmp_path).ok("completion", shell).out
    assert f"_OLAKE_RECONCILE_COMPLETE={shell}_complete" in script


def completed(lab: Lab, *words: str) -> list[str]:
    line = ["olake-reconcile", *words]
    given = {
        "_OLAKE_RECONCILE_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(line),
        "COMP_CWORD": str(len(line) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "olake_reconcile"],
        env=os.environ | given,
        cwd=lab.root,
        capture_output=True,
        text=True,
    )
    return [row.partition(",")[2] for row in done.stdout.splitlines()]


def test_a_shell_completes_jobs_streams_and_sources(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    for _ in ("from the files", "from the cache"):
        assert completed(lab, "sync", "d") == ["daily"]
        assert completed(lab, "explain", "daily/") == ["daily/public.customers", "daily/public.orders"]
        assert completed(lab, "discover", "s") == ["shop"]
        lab.ok("validate")


def every_command(group: click.Group, path: str = "") -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        found[f"{path}{name}"] = command
        if isinstance(command, click.Group):
            found |= every_command(command, f"{path}{name} ")
    return found


@pytest.mark.parametrize("name", every_command(cli))
def test_every_command_shows_an_example_of_itself(name: str) -> None:
    help_ = every_command(cli)[name].help or ""
    assert "\b\n" in help_
    example = help_.split("\b\n")[-1]
    assert "olake-reconcile" in example
    assert name.split()[-1] in example or name == "state"
