"""`--output github` and `--output gitlab`: what the runners read, and what hostile names may not make of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from olake_reconcile.cli.findings import Finding, Weight
from olake_reconcile.cli.github import commands
from olake_reconcile.diagnostics import Place
from tests.pull_requests.hostile import NAMES, WORLD, job_yaml
from tests.rendered import check_markdown
from tests.workspaces import CANARY, DAILY_YAML, Lab, Outcome, a_lab


@pytest.fixture
def hostile(tmp_path: Path) -> Lab:
    """Every hostile name rebuilt and blocked, in a workspace below the checkout, with a runner's files."""
    lab = a_lab(tmp_path)
    lab.world(**WORLD)
    lab.write({"jobs/daily.yaml": job_yaml()})
    lab.apply()
    lab.ok("sync", "daily")
    lab.write({"jobs/daily.yaml": job_yaml(", partition_by: [day(at)]")})
    lab.environment |= {
        "GITHUB_WORKSPACE": str(tmp_path),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "CI_PROJECT_DIR": str(tmp_path),
    }
    return lab


def runner(outcome: Outcome) -> list[str]:
    """Return the commands that GitHub's runner would obey, as it reads stdout line by line."""
    found, token = [], None
    for line in outcome.out.split("\n"):
        if token is not None:
            token = None if line.strip() == f"::{token}::" else token
        elif line.startswith("::stop-commands::"):
            token = line.removeprefix("::stop-commands::")
        elif line.lstrip().startswith("::") or "##[" in line:
            found.append(line)
    assert token is None
    return found


def outputs(path: Path) -> dict[str, str]:
    found = re.findall(r"^(\w+)<<(\w+)\n(.*?)\n\2$", path.read_text(), re.DOTALL | re.MULTILINE)
    return {name: value for name, _, value in found}


def test_annotations_stay_within_the_runners_limits_and_are_nothing_else(hostile: Lab) -> None:
    obeyed = runner(hostile.ok("plan", "--output", "github"))
    levels = [line.split("::")[1].split(" ")[0] for line in obeyed]
    assert levels.count("error") == 10
    assert levels.count("warning") == 10
    assert set(levels) == {"error", "warning", "notice"}
    assert f"{len(NAMES) - 9} more of this kind" in obeyed[9]
    assert "public." + "x" * 20 in "".join(obeyed), "the largest tables come first"


def test_an_annotation_points_at_the_line_in_the_repository(hostile: Lab) -> None:
    first = runner(hostile.ok("plan", "--output", "github"))[0]
    line = 6 + NAMES.index("\x1b[31mred")
    assert first.startswith(f"::error file=workspace/jobs/daily.yaml,line={line},col=3,title=")
    assert first.isprintable()


def test_values_are_escaped_as_the_runner_unescapes_them() -> None:
    place = Place("jobs/a,b:c%.yaml", 1, 2)
    found = [Finding(Weight.BLOCKED, "c", "t::, %", "50 %\nno\r::set-output name=a::b", place)]
    assert commands(found) == [
        "::error file=jobs/a%2Cb%3Ac%25.yaml,line=1,col=2,title=t%3A%3A%2C %25::"
        "50 %25%0Ano%0D::set-output name=a::b"
    ]


def test_summary_and_outputs_are_written(hostile: Lab, tmp_path: Path) -> None:
    hostile.ok("plan", "--output", "github")
    check_markdown((tmp_path / "summary.md").read_text())
    found = outputs(tmp_path / "output")
    plan = json.loads(hostile.ok("plan", "--json").out)
    assert found == {
        "exitcode": "3",
        "has_changes": "true",
        "destructive": "true",
        "blocked": "true",
        "plan_hash": plan["plan_hash"],
        "summary": f"Plan: 0 to add, 0 to change, {len(NAMES)} to rebuild, 0 to remove, 0 to destroy.",
    }


def test_a_saved_plan_reports_like_the_plan_itself(hostile: Lab, tmp_path: Path) -> None:
    hostile.ok("plan", "--out", "../saved.plan")
    assert runner(hostile.ok("show", "../saved.plan", "--output", "github")) == runner(
        hostile.ok("plan", "--output", "github")
    )


def test_a_full_summary_is_not_overrun(hostile: Lab, tmp_path: Path) -> None:
    (tmp_path / "summary.md").write_bytes(b"x" * (1024 * 1024 - 100))
    assert "is full" in hostile.ok("plan", "--output", "github").err
    assert (tmp_path / "summary.md").stat().st_size <= 1024 * 1024


def test_mistakes_in_the_files_are_annotations_too(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": DAILY_YAML + "  public.items: {sync_mode: often}\n"})
    failed = lab.run("plan", "--output", "github")
    assert failed.code == 1
    assert runner(failed)[0].startswith("::error file=jobs/daily.yaml,line=8,col=29,title=bad-value::")


def test_no_changes_are_an_output_and_no_annotation(lab: Lab, tmp_path: Path) -> None:
    lab.apply()
    lab.environment["GITHUB_OUTPUT"] = str(tmp_path / "output")
    assert runner(lab.ok("plan", "--output", "github")) == []
    assert outputs(tmp_path / "output")["has_changes"] == "false"
    assert outputs(tmp_path / "output")["exitcode"] == "0"


def test_gitlab_gets_a_code_quality_report_counts_and_markdown(hostile: Lab) -> None:
    hostile.ok("plan", "--output", "gitlab")
    report = json.loads((hostile.root / "gl-code-quality-report.json").read_text())
    assert {"description", "check_name", "fingerprint", "severity", "location"} == set(report[0])
    assert report[0]["severity"] == "blocker"
    assert report[0]["location"] == {
        "path": "workspace/jobs/daily.yaml",
        "lines": {"begin": 6 + NAMES.index("\x1b[31mred")},
    }
    assert len({entry["fingerprint"] for entry in report}) == len(report) == 2 * len(NAMES)
    counts = json.loads((hostile.root / "gl-plan-report.json").read_text())
    assert counts == {"create": len(NAMES), "update": 0, "delete": len(NAMES)}
    check_markdown((hostile.root / "gl-plan.md").read_text())
    assert not [p for p in hostile.root.glob("gl-*") if CANARY in p.read_text()]


def test_mistakes_in_the_files_are_code_quality_too(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": DAILY_YAML + "  public.items: {sync_mode: often}\n"})
    assert lab.run("plan", "--output", "gitlab").code == 1
    report = json.loads((lab.root / "gl-code-quality-report.json").read_text())
    assert [entry["check_name"] for entry in report] == ["bad-value"]


def test_one_form_at_a_time(lab: Lab) -> None:
    assert lab.run("plan", "--json", "--markdown").code == 64
    assert lab.run("plan", "--markdown", "--output", "github").code == 64
