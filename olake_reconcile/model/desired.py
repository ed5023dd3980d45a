"""Desired: what the files say, after references, defaults and short forms have been resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from olake_reconcile.diagnostics import Diagnostic, Place
from olake_reconcile.model.endpoint import Destination, Source
from olake_reconcile.model.job import Job
from olake_reconcile.model.names import Address
from olake_reconcile.model.policy import Policy
from olake_reconcile.model.project import Project
from olake_reconcile.model.table import TablePlace


class Origins(Protocol):
    """Knows which line of which file a setting came from."""

    def place(self, address: Address, setting: str = "") -> Place | None:
        """Return where `setting` of the resource was decided (the default that won included).

        Without a setting, or when nothing in the files sets it: where the resource itself stands.
        """
        ...


class NoOrigins:
    """For resources that come from no file."""

    def place(self, address: Address, setting: str = "") -> Place | None:
        """Return None: nothing is known."""
        return None


@dataclass(frozen=True, slots=True)
class Approval:
    """Consent that was committed: `change` fits one transition of one resource, and so expires by itself."""

    address: str
    allow: Literal["rebuild", "delete"]
    change: str
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Moved:
    """A resource that has another name now: what is stored under the old one is its own."""

    before: Address
    after: Address
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Imported:
    """A stream, or all streams of a job, whose table exists already and shall be ours from now on."""

    address: Address
    table: TablePlace | None = None
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Removed:
    """A job or stream that was taken out on purpose, and what happens to its data."""

    address: Address
    data: Literal["keep", "erase"] = "keep"
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Desired:
    """A whole workspace without mistakes. `warnings` were found on the way and stop nothing."""

    project: Project
    sources: Mapping[str, Source]
    destinations: Mapping[str, Destination]
    jobs: Mapping[str, Job]
    approvals: tuple[Approval, ...] = ()
    moves: tuple[Moved, ...] = ()
    imports: tuple[Imported, ...] = ()
    removals: tuple[Removed, ...] = ()
    policies: tuple[Policy, ...] = ()
    origins: Origins = field(default_factory=NoOrigins, compare=False)
    warnings: tuple[Diagnostic, ...] = field(default=(), compare=False)
