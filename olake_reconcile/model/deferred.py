"""Streams of a job that are made into models when somebody looks at one: of 500 jobs a plan concerns a few.

How many there are is known at once, and their digest without making any: two sides with equal digests are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.table import TablePlace

Made = TypeVar("Made")


class Deferred(Mapping[StreamId, Made]):
    """A read-only mapping of `size` streams. The functions are called when first needed, once.

    `present` counts those that no file has taken out; None: that is all of them.
    """

    def __init__(
        self,
        size: int,
        make: Callable[[], Mapping[StreamId, Made]],
        digest: Callable[[], str | None],
        present: Callable[[], int] | None = None,
        relied_on: Callable[[], Collection[TablePlace]] = tuple,
    ) -> None:
        self._size = size
        self._make = make
        self._digest = digest
        self._present = present
        self._relied_on = relied_on

    @cached_property
    def _made(self) -> Mapping[StreamId, Made]:
        return self._make()

    @cached_property
    def digest(self) -> str | None:
        """What the streams mean together; None when only a look at each can tell."""
        return self._digest()

    @cached_property
    def present(self) -> int:
        """How many of the streams no file has taken out."""
        return self._size if self._present is None else self._present()

    @cached_property
    def relied_on(self) -> Collection[TablePlace]:
        """The tables that positions of the streams rely on."""
        return self._relied_on()

    def __getitem__(self, stream: StreamId) -> Made:
        """Return a stream."""
        return self._made[stream]

    def __iter__(self) -> Iterator[StreamId]:
        """Yield the ids, in the order of the mapping that is made."""
        return iter(self._made)

    def __len__(self) -> int:
        """Return how many streams there are."""
        return self._size

    def __repr__(self) -> str:
        """Look like a mapping: tests and errors show models."""
        return repr(dict(self))


def digest_of(fingerprints: Iterable[tuple[StreamId, str]]) -> str:
    """Return the digest of streams, given the fingerprint of each one's canonical form; their order does not count."""
    return fingerprint(sorted([stream.namespace, stream.name, mark] for stream, mark in fingerprints))


def equal_digests(one: Mapping[StreamId, object], other: Mapping[StreamId, object]) -> bool:
    """Whether both sides are known to mean the same; False says nothing."""
    if not (isinstance(one, Deferred) and isinstance(other, Deferred)):
        return False
    return one.digest is not None and one.digest == other.digest
