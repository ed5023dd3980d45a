"""Command lines that are killed, for real, at a chosen moment: in a process of their own, by SIGKILL."""

from __future__ import annotations

import functools
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from olake_reconcile.engine.scripted import ScriptedEngine
from olake_reconcile.state.store import SqlStore
from tests.workspaces import Lab

# Everything that an apply writes, inside and outside the store.
WRITES: list[tuple[type[Any], str]] = [
    (SqlStore, "begin_apply"),
    (SqlStore, "step"),
    (SqlStore, "save_endpoint"),
    (SqlStore, "remove_endpoint"),
    (SqlStore, "save_job"),
    (SqlStore, "set_due"),
    (SqlStore, "begin_run"),
    (SqlStore, "save_outcome"),
    (SqlStore, "end_run"),
    (SqlStore, "end_apply"),
    (ScriptedEngine, "clear"),
]


def copy_of(lab: Lab, folder: Path) -> Lab:
    """Return a lab of its own with the same files, state and world."""
    folder.mkdir()
    shutil.copytree(lab.root, folder / "workspace")
    shutil.copytree(lab.world_folder, folder / "world")
    return Lab(folder)


def killed_at(lab: Lab, moment: int, *arguments: str) -> bool:
    """Run a command line that kills itself before its `moment`-th write; tell whether it got that far.

    Nothing is written in between: before one write is after the last one.
    """
    child = os.fork()
    if child == 0:
        _die_at(moment, lambda: lab.run(*arguments))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the child failed"
    return False


def _die_at(moment: int, act: Callable[[], object]) -> None:
    """Do it in this process, which ends here in any case."""
    passed = 0

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def write(*args: Any, **kwargs: Any) -> Any:
            nonlocal passed
            if passed == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            passed += 1
            return method(*args, **kwargs)

        return write

    code = 1
    try:
        for kind, name in WRITES:
            mock.patch.object(kind, name, counted(getattr(kind, name))).start()
        act()
        code = 0
    finally:
        os._exit(code)
