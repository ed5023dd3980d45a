"""What of a file may be printed: values that are, or may be, secrets are left out of shown lines.

A value is shown when every key on the way to it is one that workspace files have and none is a secret's
name. All else is hidden: a misspelt `pasword:` holds a secret too. Comments are dropped.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Any

from _ruamel_yaml import (
    CParser,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.error import YAMLError

from olake_reconcile.model.reference import is_only_references
from olake_reconcile.secrets import REDACTED
from olake_reconcile.spec.keys import known_keys
from olake_reconcile.spec.parse import MAX_DEPTH, MAX_NODES, tag_directive
from olake_reconcile.spec.urls import password_spans

_SECRETIVE = re.compile(r"(?i)pass|pwd|secret|token|credential|private|cert|_key$|^key$|^alerts$")
# Below these any name may stand.
_FREE = frozenset({"streams", "labels"})
_UNREADABLE_SECRETS = re.compile(
    r"(?i)pass|pwd|secret|token|credential|private|_key\b|\bconfig\b|\bstate\b|\balerts\b|://"
)
_KEY = re.compile(r"(\s*(?:- )?([\w-]+):)(?=\s|$)")


class _TooMuch(Exception):
    """A cap is reached; what follows counts as unreadable."""


class Visible:
    """The scalars of one text: which of them are hidden, and how far the text could be read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._scalars: list[tuple[int, int, bool]] = []
        self._read_until = 0
        self._collect()

    def line(self, start: int, end: int, caret: int) -> tuple[str, int]:
        """Return the line from `start` to `end` as it may be shown, and the column of offset `caret` in it."""
        if end > self._read_until:
            if not self._is_harmless(end):
                return self._only_key(start, end)
            hidden = []
        else:
            hidden = self._hidden(start, end)
            end = self._without_comment(start, end)
        hidden += [(start + a, start + b) for a, b in password_spans(self._text[start:end])]
        return _cut(self._text, start, end, sorted(hidden), caret)

    def _hidden(self, start: int, end: int) -> list[tuple[int, int]]:
        first = max(0, bisect_left(self._scalars, (start, 0, False)) - 1)
        found = []
        for a, b, hidden in self._scalars[first:]:
            if a >= end:
                break
            if hidden and b > start:
                found.append((max(a, start), min(b, end)))
        return found

    def _without_comment(self, start: int, end: int) -> int:
        last = bisect_left(self._scalars, (end, 0, False)) - 1
        after = max(start, self._scalars[last][1]) if last >= 0 else start
        comment = self._text.find("#", after, end)
        return start + len(self._text[start:comment].rstrip()) if comment >= 0 else end

    def _is_harmless(self, end: int) -> bool:
        """Whether the document that `end` is in has nothing that looks like a secret, up to there."""
        begin = self._text.rfind("\n---", 0, end)
        return not _UNREADABLE_SECRETS.search(self._text, max(begin, 0), end)

    def _only_key(self, start: int, end: int) -> tuple[str, int]:
        key = _KEY.match(self._text, start, end)
        if key is None or key.group(2) not in known_keys():
            return REDACTED, 1
        return f"{key.group(1)} {REDACTED}", len(key.group(1)) + 2

    def _collect(self) -> None:
        if tag_directive(self._text):
            return
        parser = CParser(self._text)
        try:
            while (event := parser.get_event()).__class__ is not StreamEndEvent:
                self._node(parser, event, (), 0)
            self._read_until = len(self._text)
        except (YAMLError, _TooMuch):
            pass
        finally:
            parser.dispose()

    def _node(self, parser: CParser, event: Any, path: tuple[str, ...], depth: int) -> None:
        self._read_until = event.end_mark.index
        if depth > MAX_DEPTH or len(self._scalars) > MAX_NODES:
            raise _TooMuch
        if event.__class__ is ScalarEvent:
            self._scalar(event, _is_hidden(path) and not is_only_references(event.value))
        elif event.__class__ is SequenceStartEvent:
            while (item := parser.get_event()).__class__ is not SequenceEndEvent:
                self._node(parser, item, path, depth + 1)
        elif event.__class__ is MappingStartEvent:
            while (key := parser.get_event()).__class__ is not MappingEndEvent:
                name = key.value if key.__class__ is ScalarEvent else ""
                if name:
                    self._scalar(key, bool(path) and _is_hidden(path))
                else:
                    self._node(parser, key, (*path, ""), depth + 1)
                self._node(parser, parser.get_event(), (*path, name), depth + 1)

    def _scalar(self, event: Any, hidden: bool) -> None:
        self._read_until = event.end_mark.index
        self._scalars.append((event.start_mark.index, event.end_mark.index, hidden))


def _cut(text: str, start: int, end: int, hidden: list[tuple[int, int]], caret: int) -> tuple[str, int]:
    shown, column, at = "", 0, start
    for a, b in hidden:
        if a < at:
            continue
        if not column and caret < b:
            column = len(shown) + min(caret, a) - at + 1
        shown += text[at:a] + REDACTED
        at = b
    return shown + text[at:end], column or len(shown) + caret - at + 1


def _is_hidden(path: tuple[str, ...]) -> bool:
    if not path:
        return True
    for index, key in enumerate(path):
        if index and path[index - 1] in _FREE:
            continue
        if key not in known_keys() or _SECRETIVE.search(key):
            return True
    return False
