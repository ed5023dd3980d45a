"""Bad workspaces: the guilty lines of tests/spec_errors/*.yaml say themselves which complaint they must get.

A line ends with `# ERROR: code` (several with commas) or `# WARNING: code`. A file with a Project is the
workspace's olake.yaml, any other a job file; `catalogue-…` files are checked against a discovery.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec.workspace import Workspace, load_workspace
from tests.spec_builders import CATALOGUE, PROJECT, write_workspace

FOLDER = Path(__file__).parent.parent / "spec_errors"
FILES = sorted(FOLDER.glob("*.yaml"))
ENVIRONMENT = {"NUMBER": "7", "MANY": "900", "TEAM": "shop"}
MARK = re.compile(r"# (ERROR|WARNING): ([a-z-]+(?:, [a-z-]+)*)")


def expected(text: str) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for number, line in enumerate(text.split("\n"), 1):
        for severity, codes in MARK.findall(line):
            found[number] += [f"{severity.lower()}: {code}" for code in codes.split(", ")]
    return {line: sorted(codes) for line, codes in found.items()}


def found(diagnostics: tuple[Diagnostic, ...], file: str) -> dict[int, list[str]]:
    lines: dict[int, list[str]] = defaultdict(list)
    for d in diagnostics:
        if d.severity is not Severity.NOTE:
            assert d.place is not None, d
            assert d.place.file == file, d
            lines[d.place.line].append(f"{d.severity}: {d.code}")
    return {line: sorted(codes) for line, codes in lines.items()}


def load(path: Path, root: Path) -> tuple[Workspace, str]:
    text = path.read_text(encoding="utf-8")
    is_root = "kind: Project" in text and "misplaced" not in path.name
    file = "olake.yaml" if is_root else "jobs/bad.yaml"
    write_workspace(root, {"olake.yaml": PROJECT, file: text})
    catalogues = {"shop": CATALOGUE} if path.name.startswith("catalogue-") else {}
    return load_workspace(root, SystemSecrets(ENVIRONMENT), catalogues), file


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_mistake_is_found_on_its_line(path: Path, tmp_path: Path) -> None:
    workspace, file = load(path, tmp_path)
    assert found(workspace.diagnostics, file) == expected(path.read_text(encoding="utf-8"))
    assert (workspace.desired is None) == any(d.is_error for d in workspace.diagnostics)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_no_plaintext_secret_is_shown(path: Path, tmp_path: Path) -> None:
    workspace, _ = load(path, tmp_path)
    shown = "\n".join(d.render() for d in workspace.diagnostics)
    assert "canary" not in shown


def test_there_are_many_bad_files() -> None:
    assert len(FILES) >= 30
