"""An apply that dies at a step of its journal, as far as the state can tell: nothing is finished, nothing undone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from olake_reconcile.plan.options import Options
from olake_reconcile.reconcile.apply import ApplyOptions, apply_plan
from olake_reconcile.reconcile.observe import make_plan
from olake_reconcile.wiring import read_offline
from tests.workspaces import Lab


class Killed(BaseException):
    """Nothing in the product catches it."""


def kill_at(lab: Lab, at: int, options: Options | None = None) -> bool:
    """Apply what the files say and die at the given event, from 1; tell whether there were that many."""
    services = lab.services()
    with lab.surroundings():
        desired = read_offline(lab.root, services.secrets).desired
        assert desired is not None
        plan = make_plan(services, desired, {}, options or Options(), connect=True)[0]
        try:
            apply_plan(services, lambda: plan, _dying(at), ApplyOptions())
        except Killed:
            return True
    return False


def _dying(at: int) -> Callable[[object], None]:
    seen = 0

    def die(step: object) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            raise Killed

    return die


def every_point(check: Callable[[int], bool], step: int = 1, most: int = 60) -> None:
    """Kill at one point after the other (or every so many), until the apply gets through."""
    for at in range(1, most, step):
        if not check(at):
            assert at > 1
            return
    pytest.fail(f"there are more than {most} points")
