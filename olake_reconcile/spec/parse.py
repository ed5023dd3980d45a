"""YAML text to nodes, from the C parser's events; hostile input stops at caps.

Nesting is counted while events arrive: the parser looks ahead one simple key (1,024 characters) at most,
so the cap ends a deep document long before the parser's own stack or its quadratic bookkeeping hurts.
Aliases count as often as they are expanded, which stops bombs; the nodes themselves are shared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from olake_reconcile.spec.node import Map, Seq
from olake_reconcile.spec.scalar import plain_value

MAX_DEPTH = 40
MAX_NODES = 200_000

# Each %TAG line is compared with all before it: quadratic in the parser, and tags are refused anyway.
_TAG_DIRECTIVE = re.compile(r"^%TAG", re.MULTILINE)
_MERGE = "<<"


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong in the text itself: an error code, a sentence, and where."""

    code: str
    message: str
    offset: int
    other: int | None = None  # where the first of two stands


class _Stop(Exception):
    """Nothing after this can be read."""

    def __init__(self, mistake: Mistake) -> None:
        self.mistake = mistake


@dataclass(slots=True)
class Parsed:
    """The documents of one file, each with its offset. `complete` is false when reading stopped at a mistake."""

    documents: list[tuple[Any, int]]
    mistakes: list[Mistake]
    complete: bool = True


def parse(text: str) -> Parsed:
    """Return all that can be read of `text`; whatever it holds, nothing is raised."""
    if directive := tag_directive(text):
        mistake = Mistake("yaml-tag", "%TAG is not supported here", directive.start())
        return Parsed([], [mistake], complete=False)
    return _Builder(text).build()


def tag_directive(text: str) -> re.Match[str] | None:
    """Return the first %TAG line; a text that has one is not for the parser."""
    return _TAG_DIRECTIVE.search(text) if "%TAG" in text else None


class _Builder:
    def __init__(self, text: str) -> None:
        self._text = text
        self._parser = CParser(text)
        self._next = self._parser.get_event
        self._nodes = 0
        self._depth = 0
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._mistakes: list[Mistake] = []

    def build(self) -> Parsed:
        parsed = Parsed([], self._mistakes)
        try:
            while (event := self._next()).__class__ is not StreamEndEvent:
                if event.__class__ is DocumentStartEvent:
                    self._anchors = {}
                    self._count(1, event)
                    first = self._next()
                    parsed.documents.append((self._node(first), first.start_mark.index))
        except _Stop as stop:
            self._mistakes.append(stop.mistake)
            parsed.complete = False
        except YAMLError as error:
            self._mistakes.append(syntax_mistake(self._text, error))
            parsed.complete = False
        finally:
            self._parser.dispose()
        return parsed

    def _count(self, nodes: int, event: Any) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            message = f"the file has more than {MAX_NODES:,} values (aliases count as often as they are used)"
            raise _Stop(Mistake("yaml-too-large", message, event.start_mark.index))

    def _node(self, event: Any) -> Any:
        kind = event.__class__
        if kind is ScalarEvent:
            return self._scalar(event)
        if kind is MappingStartEvent:
            return self._container(event, self._mapping)
        if kind is SequenceStartEvent:
            return self._container(event, self._sequence)
        assert kind is AliasEvent
        return self._alias(event)

    def _scalar(self, event: Any) -> Any:
        if event.ctag is not None:
            self._refuse_tag(event)
        value = event.value if event.style else plain_value(event.value)  # plain scalars have no style
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        return value

    def _container(self, event: Any, read: Any) -> Any:
        if event.ctag is not None:
            self._refuse_tag(event)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} levels"
            raise _Stop(Mistake("yaml-too-deep", message, event.start_mark.index))
        before = self._nodes
        self._count(1, event)
        node = read(event)
        self._depth -= 1
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, self._nodes - before)
        return node

    def _sequence(self, start: Any) -> Seq:
        node = Seq(start.start_mark.index)
        while (event := self._next()).__class__ is not SequenceEndEvent:
            node.append(self._node(event))
            node.offsets.append(event.start_mark.index)
            if len(node) > MAX_NODES:
                break
        self._count(len(node), start)
        return node

    def _mapping(self, start: Any) -> Map:
        node = Map(start.start_mark.index)
        offsets = node.offsets
        read, scalar = self._next, ScalarEvent  # this loop is most of what parsing costs
        merged: list[tuple[Any, int]] = []
        while (event := read()).__class__ is not MappingEndEvent:
            key_offset = event.start_mark.index
            key = self._key(event)
            value_event = read()
            value = self._scalar(value_event) if value_event.__class__ is scalar else self._node(value_event)
            if key is None:
                continue
            if key == _MERGE and not event.style:
                merged.append((value, value_event.start_mark.index))
            elif key in node:
                self._duplicate(node, key, key_offset)
            else:
                node[key] = value
                offsets.append(key_offset)
                offsets.append(key_offset if value is None else value_event.start_mark.index)
        self._count(2 * len(node), start)
        for value, offset in merged:
            self._merge(node, value, offset)
        return node

    def _key(self, event: Any) -> str | None:
        """Return a key's text: keys are names, so `on`, `1` and `null` are no other values here."""
        if event.__class__ is ScalarEvent and event.anchor is None and event.ctag is None:
            return event.value  # type: ignore[no-any-return]
        value = self._node(event)
        if isinstance(value, str):
            return value
        message = "a key must be plain text"
        self._mistakes.append(Mistake("complex-key", message, event.start_mark.index))
        return None

    def _merge(self, node: Map, value: Any, offset: int) -> None:
        """Add what `<<` brings: keys that the mapping gives itself win, then the first mapping that has it."""
        maps = value if isinstance(value, Seq) else [value]
        if not all(isinstance(m, Map) for m in maps):
            message = "'<<' takes a mapping by its alias, or a list of them, such as '<<: *defaults'"
            self._mistakes.append(Mistake("bad-merge", message, offset))
            return
        for other in maps:
            for key, merged, key_offset, value_offset in other.entries():
                if key not in node:
                    node.add(key, merged, key_offset, value_offset)

    def _alias(self, event: Any) -> Any:
        known = self._anchors.get(event.anchor)
        if known is None:
            message = f"'*{event.anchor}' has no '&{event.anchor}' before it in this document"
            self._mistakes.append(Mistake("unknown-alias", message, event.start_mark.index))
            return None
        self._count(known[1], event)
        return known[0]

    def _duplicate(self, node: Map, key: str, offset: int) -> None:
        mistake = Mistake("duplicate-key", key, offset, node.key_offset(key))
        self._mistakes.append(mistake)

    def _refuse_tag(self, event: Any) -> None:
        message = "tags are not supported: write the value without the '!'"
        self._mistakes.append(Mistake("yaml-tag", message, event.start_mark.index))


