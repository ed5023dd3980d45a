"""The workflows of `docs/ci` as pasted: their form, and their steps run in a real repository with real files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from olake_reconcile.spec.files import ROOT_FILE
from tests.pull_requests.stub_gitlab import a_gitlab
from tests.pull_requests.test_base_revision import FIXED, committed, git
from tests.workspaces import CANARY, DAILY_YAML, a_lab

DOCS = Path(__file__).parents[2] / "docs" / "ci"
PLAN, APPLY, GITLAB = "github-plan.yml", "github-apply.yml", "gitlab-ci.yml"
FILTERED = DAILY_YAML.replace("public.orders:", "public.orders: {filter: id > 7}")
TOOLS = ("git", "jq", "curl", "bash", "head", "sed")


def load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load((DOCS / name).read_text())
    return document


def steps(name: str) -> dict[str, dict[str, Any]]:
    [job] = load(name)["jobs"].values()
    return {step.get("name", step.get("uses", "")): step for step in job["steps"]}


# Their form


@pytest.mark.parametrize("name", [PLAN, APPLY])
def test_a_workflow_is_one_that_github_takes(name: str) -> None:
    document = load(name)
    assert set(document) == {"name", "on", "permissions", "concurrency", "jobs"}
    assert document["permissions"] == {}, "each job asks for what it needs"
    [job] = document["jobs"].values()
    assert job["runs-on"]
    assert job["timeout-minutes"]
    for step in job["steps"]:
        assert ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/x@v1"))
        # What a title or a branch is called would be part of the script.
        assert "${{" not in step.get("run", "")
        assert "persist-credentials" in step["with"] if "checkout" in step.get("uses", "") else True


@pytest.mark.parametrize("name", [PLAN, APPLY])
def test_a_workflow_refers_to_steps_and_outputs_that_exist(name: str) -> None:
    text = (DOCS / name).read_text()
    source = (DOCS.parents[1] / "olake_reconcile/cli/github.py").read_text()
    ids = {step.get("id") for step in steps(name).values()}
    for step, output in re.findall(r"steps\.(\w+)\.outputs\.(\w+)", text):
        assert step in ids
        assert f'"{output}": ' in source


def test_the_plan_of_a_pull_request_writes_comments_and_nothing_else() -> None:
    [job] = load(PLAN)["jobs"].values()
    assert job["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert load(PLAN)["concurrency"]["cancel-in-progress"] is True
    assert set(load(PLAN)["on"]) == {"pull_request"}, "pull_request_target would give forks the secrets"


def test_applies_wait_for_each_other_and_are_never_cancelled() -> None:
    assert load(APPLY)["concurrency"] == {"group": "lake-apply", "cancel-in-progress": False}
    [job] = load(APPLY)["jobs"].values()
    assert set(job["permissions"].values()) == {"read"}
    assert job["environment"]


def test_every_secret_that_is_not_there_is_unset() -> None:
    [job] = load(PLAN)["jobs"].values()
    loop = re.search(r"for name in (.*?); do", steps(PLAN)["Plan"]["run"])
    assert loop
    assert set(loop[1].split()) == set(job["env"])


def test_the_pipeline_is_one_that_gitlab_takes() -> None:
    document = load(GITLAB)
    stages = document.pop("stages")
    for name, job in document.items():
        assert name == ".lake" or (job["extends"] == ".lake" and job["stage"] in stages)
        assert all(isinstance(line, str) for line in [*job.get("script", []), *job.get("before_script", [])])
    assert document["lake apply"]["resource_group"] == document["lake apply anyway"]["resource_group"]


# Their steps


class Checkout:
    """A repository with a workspace, a runner's files, and the commands that its steps find."""

    def __init__(self, folder: Path) -> None:
        self.lab = a_lab(folder)
        self.root = self.lab.root
        self.folder = folder
        (self.root / ".gitignore").write_text(
            ".olake\n*.plan\ncomment.md\nreviewed\ngl-*\n*.json\nheaders.txt\n"
        )
        self.world = folder / "gh"
        self.world.mkdir()
        for name in ("comments", "pulls", "runs"):
            (self.world / f"{name}.json").write_text("[]")
        commands = folder / "bin"
        commands.mkdir()
        for name, line in {
            "olake-reconcile": f'exec {sys.executable} -m olake_reconcile "$@"',
            "gh": f'exec {sys.executable} {Path(__file__).parent / "stub_gh.py"} "$@"',
            "pip": "exit 0",
            "apt-get": "exit 0",
        }.items():
            (commands / name).write_text(f"#!/bin/sh\n{line}\n")
            (commands / name).chmod(0o755)
        self.environment = {
            **FIXED,
            **self.lab.environment,
            "PATH": f"{commands}:{os.environ['PATH']}",
            "PYTHONPATH": str(DOCS.parents[1]),
            "HOME": str(folder),
            "CI": "true",
            "GH_WORLD": str(self.world),
            "GITHUB_WORKSPACE": str(self.root),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        }
        self.expressions = {
            "secrets.SHOP_PASSWORD": CANARY,
            "secrets.STATE_PASSWORD": "state-canary-77aa",
            "github.token": "token",
            "github.repository": "acme/lake",
            "github.event.pull_request.number": "3",
            "github.event_name": "push",
        }

    def commit_and_merge(self, files: Mapping[str, str]) -> str:
        """Commit an edit on a branch and merge it, as the runner checks a pull request out; return the branch's head."""
        git(self.root, "checkout", "-q", "-B", "edit")
        self.lab.write(files)
        head = committed(self.root, "edit")
        git(self.root, "checkout", "-q", "main")
        git(self.root, "merge", "-q", "--no-ff", "-m", "merge", "edit")
        return head

    def run(self, name: str, step: str, code: int = 0) -> str:
        """Run a step of a GitHub workflow; return what it printed."""
        [job] = load(name)["jobs"].values()
        found = steps(name)[step]
        given = {**job["env"], **found.get("env", {})}
        values = {key: self._expanded(value) for key, value in given.items()}
        return self.shell(["bash", "-e", "-c", found["run"]], values, code)

    def _expanded(self, value: str) -> str:
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: self.expressions[found[1]], value)

    def script(self, job: str, values: Mapping[str, str], code: int = 0) -> str:
        """Run a job of the GitLab pipeline, in one shell as its runner does."""
        document = load(GITLAB)
        lines = "\n".join([*document[".lake"]["before_script"], *document[job]["script"]])
        return self.shell(["bash", "-e", "-o", "pipefail", "-c", lines], values, code)

    def shell(self, command: list[str], values: Mapping[str, str], code: int) -> str:
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment | dict(values),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert CANARY not in done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def comments(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.world / "comments.json").read_text())
        return found

    def reviewed(self, head: str) -> None:
        """Make the plan of the pull request the artifact of its last run."""
        merge = self.expressions["github.sha"] = git(self.root, "rev-parse", "HEAD")
        pulls = [
            {"merge_commit_sha": "0" * 40, "head": {"sha": "1" * 40}},
            {"merge_commit_sha": merge, "head": {"sha": head}},
        ]
        (self.world / "pulls.json").write_text(json.dumps(pulls))
        (self.world / "runs.json").write_text('[{"databaseId": 41}]')
        (self.world / "artifact").mkdir()
        shutil.move(self.root / "lake.plan", self.world / "artifact" / "lake.plan")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        text = f"the steps need {', '.join(missing)}"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    made = Checkout(tmp_path)
    committed(made.root)
    made.lab.apply()
    made.lab.ok("sync", "daily")
    assert (made.root / ROOT_FILE).exists()
    return made


