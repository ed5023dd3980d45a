"""`plan --base REF`: against the files at a git revision, read without trusting the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.workspaces import CANARY, DAILY_YAML, PROJECT_YAML, Lab, a_lab

FILTERED = DAILY_YAML.replace("public.orders:", "public.orders: {filter: id > 7}")
FIXED = {
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": "2026-03-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_COMMITTER_DATE": "2026-03-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


def git(folder: Path, *arguments: str, given: bytes | None = None) -> str:
    """Run git as nobody in particular."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **FIXED},
        input=given,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


def committed(folder: Path, message: str = "one") -> str:
    """Commit everything in `folder`; return the commit."""
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message, "--allow-empty")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Lab:
    """A committed workspace with an edit on top that is not."""
    lab = a_lab(tmp_path)
    committed(lab.root)
    lab.write({"jobs/daily.yaml": FILTERED})
    return lab


def test_a_change_shows_as_if_the_base_had_been_applied_and_synced(repository: Lab) -> None:
    shown = repository.ok("plan", "--base", "HEAD")
    assert "daily/public.orders must be rebuilt" in shown.out
    assert "1 to rebuild" in shown.out
    assert "as if they had been applied" in shown.out
    assert "streams count as synced" in shown.err
    assert CANARY not in shown.text


def test_the_document_names_the_commit_that_it_was_made_against(repository: Lab) -> None:
    document = json.loads(repository.ok("plan", "--base", "main", "--json").out)
    assert document["against"] == {"kind": "revision", "revision": git(repository.root, "rev-parse", "HEAD")}
    assert document["new_state"] is False


def test_an_unchanged_workspace_has_no_changes(repository: Lab) -> None:
    repository.write({"jobs/daily.yaml": DAILY_YAML})
    assert "No changes." in repository.ok("plan", "--base", "HEAD").out


def test_it_plans_without_secrets_and_without_a_state(repository: Lab) -> None:
    del repository.environment["SHOP_PASSWORD"]
    state = "state: {url: '${env:STATE_URL_NOT_SET}'}\n"
    repository.write({"olake.yaml": PROJECT_YAML.replace("name: analytics\n", f"name: analytics\n{state}")})
    repository.environment["CI"] = "true"
    assert "1 to rebuild" in repository.ok("plan", "--base", "HEAD", "--no-refresh").out
    assert not (repository.root / ".olake/state.db").exists()


def test_what_was_planned_against_a_revision_is_shown_but_never_applied(repository: Lab) -> None:
    repository.ok("plan", "--base", "HEAD", "--out", "../pr.plan")
    assert "must be rebuilt" in repository.ok("show", "../pr.plan").out
    refused = repository.run("apply", "../pr.plan")
    assert refused.code == 4
    assert "not against a state" in refused.err


def test_a_base_without_a_workspace_makes_everything_new(tmp_path: Path) -> None:
    lab = a_lab(tmp_path, {})
    committed(lab.root)
    lab.write({"olake.yaml": PROJECT_YAML, "jobs/daily.yaml": DAILY_YAML})
    lab.environment["CI"] = "true"
    assert "which has no workspace: everything is new" in lab.ok("plan", "--base", "HEAD").out


