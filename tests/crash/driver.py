"""A warm process that forks one child per command line, so that a kill costs a fork and no start of Python.

Each child wires the real services over a workspace's scripted world, runs real command lines, and kills itself with
SIGKILL right before or right after the n-th call that changes something outside. The product knows nothing of it.

    python -m tests.crash.driver        one JSON request a line on stdin, one JSON answer a line on stdout
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

# Loaded here, once: every child needs them.
import olake_reconcile.cli.view_plan
import olake_reconcile.reconcile.clear
import olake_reconcile.reconcile.loop
import olake_reconcile.spec.workspace
import olake_reconcile.state.store  # noqa: F401
from olake_reconcile import wiring
from olake_reconcile.model.project import Project
from olake_reconcile.reconcile.services import Services
from olake_reconcile.secrets import Secrets
from olake_reconcile.state.base import StateReader, StateStore
from tests.workspaces import Lab

#: What writes to the store: all that a reader has not, but for the heartbeat, which comes when it comes.
STORE_CALLS = (
    {n for n in dir(StateStore) if not n.startswith("_")}
    - set(dir(StateReader))
    - {"renew", "cancel_requested"}
)
ENGINE_CALLS = {"prepare_clear", "clear", "adopt", "sync"}

Watch = Callable[[str, int, str], None]


class Counted:
    """Passes everything on to `inner`; calls of `names` are counted in `calls`, and watched."""

    def __init__(self, inner: Any, names: set[str], calls: list[str], watch: Watch) -> None:
        self._inner = inner
        self._names = names
        self._calls = calls
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return _counted(name, found, self._calls, self._watch) if name in self._names else found


def _counted(name: str, found: Callable[..., Any], calls: list[str], watch: Watch) -> Callable[..., Any]:
    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        number = len(calls)
        watch(name, number, "before")
        result = found(*arguments, **named)
        watch(name, number, "after")
        return result

    return counted


def watched(services: Services, calls: list[str], watch: Watch) -> Services:
    """Return the services with every call that changes something outside counted and watched."""
    store: Any = Counted(services.store, STORE_CALLS, calls, watch)
    engine: Any = Counted(services.engine, ENGINE_CALLS, calls, watch)
    return replace(services, store=store, engine=engine)


def _watch_files(calls: list[str], watch: Watch) -> None:
    """Count what the real engine does inside a clear: the table leaves the catalog, then its files go."""
    from pyiceberg.catalog.sql import SqlCatalog

    from olake_reconcile.destinations.iceberg import clear

    for owner, name in ((SqlCatalog, "drop_table"), (clear, "delete_files"), (clear, "remove_empty_folders")):
        setattr(owner, name, _counted(name, getattr(owner, name), calls, watch))


def _run(request: dict[str, Any]) -> dict[str, Any]:
    """Run the request's command lines in this process, which may not survive it."""
    calls: list[str] = []
    kill = request.get("kill")

    def watch(name: str, number: int, when: str) -> None:
        if kill == [number, when]:
            os.kill(os.getpid(), signal.SIGKILL)

    original = wiring.services_for

    def services_for(root: Path, project: Project, secrets: Secrets) -> Services:
        return watched(original(root, project, secrets), calls, watch)

    wiring.services_for = services_for
    lab = Lab(Path(request["folder"]))
    lab.environment |= request.get("environment", {})
    if request["real"]:
        del lab.environment["OLAKE_RECONCILE_SCRIPTED_WORLD"]
        _watch_files(calls, watch)
    outcomes = [asdict(lab.run(*command)) for command in request["commands"]]
    return {"outcomes": outcomes, "calls": calls}


def _fork(request: dict[str, Any], gate: int, hold: int) -> tuple[int, int]:
    """Start a child, which begins when nobody holds the gate; return its pid and where its answer comes."""
    answer, tell = os.pipe()
    pid = os.fork()
    if pid:
        os.close(tell)
        return pid, answer
    try:
        os.close(hold)
        os.close(answer)
        os.read(gate, 1)
        result = _run(request)
    except BaseException:
        result = {"error": traceback.format_exc()}
    with os.fdopen(tell, "w") as file:
        json.dump(result, file)
    os._exit(0)


def _together(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run the requests at once, each in a child of its own; return what they answered, in their order."""
    if any(request["real"] for request in requests):
        import olake_reconcile.engine.full_refresh  # noqa: F401
    gate, hold = os.pipe()
    children = [_fork(request, gate, hold) for request in requests]
    os.close(hold)
    os.close(gate)
    answers = []
    for pid, answer in children:
        with os.fdopen(answer) as file:
            text = file.read()
        _, status = os.waitpid(pid, 0)
        answers.append({**(json.loads(text) if text else {}), "killed": os.WIFSIGNALED(status)})
    return answers


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(_together(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
