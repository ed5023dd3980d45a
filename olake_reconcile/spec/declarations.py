"""Documents that say something about resources declared elsewhere: Approval, Moved, Import, Removed.

They are checked against what the other documents declare. What they mean for what is deployed is the planner's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from olake_reconcile.diagnostics import Place, did_you_mean
from olake_reconcile.model.desired import Approval, Imported, Moved, Removed
from olake_reconcile.model.names import Address, parse_address
from olake_reconcile.model.table import TablePlace
from olake_reconcile.spec.documents import ApprovalDocument, ImportDocument, MovedDocument, RemovedDocument
from olake_reconcile.spec.endpoints import DestinationEntry, SourceEntry
from olake_reconcile.spec.entries import JobEntries
from olake_reconcile.spec.node import Map
from olake_reconcile.spec.reader import Documents
from olake_reconcile.spec.report import Document, quoted
from olake_reconcile.spec.shape import check_shape

Said = TypeVar("Said")


@dataclass(frozen=True, slots=True)
class Declarations:
    """What the documents say, in the order of files."""

    approvals: tuple[Approval, ...]
    moves: tuple[Moved, ...]
    imports: tuple[Imported, ...]
    removals: tuple[Removed, ...]


def read_declarations(
    documents: Documents,
    sources: Mapping[str, SourceEntry],
    destinations: Mapping[str, DestinationEntry],
    jobs: JobEntries,
) -> Declarations:
    """Return what the documents say, after complaining about what cannot be meant."""
    declared = _Declared(sources, destinations, jobs)
    # A file that could not be read may hold what seems to be missing.
    check = _Checks(declared, complete=documents.complete)
    return Declarations(
        approvals=_read(documents.by_kind["Approval"], _approval),
        moves=check.moves(documents.by_kind["Moved"]),
        imports=_read(documents.by_kind["Import"], check.imported),
        removals=_read(documents.by_kind["Removed"], check.removed),
    )


def _read(documents: Sequence[Document], read: Callable[[Document], Said | None]) -> tuple[Said, ...]:
    return tuple(said for document in documents if (said := read(document)) is not None)


class _Declared(Mapping[Address, Document]):
    """What is declared, by address, and where. Looked up, never listed in advance: it may be 20,000 streams."""

    def __init__(
        self,
        sources: Mapping[str, SourceEntry],
        destinations: Mapping[str, DestinationEntry],
        jobs: JobEntries,
    ) -> None:
        self._sources = sources
        self._destinations = destinations
        self._jobs = jobs

    def __contains__(self, address: object) -> bool:
        match address:
            case Address(kind="source", name=name):
                return name in self._sources
            case Address(kind="destination", name=name):
                return name in self._destinations
            case Address(kind="job", name=name):
                return name in self._jobs
            case Address(kind="stream", name=name, stream=stream):
                return name in self._jobs and stream in map(str, self._jobs.streams(name))
            case _:
                return False

    def __getitem__(self, address: Address) -> Document:
        if address not in self:
            raise KeyError(address)
        match address.kind:
            case "source":
                return self._sources[address.name].document
            case "destination":
                return self._destinations[address.name].document
            case "job" | "stream":
                return self._jobs[address.name].document

    def __iter__(self) -> Iterator[Address]:
        yield from (Address("source", name) for name in self._sources)
        yield from (Address("destination", name) for name in self._destinations)
        for name in self._jobs:
            yield Address("job", name)
            yield from (Address.of_stream(name, stream) for stream in self._jobs.streams(name))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _place(document: Document) -> Place:
    return document.text.place(document.at(("kind",)))


def _address(document: Document, root: Map, key: str, *, kinds: Sequence[str]) -> Address | None:
    """Return the address under `key`; None, after a complaint, when it is none of the kinds wanted."""
    text = root.get(key)
    if not isinstance(text, str):
        return None
    try:
        address = parse_address(text)
    except ValueError as error:
        document.error(document.at((key,)), "bad-address", str(error))
        return None
    if address.kind not in kinds:
        message = f"{quoted(text)} is a {address.kind}: {document.kind} takes {' or '.join(kinds)}"
        document.error(document.at((key,)), "bad-address", message)
        return None
    return address


def _approval(document: Document) -> Approval | None:
    root = check_shape(document, ApprovalDocument).root
    address = _address(document, root, "address", kinds=("stream", "job"))
    if address is None or "allow" not in root or "change" not in root:
        return None
    return Approval(str(address), root["allow"], root["change"], _place(document))


class _Checks:
    def __init__(self, declared: Mapping[Address, Document], *, complete: bool) -> None:
        self._declared = declared
        self._complete = complete

    # Moved

    def moves(self, documents: Sequence[Document]) -> tuple[Moved, ...]:
        """Return the moves, none of which leads back, has two ends, or leaves what is still declared."""
        found: dict[Address, Moved] = {}
        written: dict[Address, Document] = {}
        ends: dict[Address, Moved] = {}
        for document in documents:
            move = self._moved(document)
            if move is None:
                continue
            for key, address, others in (("from", move.before, found), ("to", move.after, ends)):
                if first := others.get(address):
                    verb = "moves away" if key == "from" else "is moved to"
                    message = f"{address.short} {verb} twice: first at {first.place}"
                    document.error(document.at((key,)), "bad-move", message)
                    break
            else:
                found[move.before] = ends[move.after] = move
                written[move.before] = document
        for before, document in written.items():
            self._check_end(document, found, before)
        return tuple(found.values())

    def _moved(self, document: Document) -> Moved | None:
        root = check_shape(document, MovedDocument).root
        kinds = ("source", "destination", "job", "stream")
        before = _address(document, root, "from", kinds=kinds)
        after = _address(document, root, "to", kinds=kinds)
        if before is None or after is None:
            return None
        if before.kind != after.kind:
            message = f"a {before.kind} cannot become a {after.kind}"
            document.error(document.at(("to",)), "bad-move", message)
            return None
        if before == after:
            document.error(document.at(("to",)), "bad-move", "'from' and 'to' are the same")
            return None
        if before in self._declared:
            place = _where(self._declared[before], before)
            message = f"{before.short} moved to {after.short} and is still declared at {place}"
            hint = "take one of the two out"
            document.error(document.at(("from",)), "still-declared", message, hint)
            return None
        return Moved(before, after, _place(document))

    def _check_end(self, document: Document, moves: Mapping[Address, Moved], before: Address) -> None:
        seen = [before]
        while (step := moves.get(seen[-1])) is not None:
            if step.after in seen:
                chain = " -> ".join(a.short for a in [*seen, step.after])
                document.error(document.at(("to",)), "bad-move", f"the moves lead in a circle: {chain}")
                return
            seen.append(step.after)
        if self._complete and seen[-1] not in self._declared:
            message = f"nothing declares {seen[-1].short}: this Moved does nothing"
            hint = did_you_mean(seen[-1].short, self._names(seen[-1].kind))
            document.warning(document.at(("to",)), "unused-move", message, hint)

    # Import

    def imported(self, document: Document) -> Imported | None:
        """Return an adoption of a table for something that is declared."""
        root = check_shape(document, ImportDocument).root
        if root.get("id") is not None:
            message = "'id' is not supported yet: it names jobs of an OLake UI server; leave it out"
            document.error(document.at(("id",)), "not-yet", message)
        address = _address(document, root, "address", kinds=("stream", "job"))
        if address is None:
            return None
        if self._complete and address not in self._declared:
            message = f"nothing declares {address.short}, so nothing can become it"
            hint = did_you_mean(address.short, self._names(address.kind))
            document.error(document.at(("address",)), "unknown-address", message, hint)
        table = self._table(document, root, address)
        return Imported(address, table, _place(document))

    def _table(self, document: Document, root: Map, address: Address) -> TablePlace | None:
        text = root.get("table")
        if not isinstance(text, str):
            return None
        database, dot, table = text.partition(".")
        if address.kind != "stream":
            message = "a job has many tables: name one for a stream, or none"
            document.error(document.at(("table",)), "bad-name", message)
        elif not (database and dot and table):
            document.error(document.at(("table",)), "bad-name", f"{quoted(text)} is not database.table")
        else:
            return TablePlace(database=database, table=table)
        return None

    # Removed

    def removed(self, document: Document) -> Removed | None:
        """Return a deliberate removal of something that is declared no longer."""
        root = check_shape(document, RemovedDocument).root
        address = _address(document, root, "address", kinds=("job", "stream"))
        if address is None:
            return None
        if address in self._declared:
            place = _where(self._declared[address], address)
            message = f"{address.short} is still declared at {place}"
            hint = "take one of the two out"
            document.error(document.at(("address",)), "still-declared", message, hint)
            return None
        return Removed(address, root.get("data") or "keep", _place(document))

    def _names(self, kind: str) -> Iterator[str]:
        return (address.short for address in self._declared if address.kind == kind)


def _where(document: Document, address: Address) -> Place:
    path = ("streams", address.stream) if address.kind == "stream" else ("name",)
    return document.text.place(document.at(path, of_key=address.kind == "stream"))
