"""The formats of the state store, one module per step, never edited after its release.

`FORMAT` is the newest format that this program knows. Whoever changes a table, or what a stored record may hold,
adds a step: an older program must refuse the store rather than lose what it does not understand.
"""

from __future__ import annotations

import sqlalchemy as sa

FORMAT = 2


def migrate(connection: sa.Connection, stored: int) -> None:
    """Bring the tables from format `stored` (0: none yet) to `FORMAT`, inside the caller's transaction."""
    # Alembic is slow to import and needed once in the life of a format.
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    from olake_reconcile.state.migrations import v0001_first, v0002_queue

    steps = (v0001_first.upgrade, v0002_queue.upgrade)
    operations = Operations(MigrationContext.configure(connection))
    for step in steps[stored:]:
        step(operations)
