"""The canonical look of a workspace file: the order of keys, blank lines, spaces. Lines move whole, with their comments.

The law: a formatted file reads as before, holds the same lines, and formatting it again changes nothing. What would
break it (an anchor that its alias would come before, keys that share a line) stays where it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from _ruamel_yaml import (
    AliasEvent,
    CParser,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from pydantic import BaseModel

from olake_reconcile.spec.documents import (
    DOCUMENTS,
    ColumnSettings,
    JobSettings,
    LimitSettings,
    ProtectSettings,
    SafetySettings,
    StreamSettings,
)
from olake_reconcile.spec.parse import parse

_FIRST = ("kind", "name", "uid", "type", "address", "from", "to", "description", "owner")
_LAST = ("config", "stream_defaults", "streams")
_BELOW: dict[str, type[BaseModel]] = {
    "job_defaults": JobSettings,
    "stream_defaults": StreamSettings,
    "columns": ColumnSettings,
    "protect": ProtectSettings,
    "limits": LimitSettings,
    "safety": SafetySettings,
}
_COMMENT = re.compile(r"\s*#")


class Unformattable(ValueError):
    """The file cannot be formatted without changing what it says; the message says why."""


def formatted(text: str) -> str:
    """Return a file's text in its canonical look. Raises `Unformattable`; what does not parse is not touched."""
    before = parse(text)
    if before.mistakes or not before.complete:
        raise Unformattable("it is not valid YAML; `olake-reconcile validate` says where")
    new = _spaced(_ordered(text.replace("\r\n", "\n")))
    if not _same([d for d, _ in before.documents], parse(new)) or _lines(text) != _lines(new):
        raise Unformattable("its meaning would change")
    return new


def _same(before: list[Any], after: Any) -> bool:
    return not after.mistakes and before == [d for d, _ in after.documents]


def _lines(text: str) -> list[str]:
    """Return what no formatting may lose: the lines, whatever their order and spaces."""
    return sorted("".join(line.split()) for line in text.splitlines() if line.strip())


# -- where the parts stand ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Node:
    """A value: its first and last line (from 0), and, of a mapping in block style, its entries."""

    first: int
    last: int
    column: int
    entries: list[tuple[str, int, int, _Node]] = field(default_factory=list)  # key, its line, its column
    movable: bool = False


class _Places:
    """Reads the places of all block mappings; `multiline` are the lines in which spaces mean something."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = text.split("\n")
        self._parser = CParser(text)
        self.documents: list[_Node] = []
        self.multiline: set[int] = set()
        self.anchored = False
        while not isinstance(event := self._parser.get_event(), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                self.documents.append(self._node(self._parser.get_event()))
        self._parser.dispose()

    def _node(self, event: Any) -> _Node:
        first, column = event.start_mark.line, event.start_mark.column
        self.anchored |= getattr(event, "anchor", None) is not None
        if isinstance(event, MappingStartEvent):
            return self._mapping(event, _Node(first, first, column))
        if isinstance(event, SequenceStartEvent):
            node = _Node(first, first, column)
            while not isinstance(event := self._parser.get_event(), SequenceEndEvent):
                node.last = max(node.last, self._node(event).last)
            node.last = max(node.last, self._end(event))
            return node
        assert isinstance(event, ScalarEvent | AliasEvent)
        last = max(first, self._end(event))
        self.multiline.update(range(first, last + 1) if last > first else ())
        return _Node(first, last, column)

    def _mapping(self, start: Any, node: _Node) -> _Node:
        node.movable = not start.flow_style
        while not isinstance(event := self._parser.get_event(), MappingEndEvent):
            line, column = event.start_mark.line, event.start_mark.column
            key = getattr(event, "value", "")
            self._node(event)
            value = self._node(self._parser.get_event())
            value.last = max(value.last, line)
            node.movable &= not self._lines[line][:column].strip()  # `- key:` and `? key` stay
            node.entries.append((key, line, column, value))
            node.last = max(node.last, value.last)
        if start.flow_style:
            node.last = max(node.last, self._end(event))
        return node

    def _end(self, event: Any) -> int:
        """Return the last line of an event that is its own: block scalars end where the next thing begins."""
        line: int = event.end_mark.line
        if event.end_mark.column == 0 and line > event.start_mark.line:
            line -= 1
        while line > event.start_mark.line and not self._lines[line].strip():
            line -= 1
        return line


# -- order -------------------------------------------------------------------------------------------------


def _ordered(text: str) -> str:
    places = _Places(text)
    if places.anchored:
        return text  # an alias must not come before its anchor
    lines = text.split("\n")
    for document in places.documents:
        kind = next((_scalar(lines, value) for key, _, _, value in document.entries if key == "kind"), "")
        if kind in DOCUMENTS:
            _order(lines, document, DOCUMENTS[kind])
    return "\n".join(lines)


def _scalar(lines: list[str], node: _Node) -> str:
    return lines[node.first][node.column :].split("#")[0].strip().strip("\"'")


def _order(lines: list[str], node: _Node, model: type[BaseModel]) -> None:
    """Put the entries of a mapping into the order of its model, the inner ones first: those keep their lines."""
    for key, _, _, value in node.entries:
        if key == "streams":
            for _, _, _, stream in value.entries:
                _order(lines, stream, StreamSettings)
        elif key in _BELOW:
            _order(lines, value, _BELOW[key])
    if not node.movable or len({line for _, line, _, _ in node.entries}) < len(node.entries):
        return
    rank = {key: number for number, key in enumerate(_canonical(model))}
    order = sorted(range(len(node.entries)), key=lambda n: rank.get(node.entries[n][0], len(rank)))
    if order == list(range(len(order))):
        return
    starts = [_start(lines, node, number) for number in range(len(order))]
    end = node.last + 1
    parts = [lines[a:b] for a, b in zip(starts, [*starts[1:], end], strict=True)]
    lines[starts[0] : end] = [line for number in order for line in parts[number]]


def _start(lines: list[str], node: _Node, number: int) -> int:
    """Return the line at which an entry begins: with the comments above it that are no deeper than it."""
    _, key_line, column, _ = node.entries[number]
    if number == 0:
        return key_line  # what stands above the first key is the header of the block
    start = key_line
    for line in range(key_line - 1, node.entries[number - 1][3].last, -1):
        text = lines[line]
        if _COMMENT.match(text) and len(text) - len(text.lstrip()) > column:
            break
        start = line
    return start


def _canonical(model: type[BaseModel]) -> list[str]:
    keys = [info.alias or name for name, info in model.model_fields.items()]
    middle = [k for k in keys if k not in _FIRST + _LAST]
    return [k for k in _FIRST if k in keys] + middle + [k for k in _LAST if k in keys]


# -- spaces ------------------------------------------------------------------------------------------------

_AFTER_KEY = re.compile(r"^(\s*(?:- )*(?:[\w.-]+|\"[^\"\\]*\"|'[^']*'):)[ \t]{2,}(?=[^\s#|>&*!])")


def _spaced(text: str) -> str:
    """Take out what no reader sees: spaces at the ends of lines and after colons, blank lines beyond one."""
    multiline = _Places(text).multiline
    new: list[str] = []
    for number, line in enumerate(text.split("\n")):
        if number in multiline:
            new.append(line)
            continue
        line = _AFTER_KEY.sub(r"\1 ", line.rstrip())
        if line or (new and new[-1] and new[-1] != "---"):
            new.append(line)
    while new and not new[-1]:
        new.pop()
    return "\n".join(new) + "\n" if new else ""
