"""The test's side of the driver: ask for command lines in forked children, killed or not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.workspaces import Outcome

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Child:
    """What became of one child: whether it was killed, what its commands printed, which calls it made."""

    killed: bool
    outcomes: tuple[Outcome, ...]
    calls: tuple[str, ...]

    @property
    def last(self) -> Outcome:
        """How its last command ended."""
        return self.outcomes[-1]


class Driver:
    """A running driver."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.crash.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def close(self) -> None:
        """Let it end, and wait for it."""
        self._process.communicate()

    def together(self, *requests: Mapping[str, Any]) -> list[Child]:
        """Run the requests at once, each in a child of its own."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(requests) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the driver died"
        return [_child(found) for found in json.loads(answer)]

    def run(
        self,
        folder: Path,
        *commands: Sequence[str],
        environment: Mapping[str, str] | None = None,
        kill: tuple[int, str] | None = None,
        real: bool = False,
    ) -> Child:
        """Run command lines, one after the other, in one child, killed before or after its n-th call."""
        return self.together(request(folder, *commands, environment=environment, kill=kill, real=real))[0]


def request(
    folder: Path,
    *commands: Sequence[str],
    environment: Mapping[str, str] | None = None,
    kill: tuple[int, str] | None = None,
    real: bool = False,
) -> dict[str, Any]:
    """Return what to ask the driver for; with `real` the engine is the real one."""
    return {
        "folder": str(folder),
        "commands": commands,
        "environment": dict(environment or {}),
        "kill": kill,
        "real": real,
    }


def _child(found: dict[str, Any]) -> Child:
    assert "error" not in found, found["error"]
    outcomes = tuple(Outcome(**o) for o in found.get("outcomes", ()))
    return Child(found["killed"], outcomes, tuple(found.get("calls", ())))