_SENTENCES = {
    "mapping values are not allowed in this context": "a ':' cannot stand here: text with ': ' in it needs quotes, or the indentation is wrong",
    "could not find expected ':'": "expected ':' after a key",
    "found character that cannot start any token": "text that begins with this character needs quotes",
    "did not find expected key": "the indentation fits no line above",
    "did not find expected '-' indicator": "expected '-': the list above goes on, or the indentation is wrong",
    "did not find expected ',' or ']'": "this '[' is not closed, or a comma is missing",
    "did not find expected ',' or '}'": "this '{' is not closed, or a comma is missing",
    "found unexpected end of stream": "this quote is not closed",
    "found unexpected document indicator": "this quote is not closed",
}
_AT_OPENING = ("found unexpected", "did not find expected ','")


def syntax_mistake(text: str, error: YAMLError) -> Mistake:
    """Return one clear sentence for what the parser refused."""
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return Mistake("yaml-syntax", "not readable as YAML", 0)
    problem = str(error.problem or "not readable as YAML")
    offset = error.problem_mark.index
    if (tab := _tab_before(text, offset)) is not None:
        return Mistake("yaml-tab", "a tab cannot indent: use spaces", tab)
    if problem.startswith(_AT_OPENING) and error.context_mark is not None:
        offset = error.context_mark.index
        if (dollar := _open_reference(text, offset)) is not None:
            message = 'not valid YAML: between brackets a reference needs quotes, such as "${env:NAME}"'
            return Mistake("yaml-syntax", message, dollar)
    return Mistake("yaml-syntax", f"not valid YAML: {_SENTENCES.get(problem, problem)}", offset)


def _tab_before(text: str, offset: int) -> int | None:
    """Return where a tab stands in the indentation of the line of `offset`, if one does."""
    start = text.rfind("\n", 0, offset) + 1
    indentation = re.compile(r"[ \t]*").match(text, start)
    tab = text.find("\t", start, indentation.end() if indentation else start)
    return tab if tab >= 0 else None


def _open_reference(text: str, offset: int) -> int | None:
    """Return where an unquoted `${` stands, if the `{` at or after `offset` in its line belongs to one."""
    end = text.find("\n", offset)
    found = re.compile(r"(?<![\"'])\$\{").search(text, max(0, offset - 1), end if end >= 0 else len(text))
    return found.start() if found else None
