"""What an apply's record says beside its plan and its end: environment, git commit, consent, what was left out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from olake_reconcile.plan.plan import Plan
from olake_reconcile.reconcile.services import Services

_SECONDS = 10
_PARTS = ("olake.yaml", "jobs", "environments", "policies")
# Secrets are none of git's business, and it asks nobody for one.
_PASSED = ("PATH", "HOME", "XDG_CONFIG_HOME")
_SET = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"}


def record_detail(services: Services, plan: Plan, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the detail of an apply that begins now; `given` is what only whoever asked for it knows."""
    detail: dict[str, Any] = {"environment": services.environment}
    if (checkout := checkout_of(services.root)) is not None:
        detail["git"] = checkout
    if plan.narrowed is not None:
        detail["narrowed"] = plan.narrowed.flags
    return detail | dict(given)


def checkout_of(root: Path) -> dict[str, Any] | None:
    """Return the commit and branch of the files, and whether they differ from it; None where git cannot say."""
    passed = {k: v for k, v in os.environ.items() if k in _PASSED or k.startswith("GIT_CONFIG")}
    options = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    try:
        done = subprocess.run(
            ["git", *options, "status", "--porcelain=v2", "--branch", "--", *_PARTS],
            cwd=root,
            env=passed | _SET,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return _read(done.stdout.decode(errors="replace").splitlines())


def _read(lines: list[str]) -> dict[str, Any] | None:
    headings = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    commit, branch = headings.get("branch.oid", ""), headings.get("branch.head", "")
    if not commit or commit == "(initial)":
        return None
    return {
        "commit": commit,
        "branch": None if branch == "(detached)" else branch,
        "dirty": any(not line.startswith("#") for line in lines),
    }
