"""Every error that this program raises on purpose, and the exit code that each stands for.

    ReconcileError            root; carries summary, why, remedy                       exit 1
    ├── InvalidWorkspace      the files are wrong; holds the diagnostics               exit 1
    ├── UsageError            the command line is wrong                               exit 64
    ├── Blocked               protection, policy, a paused job                         exit 3
    ├── StalePlan             the world moved since the plan was saved                 exit 4
    ├── Locked                another process holds the lock or lease                  exit 5
    ├── PartlyApplied         some jobs were applied, others were not                  exit 6
    ├── Interrupted           stopped by a signal or by `cancel`                     exit 130
    ├── Unreachable           a server did not answer: worth trying again              exit 1
    ├── OutcomeUnknown        a write may or may not have happened: look first         exit 1
    ├── OutOfSpace            a disk is full: worth trying again once it is not        exit 1
    ├── CannotGoOn            a stream fails until somebody settles it                 exit 1
    │   └── NeedsResync       what its position relied on is gone: only a rebuild helps
    └── DataRefused           the data does not fit, and the policy says fail          exit 1

A message says what is wrong (`summary`), why it matters (`why`) and what to do (`remedy`), in that
order. No message may hold a secret: those who raise pass values through `Secrets.redact` first.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from olake_reconcile.diagnostics import Diagnostic


class ExitCode(IntEnum):
    """What the shell sees (design §5); scripts are built on these numbers."""

    OK = 0
    ERROR = 1
    CHANGES = 2
    BLOCKED = 3
    STALE = 4
    LOCKED = 5
    PARTLY_APPLIED = 6
    USAGE = 64
    INTERRUPTED = 130


class ReconcileError(Exception):
    """Root of all errors that a user may see; anything else that escapes is a bug."""

    exit_code = ExitCode.ERROR
    #: Whether the same thing may go well later, with nothing changed by hand: a run is tried again only then.
    retryable = False

    def __init__(self, summary: str, *, why: str = "", remedy: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.why = why
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """Keep `why` and `remedy` when an error crosses a process boundary."""
        return (_rebuild, (type(self), self.summary, self.why, self.remedy), self.__dict__)

    def __str__(self) -> str:
        return "\n".join(part for part in (self.summary, self.why, self.remedy) if part)


def _rebuild(kind: type[ReconcileError], summary: str, why: str, remedy: str) -> ReconcileError:
    error = kind.__new__(kind)
    ReconcileError.__init__(error, summary, why=why, remedy=remedy)
    return error


class InvalidWorkspace(ReconcileError):
    """The files have mistakes; all of them are in `diagnostics`."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        count = sum(d.is_error for d in self.diagnostics)
        super().__init__(f"{count} {'mistake' if count == 1 else 'mistakes'} in the workspace")


class UsageError(ReconcileError):
    """The command line asks for something that does not exist or makes no sense."""

    exit_code = ExitCode.USAGE


class Blocked(ReconcileError):
    """Protection, a policy, a threshold or a pause forbids it; the remedy is a line to paste."""

    exit_code = ExitCode.BLOCKED


class StalePlan(ReconcileError):
    """A saved plan no longer fits what is deployed."""

    exit_code = ExitCode.STALE


class Locked(ReconcileError):
    """Somebody else holds the lock: the message says who, for what, since when."""

    exit_code = ExitCode.LOCKED


class PartlyApplied(ReconcileError):
    """Some jobs are applied and some are not; running `apply` again goes on."""

    exit_code = ExitCode.PARTLY_APPLIED


class Interrupted(ReconcileError):
    """Stopped by a signal or by `cancel`; what was committed stays."""

    exit_code = ExitCode.INTERRUPTED


class Unreachable(ReconcileError):
    """A server did not answer or refused us; nothing was changed and trying again may help."""

    retryable = True


class OutcomeUnknown(ReconcileError):
    """A commit was sent and its answer lost: look at the destination before doing it again."""

    retryable = True  # every run begins by looking


class OutOfSpace(ReconcileError):
    """A disk or a quota is full; what was being written has been removed."""

    retryable = True


class CannotGoOn(ReconcileError):
    """A stream fails each time until somebody settles it: it is quarantined, and its table stays as it is."""


class NeedsResync(CannotGoOn):
    """What a stream's position relied on is gone: only a rebuild helps, which the next plan proposes."""


class DataRefused(ReconcileError):
    """A value cannot be held by the destination and its policy is `fail`."""


class StateUnusable(ReconcileError):
    """The state store is damaged, newer than this program, or on a file system that cannot lock."""
