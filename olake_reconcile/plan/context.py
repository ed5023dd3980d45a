"""What every part of the planner reads, gathered once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from olake_reconcile.model.desired import Desired
from olake_reconcile.model.names import Address
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.stored import Stored
from olake_reconcile.plan.options import Options


class Verdict(StrEnum):
    """Whether an endpoint is still the server that it was."""

    SAME = "same"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Context:
    """The three sides, the options, and what was decided about the endpoints before the jobs are looked at."""

    desired: Desired
    stored: Stored
    observed: Observed
    options: Options
    verdicts: Mapping[Address, Verdict] = field(default_factory=dict)
    # What got its name in this plan, with the name that it had; `stored` has the new one.
    moved: Mapping[Address, Address] = field(default_factory=dict)

    @property
    def prunes(self) -> bool:
        """Whether jobs that no file declares leave. An empty workspace is more likely a mistake than a wish.

        Who narrows a plan thinks of what is named: then the files' `safety.prune` deletes nothing, `--prune` alone does.
        """
        always = self.desired.project.safety.prune and not self.options.narrowing
        wanted = self.options.prune or always
        return wanted and bool(self.desired.jobs)
