"""A policy: a rule of the workspace over every plan, in the Common Expression Language."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from olake_reconcile.diagnostics import Place

Scope = Literal["change", "plan"]
Effect = Literal["warn", "deny"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What is looked at once for each change, or once for the plan; `when` is true for what is not wanted.

    `exempt` are addresses (globs allowed) that the policy is not about. `place` is where `when` stands.
    """

    name: str
    when: str
    effect: Effect
    scope: Scope = "change"
    message: str = ""
    exempt: tuple[str, ...] = ()
    place: Place | None = field(default=None, compare=False)
