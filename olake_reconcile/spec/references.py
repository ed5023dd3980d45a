"""References in parsed scalars: resolved where a document is read, or left as written (endpoint configs)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from olake_reconcile.model.reference import BadReference, Reference, expand, parts
from olake_reconcile.secrets import Secrets, UnsetReference
from olake_reconcile.spec.node import Map, Seq
from olake_reconcile.spec.report import Document, Path


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
    document: Document, secrets: Secrets, *, leave: frozenset[str] = frozenset()
) -> Document:
    """Return `document` with references resolved, except below the top-level keys `leave`.

    What stands there is settings, not secrets: plans show it. References that are wrong or unset are
    complained about and left as they are.
    """
    if "$" not in document.text.text:
        return document
    resolved: set[int] = set()

    def text(value: str, offset: int) -> str:
        if "$" not in value:
            return value
        resolved.add(offset)
        return _resolve(document, value, offset, secrets)

    root = Map(document.root.offset)
    for key, value, key_offset, value_offset in document.root.entries():
        kept = key in leave
        root.add(key, value if kept else _rebuilt(value, value_offset, text), key_offset, value_offset)
    if not resolved:
        return document
    return Document(document.kind, root, document.text, document.report, frozenset(resolved))


def _rebuilt(node: Any, offset: int, text: Callable[[str, int], str]) -> Any:
    match node:
        case str():
            return text(node, offset)
        case Map():
            copy = Map(node.offset)
            for key, value, key_offset, value_offset in node.entries():
                copy.add(key, _rebuilt(value, value_offset, text), key_offset, value_offset)
            return copy
        case Seq():
            items = Seq(node.offset)
            items.extend(_rebuilt(v, o, text) for v, o in zip(node, node.offsets, strict=True))
            items.offsets = node.offsets
            return items
        case _:
            return node


def _resolve(document: Document, value: str, offset: int, secrets: Secrets) -> str:
    try:
        return expand(value, lambda reference: secrets.resolve(reference, sensitive=False))
    except BadReference as error:
        document.error(offset, "bad-reference", str(error))
    except UnsetReference as error:
        document.error(offset, "unset-reference", *_unset(error))
    return value


def _unset(error: UnsetReference) -> tuple[str, str]:
    reference = error.reference
    if reference.kind == "env":
        return f"{reference} is not set", f"set {reference.name}, or write ${{env:{reference.name}:-default}}"
    return error.summary, ""


def read_parts(document: Document, value: str, offset: int) -> list[str | Reference] | None:
    """Return the pieces of a text that stays unresolved, or complain and return None."""
    try:
        return parts(value)
    except BadReference as error:
        document.error(offset, "bad-reference", str(error))
        return None
