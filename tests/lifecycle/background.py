"""Command lines in processes of their own, for what goes on while something else is tried."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from olake_reconcile.model.run import RunStatus
from tests.workspaces import Lab


class Background:
    """A command line that is running: wait for a line it prints, or for its end."""

    def __init__(self, lab: Lab, *arguments: str) -> None:
        self._lab = lab
        self.process = subprocess.Popen(
            [sys.executable, "-m", "olake_reconcile", "-C", str(lab.root), *arguments],
            env={**os.environ, **lab.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(self, text: str) -> None:
        """Wait until it has printed a line with `text`."""
        assert self.process.stdout is not None
        seen = ""
        for line in self.process.stdout:
            seen += line
            if text in line:
                return
        raise AssertionError(f"ended without printing {text!r}:\n{seen}")

    def run_pid(self) -> int:
        """Return the process of the run that goes on: a child of the command's."""
        run = next(run for run in self._lab.store.runs(limit=1) if run.status is RunStatus.RUNNING)
        assert run.holder is not None
        return run.holder.pid

    def end(self) -> tuple[int, str]:
        """Wait for its end; return the exit code and what it printed since the last wait."""
        rest, _ = self.process.communicate(timeout=60)
        return self.process.returncode, rest


@contextmanager
def background(lab: Lab, *arguments: str) -> Iterator[Background]:
    """Run a command line beside the test; killed at the end if it is still there."""
    running = Background(lab, *arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.communicate()


@contextmanager
def a_running_sync(lab: Lab) -> Iterator[Background]:
    """Run `sync daily`, held up in the load of public.customers."""
    lab.world(held_up=["public.customers"])
    with background(lab, "sync", "daily") as running:
        running.wait_for("public.customers: loading")
        yield running
