"""What the loop tells its operator: each thing once, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from olake_reconcile.model.event import Level
from olake_reconcile.model.run import Run


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened. `action` is a stable word for programs; `run` is set when a run has ended."""

    level: Level
    action: str
    message: str
    job: str = ""
    run: Run | None = None


OnNotice = Callable[[Notice], None]
