"""What the documents say exists, exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from olake_reconcile.cli.main import cli
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec.workspace import load_workspace

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_workspace_of_the_readme_is_valid(tmp_path: Path) -> None:
    for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", README, re.DOTALL):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    workspace = load_workspace(tmp_path, SystemSecrets({}), {}, checked_note=False)
    assert workspace.diagnostics == ()
    assert workspace.desired is not None
    assert len(workspace.desired.jobs["daily_orders"].streams) == 2


def test_every_command_that_the_readme_types_exists() -> None:
    typed = set(re.findall(r"^\$ olake-reconcile (\S+)", README, re.MULTILINE))
    assert typed
    assert typed <= cli.commands.keys()


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_has_help_with_a_first_sentence(command: str) -> None:
    assert (cli.commands[command].help or "").strip().split("\n")[0].endswith((".", ",", ":", "was"))


def test_files_that_the_documents_link_to_exist() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_every_test_that_the_lifecycle_table_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/lifecycle.md").read_text()))
    files = ["test_sync_pause_cancel.py", "test_clear.py", "test_delete.py"]
    code = "\n".join((ROOT / "tests/lifecycle" / name).read_text() for name in files)
    there = set(re.findall(r"^def (test_\w+)", code, re.MULTILINE))
    assert named - there == set()
    special = {"test_a_second_sync_of_a_running_job_names_its_holder"}
    assert there - named - special == set(), "say in docs/lifecycle.md what these hold us to"


def test_the_layers_of_contributing_are_those_that_the_tests_enforce() -> None:
    from tests.test_architecture import RANK

    table = (ROOT / "CONTRIBUTING.md").read_text().split("| --- | --- | --- |")[1].split("\n\n")[0]
    rows = [re.findall(r"`(\w+)(?:/|\.py)?`", row.split("|")[1]) for row in table.strip().splitlines()]
    named = [name for row in rows for name in row]
    assert [name for name in named if name not in RANK] == []
    ranks = [RANK[name] for name in named]
    assert ranks == sorted(ranks)
