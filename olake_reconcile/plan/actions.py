"""The closed set of things that a plan can do to a resource, each with the symbol that people see.

What is shown and what is done come from these same values; both take them apart with `match`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from olake_reconcile.diagnostics import Place
from olake_reconcile.model.base import Model
from olake_reconcile.model.names import Address
from olake_reconcile.model.table import TablePlace
from olake_reconcile.plan.effects import Reason


class Consent(StrEnum):
    """How much agreement an action needs (design §5)."""

    SAFE = "safe"
    DESTRUCTIVE = "destructive"
    GUARDED = "guarded"


class SettingChange(Model):
    """One setting that differs. `before` and `after` are JSON in the file's words; None means unset.

    `forces` tells that this one alone would rebuild the table. `place` is the line that decided the new value.
    """

    setting: str
    before: Any = None
    after: Any = None
    forces: bool = False
    note: str = ""
    place: Place | None = None


class Loss(StrEnum):
    """History that a table holds and its source can no longer give back."""

    ROW_VERSIONS = "row_versions"  # append mode: every version of a row, the source has the newest
    SOFT_DELETED = "soft_deleted_rows"  # deleted at the source, kept here
    BEFORE_THE_LOG = "rows_before_the_log"  # strict_cdc loads no snapshot: the table begins anew

    @property
    def words(self) -> str:
        """What is lost, for people."""
        return _LOST[self]


_LOST = {
    Loss.ROW_VERSIONS: "older versions of rows (append keeps all, the source has the newest)",
    Loss.SOFT_DELETED: "soft-deleted rows",
    Loss.BEFORE_THE_LOG: "rows that change no more (strict_cdc loads no snapshot: the table begins anew)",
}


class Impact(Model):
    """What a destructive action costs, as far as metadata tells; None is unknown.

    `rows` and `bytes` will be cleared; `seconds` is the time until the table is full again, at `rate`
    rows per second, the speed of the stream's last load. `loses` is what no reload brings back, `soft_deleted` how many
    rows of it are soft deletes; `shared_with` names the streams of the same table and the jobs of the same slot.
    """

    rows: int | None = None
    bytes: int | None = None
    seconds: int | None = None
    rate: int | None = None
    soft_deleted: int | None = None
    loses: tuple[Loss, ...] = ()
    shared_with: tuple[str, ...] = ()


class Block(Model):
    """Why an action may not be done, and the line to paste that lets it.

    `approval` is the document to commit instead, where one would do.
    """

    code: str
    message: str
    remedy: str = ""
    approval: str = ""


class _Action(Model):
    address: Address
    consent: Consent = Consent.SAFE
    reasons: tuple[Reason, ...] = ()
    changes: tuple[SettingChange, ...] = ()
    unchanged: int = 0  # settings that both sides have and that are equal
    notes: tuple[str, ...] = ()
    blocked: tuple[Block, ...] = ()
    # What the action was made from: the serial of the stored record (0: there was none).
    serial: int = 0
    place: Place | None = None


class Create(_Action):
    """Not there yet: stored, and loaded by the next run."""

    action: Literal["create"] = "create"
    after: dict[str, Any]

    @property
    def symbol(self) -> str:
        """What people see."""
        return "+"


class Update(_Action):
    """Changed in place: nothing is cleared, a running sync goes on."""

    action: Literal["update"] = "update"
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    def symbol(self) -> str:
        """What people see."""
        return "~"


class Rebuild(_Action):
    """A stream's table is cleared at `old` and loaded in full at `new`.

    With `leaves_old` the old table stays: it is at a destination that the job no longer writes to.
    """

    action: Literal["rebuild"] = "rebuild"
    before: dict[str, Any]
    after: dict[str, Any]
    old: TablePlace
    new: TablePlace
    leaves_old: bool = False
    impact: Impact = Impact()

    @property
    def symbol(self) -> str:
        """What people see."""
        return "-/+"


class Remove(_Action):
    """No longer wanted. `erase` clears the stream's table at `old`; without it the data is kept."""

    action: Literal["remove"] = "remove"
    before: dict[str, Any]
    old: TablePlace | None = None
    erase: bool = False
    impact: Impact = Impact()

    @property
    def symbol(self) -> str:
        """What people see."""
        return "-"


class Import(_Action):
    """New to the state, and its table exists: adopted as it is, no row is touched.

    `uid` and `generation` are those of the table's marks, if it has any of ours.
    """

    action: Literal["import"] = "import"
    after: dict[str, Any]
    table: TablePlace
    uid: str = ""
    generation: int = 1

    @property
    def symbol(self) -> str:
        """What people see."""
        return "~"


class Forget(_Action):
    """No longer wanted, and what is stored of it is dropped; no table is touched."""

    action: Literal["forget"] = "forget"
    before: dict[str, Any]

    @property
    def symbol(self) -> str:
        """What people see."""
        return "."


class Move(_Action):
    """What is stored under the name `origin` has the name of `address` from now on; nothing else changes.

    Other edits of the resource are actions of their own.
    """

    action: Literal["move"] = "move"
    origin: Address

    @property
    def symbol(self) -> str:
        """What people see."""
        return "~"


class Keep(_Action):
    """Nothing to do."""

    action: Literal["keep"] = "keep"
    after: dict[str, Any]

    @property
    def symbol(self) -> str:
        """What people see."""
        return " "


Action = Annotated[
    Create | Import | Update | Rebuild | Remove | Forget | Move | Keep, Field(discriminator="action")
]


def is_change(action: Action) -> bool:
    """Whether anything would be done."""
    return not isinstance(action, Keep)


def is_clear(action: Action) -> bool:
    """Whether data would be cleared."""
    match action:
        case Rebuild():
            return not action.leaves_old
        case Remove():
            return action.erase
        case _:
            return False