def test_a_pull_request_gets_one_comment_and_the_merge_applies_what_was_reviewed(checkout: Checkout) -> None:
    head = checkout.commit_and_merge({"jobs/daily.yaml": FILTERED})
    checkout.run(PLAN, "Install")
    checkout.run(PLAN, "Plan")
    checkout.run(PLAN, "Comment")
    checkout.run(PLAN, "Comment")
    [comment] = checkout.comments
    assert comment["body"].startswith("<!-- olake-reconcile plan 7f3c0d9e:default -->")
    assert "1 to rebuild" in comment["body"]
    assert "destructive<<" in (checkout.folder / "output").read_text()

    checkout.reviewed(head)
    checkout.run(APPLY, "Fetch the plan that was reviewed")
    checkout.run(APPLY, "Plan again")
    assert "The plans do the same." in checkout.run(APPLY, "Apply")
    assert "No changes." in checkout.lab.ok("plan").out


def test_what_is_not_what_was_reviewed_is_applied_by_hand_only(checkout: Checkout) -> None:
    head = checkout.commit_and_merge({"jobs/daily.yaml": FILTERED})
    checkout.run(PLAN, "Plan")
    checkout.commit_and_merge({"jobs/daily.yaml": FILTERED.replace("id > 7", "id > 8")})
    checkout.reviewed(head)
    checkout.run(APPLY, "Fetch the plan that was reviewed")
    checkout.run(APPLY, "Plan again")
    assert "not the reviewed one any more" in checkout.run(APPLY, "Apply", code=1)
    checkout.expressions["github.event_name"] = "workflow_dispatch"
    checkout.run(APPLY, "Apply")
    assert "No changes." in checkout.lab.ok("plan").out