def test_a_workspace_may_be_a_folder_of_the_repository(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    (lab.folder / "jobs").mkdir()
    (lab.folder / "jobs/other.yaml").write_text("no: workspace of ours")
    committed(lab.folder)
    lab.write({"jobs/daily.yaml": FILTERED})
    assert "1 to rebuild" in lab.ok("plan", "--base", "HEAD").out


def test_mistakes_at_the_base_are_named_and_nothing_is_planned(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    lab.write({"jobs/daily.yaml": DAILY_YAML + "  public.items: {sync_mode: often}\n"})
    committed(lab.root)
    lab.write({"jobs/daily.yaml": DAILY_YAML})
    refused = lab.run("plan", "--base", "HEAD")
    assert refused.code == 1
    assert "jobs/daily.yaml:8" in refused.err
    assert "the workspace at HEAD has mistakes" in refused.err


@pytest.mark.parametrize("ref", ["nowhere", "--output=/tmp/x", "HEAD:jobs", "", "HEAD^{tree}", "a\nb"])
def test_what_names_no_commit_is_refused(repository: Lab, ref: str) -> None:
    refused = repository.run("plan", f"--base={ref}")
    assert refused.code == 1
    assert "git knows no commit" in refused.err or "names no git revision" in refused.err


def test_a_shallow_clone_is_told_how_to_get_the_rest(repository: Lab, tmp_path: Path) -> None:
    first = git(repository.root, "rev-parse", "HEAD")
    committed(repository.root, "two")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository.root}", str(clone))
    shutil.rmtree(repository.root)
    clone.rename(repository.root)
    refused = repository.run("plan", "--base", first)
    assert refused.code == 1
    assert "shallow" in refused.err
    assert "fetch-depth: 0" in refused.err


def test_a_partial_clone_is_told_so_and_nothing_is_fetched(repository: Lab, tmp_path: Path) -> None:
    git(repository.root, "config", "uploadpack.allowFilter", "true")
    committed(repository.root, "two")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{repository.root}", str(clone))
    shutil.rmtree(repository.root)
    clone.rename(repository.root)
    refused = repository.run("plan", "--base", "HEAD^1")
    assert refused.code == 1
    assert "the clone is partial" in refused.err.lower()


def test_a_workspace_in_no_repository_is_told_so(lab: Lab) -> None:
    lab.environment["GIT_CEILING_DIRECTORIES"] = str(lab.folder.parent)
    refused = lab.run("plan", "--base", "HEAD")
    assert refused.code == 1
    assert "in no git repository" in refused.err


def test_without_git_the_error_says_so(repository: Lab) -> None:
    repository.environment["PATH"] = "/nonexistent"
    refused = repository.run("plan", "--base", "HEAD")
    assert refused.code == 1
    assert "git is not installed" in refused.err


def test_nothing_of_the_repository_runs(repository: Lab, tmp_path: Path) -> None:
    """Hooks, filters, text conversions and monitors are programs that somebody else chose."""
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\ncat\n")
    trap.chmod(0o755)
    hooks = repository.root / ".git/hooks"
    for hook in ("post-checkout", "post-index-change", "reference-transaction", "post-merge"):
        shutil.copy(trap, hooks / hook)
    repository.write({".gitattributes": "*.yaml filter=trap diff=trap\n"})
    committed(repository.root, "attributes")
    for key in (
        "filter.trap.smudge",
        "filter.trap.clean",
        "diff.trap.textconv",
        "core.fsmonitor",
        "core.pager",
    ):
        git(repository.root, "config", key, str(trap))
    (tmp_path / "sprung").unlink(missing_ok=True)
    repository.ok("plan", "--base", "HEAD")
    assert not (tmp_path / "sprung").exists()


def test_the_working_tree_and_the_index_stay_as_they_are(repository: Lab) -> None:
    before = (
        git(repository.root, "status", "--porcelain", "-uno"),
        (repository.root / ".git/index").read_bytes(),
    )
    repository.ok("plan", "--base", "HEAD")
    assert before == (
        git(repository.root, "status", "--porcelain", "-uno"),
        (repository.root / ".git/index").read_bytes(),
    )


def test_links_out_of_the_workspace_are_not_followed(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    secret = tmp_path / "secret.yaml"
    secret.write_text("kind: Job\nname: stolen\n")
    (lab.root / "jobs/link.yaml").symlink_to(secret)
    committed(lab.root)
    (lab.root / "jobs/link.yaml").unlink()
    refused = lab.run("plan", "--base", "HEAD")
    assert refused.code == 1
    assert "leads out of the workspace" in refused.err
    assert "stolen" not in refused.text


@pytest.mark.parametrize("name", ["..", "."])
def test_a_tree_with_names_that_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    lab = a_lab(tmp_path)
    committed(lab.root)
    blob = git(lab.root, "hash-object", "-w", "--stdin", given=b"kind: Job\n")
    olake = git(lab.root, "rev-parse", "HEAD:olake.yaml")
    inner = _tree(lab.root, [("100644", "evil.yaml", blob)])
    jobs = _tree(lab.root, [("40000", name, inner)])
    top = _tree(lab.root, [("40000", "jobs", jobs), ("100644", "olake.yaml", olake)])
    commit = git(lab.root, "commit-tree", top, "-m", "evil")
    refused = lab.run("plan", "--base", commit)
    assert refused.code == 1
    assert not list(tmp_path.rglob("evil.yaml"))


def _tree(root: Path, entries: list[tuple[str, str, str]]) -> str:
    """Write a tree object as it is, without the checks of `mktree`."""
    content = b"".join(f"{m} {n}\0".encode() + bytes.fromhex(i) for m, n, i in entries)
    return git(root, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", given=content)


def test_a_file_beyond_the_limit_is_refused_like_any_other(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    lab.write({"jobs/large.yaml": "#" * 1_100_000})
    committed(lab.root)
    lab.remove("jobs/large.yaml")
    refused = lab.run("plan", "--base", "HEAD")
    assert refused.code == 1
    assert "larger than 1,048,576 bytes" in refused.err


def test_base_and_exported_state_exclude_each_other(repository: Lab) -> None:
    assert repository.run("plan", "--base", "HEAD", "--state-from", "x.json").code == 64
