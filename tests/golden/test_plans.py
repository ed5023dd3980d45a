"""Golden plans: what a workspace looked like, what it looks like now, and the plan as people and programs get it.

A case is a folder in `plan/`. Its files lie over those of `workspace/`:

- `before/`  what is applied and synced first; without it the state is new
- `after/`   what is planned then
- `world.json`  parts of the scripted world that differ from the usual one, from the start
- `steps.json`  `steps` to take in place of the usual apply and sync of all jobs, and arguments for `plan`
- `plan.txt`, `plan.json`, `plan.md`  what is expected; `pytest --update-golden` rewrites them, for review
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from olake_reconcile.cli.view_markdown import render_markdown
from olake_reconcile.model.stored import Hold
from olake_reconcile.plan.document import plan_document, read_diagnostics, read_plan
from tests.builders import PROJECT_UID
from tests.rendered import check_markdown
from tests.workspaces import CANARY, Lab, a_lab

HERE = Path(__file__).parent
CASES = sorted(p for p in (HERE / "plan").iterdir() if p.is_dir())
WORLD: dict[str, Any] = {"sources": {f"public.{name}": rows for name, rows in (
    ("orders", 41_200_113), ("customers", 1_200), ("items", 98_000), ("events", 0),
)}}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plan_is_the_golden_one(case: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    lab = a_lab(tmp_path, {})
    lab.world(**WORLD | _json(case / "world.json", {}))
    script = _json(case / "steps.json", {})
    if (case / "before").exists():
        _lay(lab, case / "before")
        for step in script.get("steps", [{"apply": []}, {"sync": "*"}]):
            _take(lab, case, step)
    _lay(lab, case / "after")
    arguments = script.get("plan", [])
    shown, document = lab.ok("plan", *arguments), lab.ok("plan", "--json", *arguments)
    (lab.root / ".olake" / "cache" / "workspace.json").unlink(missing_ok=True)
    assert lab.ok("plan", "--json", *arguments) == document, "what is remembered of files changes no plan"
    text = " ".join(["$ olake-reconcile plan", *arguments]) + f"\n{shown.err}{shown.out}"
    for output in (text, document.out):
        _has_no_trace_of_this_machine(output, tmp_path)
    _compare(case / "plan.txt", text, request)
    _compare(case / "plan.json", document.out, request)
    again = json.loads(document.out)
    diagnostics = again.pop("diagnostics")
    read = read_plan(again | {"diagnostics": diagnostics})
    assert plan_document(read) == again | {"diagnostics": []}
    markdown = render_markdown(read, read_diagnostics({"diagnostics": diagnostics}))
    _has_no_trace_of_this_machine(markdown, tmp_path)
    check_markdown(markdown)
    _compare(case / "plan.md", markdown, request)


def test_update_golden_is_refused_in_ci(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.conftest import pytest_configure

    class Asked:
        def getoption(self, name: str) -> bool:
            return name == "--update-golden"

    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.UsageError, match="not with CI"):
        pytest_configure(Asked())  # type: ignore[arg-type]


def _take(lab: Lab, case: Path, step: dict[str, Any]) -> None:
    """Take one step of a script."""
    for verb, value in step.items():
        match verb:
            case "apply":
                lab.apply(*value)
            case "sync":
                for job in sorted(lab.store.read().jobs) if value == "*" else [value]:
                    lab.ok("sync", job)
            case "files":
                _lay(lab, case / value)
            case "world":
                lab.world(**value)
            case "tables":
                lab.world(tables=lab.tables | value)
            case "gone":
                lab.world(tables={k: v for k, v in lab.tables.items() if k not in value})
            case "environment":
                lab.environment |= {k: v for k, v in value.items() if v is not None}
                for name in (k for k, v in value.items() if v is None):
                    del lab.environment[name]
            case "hold":
                since = datetime(2026, 3, 1, tzinfo=UTC)
                lab.store.set_hold(value["job"], Hold(who=value["who"], why=value["why"], since=since))
            case _:
                raise AssertionError(f"no step is called {verb}")


def _lay(lab: Lab, folder: Path) -> None:
    """Make the workspace's files those of `workspace/`, with those of `folder` over them."""
    for path in lab.root.iterdir():
        if path.name != ".olake":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for layer in (HERE / "workspace", folder):
        shutil.copytree(layer, lab.root, dirs_exist_ok=True)


def _json(path: Path, default: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else default


def _has_no_trace_of_this_machine(output: str, folder: Path) -> None:
    assert CANARY not in output
    assert str(folder) not in output
    assert str(Path.cwd()) not in output
    assert output.count(PROJECT_UID) <= 2


def _compare(path: Path, found: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        path.write_text(found)
    assert path.exists(), f"{path} is missing: look at what is printed and run pytest --update-golden"
    assert found == path.read_text()
