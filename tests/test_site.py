"""The documentation's site: it builds, its reference pages are those of the code, and what it tells operators to do works."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

from docs.generate import pages
from olake_reconcile.cli.main import cli
from tests.workspaces import a_lab

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "docs/deploy"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reference/workspace/index.html").exists()
    assert "adr/0001-state-store/" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("path", pages(), ids=lambda p: p.name)
def test_reference_pages_are_what_the_code_says(path: Path) -> None:
    assert path.read_text() == pages()[path], "run `make docs`"


def test_every_page_of_the_documents_can_be_reached() -> None:
    """Decisions are added by `docs/nav.py`; any other page is listed by hand."""
    nav = (ROOT / "mkdocs.yml").read_text()
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    missing = sorted(p for p in pages if p not in nav and not p.startswith("adr/"))
    assert not missing, f"add to `nav` in mkdocs.yml: {', '.join(missing)}"


def test_commands_that_the_pages_type_parse() -> None:
    """Each line is given to the parser of its command; nothing is run."""
    typed = 0
    for page in (ROOT / "docs").rglob("*.md"):
        for line in re.findall(
            r"^(?:\$ )?olake-reconcile ((?!.*\[OPTIONS\])\S+.*)$", page.read_text(), re.MULTILINE
        ):
            words = line.split(" && ")[0].split(" | ")[0].split()
            command: click.Command = cli
            while isinstance(command, click.Group) and words:
                name = words.pop(0)
                assert name in command.commands, f"{page.name}: {line}"
                command = command.commands[name]
            command.make_parser(click.Context(command, resilient_parsing=True)).parse_args(words)
            typed += 1
    assert typed > 20


def test_the_services_start_commands_that_exist() -> None:
    unit = (DEPLOY / "olake-reconcile.service").read_text()
    assert re.findall(r"^ExecStart=\S+/olake-reconcile (\S+)$", unit, re.MULTILINE) == ["run"]
    container = (DEPLOY / "Containerfile").read_text()
    assert 'ENTRYPOINT ["olake-reconcile"]\nCMD ["run"]' in container
    job = YAML(typ="safe").load(DEPLOY / "cronjob.yaml")
    (pod,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert pod["args"] == ["reconcile"]
    assert {"run", "reconcile"} <= cli.commands.keys()


def test_a_backup_taken_as_the_page_says_plans_to_no_changes(tmp_path: Path) -> None:
    (statement,) = re.findall(r'"(VACUUM INTO .*?)"', (ROOT / "docs/operations.md").read_text())
    lab = a_lab(tmp_path)
    lab.apply()
    state, backup = lab.root / ".olake/state.db", tmp_path / "backup.db"
    connection = sqlite3.connect(state)
    connection.execute(statement.replace("/backup/state.db", str(backup)))
    connection.close()
    for file in state.parent.glob("state.db*"):
        file.unlink()
    backup.rename(state)
    assert "No changes." in lab.ok("plan").out
