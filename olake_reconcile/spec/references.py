"""References in parsed scalars: resolved where a document is read, or left as written (endpoint configs)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from olake_reconcile.model.reference import BadReference, expand
from olake_reconcile.secrets import Secrets, UnsetReference
from olake_reconcile.spec.node import Map, Seq
from olake_reconcile.spec.report import Document, Path
from olake_reconcile.spec.variables import Variables


def scalars(node: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield the path and value of every text below `node`."""
    match node:
        case str():
            yield path, node
        case Map():
            for key, value in node.items():
                yield from scalars(value, (*path, key))
        case Seq():
            for index, value in enumerate(node):
                yield from scalars(value, (*path, index))
        case _:
            pass


def resolve_document(
    document: Document,
    secrets: Secrets,
    *,
    leave: frozenset[str] = frozenset(),
    variables: Variables | None = None,
) -> Document:
    """Return `document` with variables put in and references resolved; below the top-level keys `leave`, variables alone.

    What stands there is settings, not secrets: plans show it. References that are wrong or unset are
    complained about and left as they are.
    """
    if "$" not in document.text.text:
        return document
    resolver = _Resolver(document, secrets, variables or Variables())
    root = Map(document.root.offset)
    for key, value, key_offset, value_offset in document.root.entries():
        resolver.leaves = key in leave
        new = resolver.rebuilt(value, value_offset, (key,))
        root.add(key, new, key_offset, value_offset)
    if not (resolver.changed or resolver.unresolved):
        return document
    resolved, unresolved = frozenset(resolver.resolved), frozenset(resolver.unresolved)
    return Document(document.kind, root, document.text, document.report, resolved, unresolved)


class _Resolver:
    def __init__(self, document: Document, secrets: Secrets, variables: Variables) -> None:
        self._document = document
        self._secrets = secrets
        self._variables = variables
        self.leaves = False
        self.changed = False
        self.resolved: set[int] = set()
        self.unresolved: set[Path] = set()

    def rebuilt(self, node: Any, offset: int, path: Path) -> Any:
        match node:
            case str():
                return self._text(node, offset, path) if "$" in node else node
            case Map():
                copy = Map(node.offset)
                for key, value, key_offset, value_offset in node.entries():
                    copy.add(key, self.rebuilt(value, value_offset, (*path, key)), key_offset, value_offset)
                return copy
            case Seq():
                items = Seq(node.offset)
                for index, value in enumerate(node):
                    items.append(self.rebuilt(value, node.offsets[index], (*path, index)))
                items.offsets = node.offsets
                return items
            case _:
                return node

    def _text(self, value: str, offset: int, path: Path) -> Any:
        written, wrong = value, len(self._document.report.found)
        value = self._variables.put_in(self._document, value, offset, typed=self.leaves)
        if len(self._document.report.found) > wrong:
            self.unresolved.add(path)
            return written
        self.changed |= value is not written or not self.leaves
        if self.leaves:
            return value
        self.resolved.add(offset)
        try:
            return expand(value, lambda reference: self._secrets.resolve(reference, sensitive=False))
        except BadReference as error:
            self._document.error(offset, "bad-reference", str(error))
        except UnsetReference as error:
            self._document.error(offset, "unset-reference", *_unset(error))
        self.unresolved.add(path)
        return value


def _unset(error: UnsetReference) -> tuple[str, str]:
    reference = error.reference
    if reference.kind == "env":
        return f"{reference} is not set", f"set {reference.name}, or write ${{env:{reference.name}:-default}}"
    return error.summary, ""
