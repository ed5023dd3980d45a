"""Which waiting runs may start (design §7, `limits`). Pure.

The oldest first; one that has to wait for its source, or for rebuilds to end, lets those behind it pass that need not.
So whoever is oldest of those that wait for the same thing is always the next, and nobody waits for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from olake_reconcile.model.project import Limits
from olake_reconcile.model.run import Run


@dataclass(frozen=True, slots=True)
class Load:
    """What a run puts on the servers: its source, and whether it loads a table anew that was cleared."""

    source: str
    rebuilds: bool = False


def admitted(
    waiting: Iterable[Run], load: Callable[[Run], Load], going_on: Sequence[Load], limits: Limits
) -> list[Run]:
    """Return the runs of `waiting`, in order, that may start beside those that go on. Looks at no more than it must."""
    total = len(going_on)
    sources = Counter(x.source for x in going_on)
    rebuilds = sum(x.rebuilds for x in going_on)
    chosen: list[Run] = []
    for run in waiting:
        if total >= limits.runs:
            break
        its = load(run)
        if sources[its.source] >= limits.runs_per_source or (its.rebuilds and rebuilds >= limits.rebuilds):
            continue
        chosen.append(run)
        total += 1
        sources[its.source] += 1
        rebuilds += its.rebuilds
    return chosen
