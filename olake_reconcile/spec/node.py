"""Parsed YAML: plain values, and mappings and sequences that know where their parts stand.

Scalars are `None`, `bool`, `int`, `float` and `str`. Positions are offsets into the file's text: one
integer per part is all that parsing pays for them, and a line and a column are counted only for the few
that are shown. Nodes may be shared (aliases), so nobody changes one after parsing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Map(dict[str, Any]):
    """A mapping. `offsets` holds two numbers per entry, in the entries' order: the key's and the value's."""

    __slots__ = ("offset", "offsets")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.offsets: list[int] = []

    def key_offset(self, key: str) -> int:
        """Return where `key` stands, or where the mapping begins when it is not in it."""
        return self._offset_of(key, 0)

    def value_offset(self, key: str) -> int:
        """Return where the value of `key` stands: at the key itself for a value left empty."""
        return self._offset_of(key, 1)

    def _offset_of(self, key: str, which: int) -> int:
        for index, known in enumerate(self):
            if known == key:
                return self.offsets[2 * index + which]
        return self.offset

    def add(self, key: str, value: Any, key_offset: int, value_offset: int) -> None:
        """Append an entry that is not there yet."""
        self[key] = value
        self.offsets += (key_offset, value_offset)

    def entries(self) -> Iterator[tuple[str, Any, int, int]]:
        """Yield key, value, the key's offset and the value's offset of every entry."""
        offsets = self.offsets
        for index, (key, value) in enumerate(self.items()):
            yield key, value, offsets[2 * index], offsets[2 * index + 1]

    def without(self, keys: frozenset[str] | set[str]) -> Map:
        """Return a copy that lacks `keys`."""
        copy = Map(self.offset)
        for key, value, key_offset, value_offset in self.entries():
            if key not in keys:
                copy.add(key, value, key_offset, value_offset)
        return copy


class Seq(list[Any]):
    """A sequence; `offsets` holds one number per item."""

    __slots__ = ("offset", "offsets")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.offsets: list[int] = []

    def item_offset(self, index: int) -> int:
        """Return where an item stands."""
        return self.offsets[index] if index < len(self.offsets) else self.offset


def offset_at(root: Map, path: tuple[str | int, ...], *, of_key: bool = False) -> int:
    """Return where the value (or the key) at `path` stands; where a path leads nowhere, the nearest part before."""
    node: Any = root
    offset = root.offset
    for depth, step in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(node, Map) and isinstance(step, str) and step in node:
            offset = node.key_offset(step) if of_key and last else node.value_offset(step)
        elif isinstance(node, Seq) and isinstance(step, int) and step < len(node):
            offset = node.item_offset(step)
        else:
            return offset
        node = node[step]
    return offset


def value_at(root: Any, path: tuple[str | int, ...]) -> Any:
    """Return the value at `path`, or None when it leads nowhere."""
    node = root
    for step in path:
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            return None
    return node