def test_a_pull_request_from_a_fork_plans_without_secrets_or_state(checkout: Checkout) -> None:
    checkout.expressions |= {"secrets.SHOP_PASSWORD": "", "secrets.STATE_PASSWORD": ""}
    shutil.rmtree(checkout.root / ".olake")
    del checkout.environment["SHOP_PASSWORD"]
    checkout.commit_and_merge({"jobs/daily.yaml": FILTERED})
    shown = checkout.run(PLAN, "Plan")
    assert "as if they had been applied" in shown
    assert "1 to rebuild" in shown
    assert "sensitive value changed" not in shown
    assert not (checkout.root / ".olake/state.db").exists()


def test_without_a_reviewed_plan_nothing_is_applied(checkout: Checkout) -> None:
    checkout.commit_and_merge({"jobs/daily.yaml": FILTERED})
    checkout.expressions["github.sha"] = git(checkout.root, "rev-parse", "HEAD")
    checkout.run(APPLY, "Fetch the plan that was reviewed")
    checkout.run(APPLY, "Plan again")
    assert "No reviewed plan was found" in checkout.run(APPLY, "Apply", code=1)


def test_a_merge_request_gets_one_note_and_the_merge_applies_what_was_reviewed(checkout: Checkout) -> None:
    base = git(checkout.root, "rev-parse", "HEAD")
    checkout.commit_and_merge({"jobs/daily.yaml": FILTERED})
    with a_gitlab(checkout.folder / "artifact.plan") as server:
        values = {
            "GITLAB_TOKEN": server.token,
            "STATE_PASSWORD": "state-canary-77aa",
            "CI_API_V4_URL": server.url,
            "CI_PROJECT_ID": "7",
            "CI_MERGE_REQUEST_IID": "3",
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
            "CI_COMMIT_SHA": "c0ffee",
            "CI_PROJECT_DIR": str(checkout.root),
        }
        checkout.script("lake plan", values)
        checkout.script("lake plan", values)
        ours = [n["body"] for n in server.notes if "<!-- olake-reconcile plan" in n["body"]]
        assert len(ours) == 1
        assert "1 to rebuild" in ours[0]
        assert json.loads((checkout.root / "gl-plan-report.json").read_text()) == {
            "create": 1,
            "update": 0,
            "delete": 1,
        }
        shutil.move(checkout.root / "lake.plan", server.artifact)
        assert server.token not in checkout.script("lake apply", values)
    assert "No changes." in checkout.lab.ok("plan").out


def test_a_blocked_merge_request_fails_until_somebody_agrees(checkout: Checkout) -> None:
    protected = FILTERED.replace("{filter: id > 7}", "{filter: id > 7, protect: {rebuild: true}}")
    base = git(checkout.root, "rev-parse", "HEAD")
    checkout.commit_and_merge({"jobs/daily.yaml": protected})
    checkout.script("lake plan", {"CI_MERGE_REQUEST_DIFF_BASE_SHA": base}, code=1)
    assert "lake.plan" in os.listdir(checkout.root)
    assert "1 to rebuild" in checkout.lab.ok("plan").out
