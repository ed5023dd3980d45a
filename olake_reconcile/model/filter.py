"""Row filters: `order_date >= '2024-01-01' and status != 'draft'`.

The grammar (design §3): columns, `= != < <= > >=`, `in`, `is [not] null`, `and`/`or`/`not`, parentheses;
literals are 'text', numbers, true and false. SQL's three-valued logic holds in every phase. Two filters
that differ in spelling only (spaces, case of keywords, order of the conditions) are equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

Literal = str | int | Decimal | bool

MAX_LENGTH = 20_000
MAX_DEPTH = 50


class BadFilter(ValueError):
    """The text is no filter; `offset` is where in it (from 0)."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Comparison:
    """`column operator value`; the operator is one of = != < <= > >=."""

    column: str
    operator: str
    value: Literal


@dataclass(frozen=True, slots=True)
class InList:
    """`column in (values)`."""

    column: str
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class IsNull:
    """`column is null`; never unknown."""

    column: str


@dataclass(frozen=True, slots=True)
class Not:
    """The negation of `item`; unknown stays unknown."""

    item: Expression


@dataclass(frozen=True, slots=True)
class And:
    """All of `items`, at least two."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of `items`, at least two."""

    items: tuple[Expression, ...]


Expression = Comparison | InList | IsNull | Not | And | Or


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as written, and what it means."""

    text: str
    expression: Expression

    def columns(self) -> list[str]:
        """Return the columns it reads, sorted."""
        return sorted(set(_columns(self.expression)))

    def canonical(self) -> Any:
        """Return its meaning as JSON: equal for filters that differ in spelling only."""
        return _canonical(self.expression)


@lru_cache(maxsize=4096)  # the same few filters stand at thousands of streams
def parse_filter(text: str) -> Filter:
    """Return the filter that `text` spells. Raises `BadFilter`."""
    if len(text) > MAX_LENGTH:
        raise BadFilter(f"a filter has at most {MAX_LENGTH:,} characters", 0)
    parser = _Parser(text)
    expression = parser.disjunction(0)
    parser.finish()
    return Filter(text, expression)


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?)(?![A-Za-z0-9_])
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<operator><=|>=|!=|<>|==|=|<|>|\(|\)|,)
    | (?P<word>[^\W\d][\w$]*)
    )""",
    re.VERBOSE,
)
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "null", "true", "false"})
_OPERATORS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


class _Token(NamedTuple):  # half the price of a frozen dataclass, and there are nine per filter
    kind: str  # number, string, quoted, operator, word, keyword, end
    text: str
    offset: int


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            raise BadFilter(f"cannot read '{text[start : start + 12]}'", start)
        kind = match.lastgroup or ""
        word = match.group(kind)
        if kind == "word" and word.lower() in _KEYWORDS:
            kind, word = "keyword", word.lower()
        yield _Token(kind, word, match.start(match.lastgroup or 0))
        at = match.end()
    yield _Token("end", "", end)


class _Parser:
    """Recursive descent over the tokens; `depth` guards the stack against hostile nesting."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, kind: str, text: str | None = None) -> _Token | None:
        token = self._next
        if token.kind != kind or (text is not None and token.text != text):
            return None
        self._at += 1
        return token

    def _expected(self, what: str) -> BadFilter:
        token = self._next
        found = "the filter ends" if token.kind == "end" else f"found '{token.text}'"
        return BadFilter(f"expected {what}, {found}", token.offset)

    def finish(self) -> None:
        """Make sure nothing is left."""
        if self._next.kind != "end":
            raise self._expected("'and', 'or' or the end")

    def disjunction(self, depth: int) -> Expression:
        """`a or b or …`."""
        items = [self._conjunction(depth)]
        while self._take("keyword", "or"):
            items.append(self._conjunction(depth))
        return items[0] if len(items) == 1 else Or(tuple(items))

    def _conjunction(self, depth: int) -> Expression:
        items = [self._negation(depth)]
        while self._take("keyword", "and"):
            items.append(self._negation(depth))
        return items[0] if len(items) == 1 else And(tuple(items))

    def _negation(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise BadFilter(f"nested deeper than {MAX_DEPTH} levels", self._next.offset)
        if self._take("keyword", "not"):
            return Not(self._negation(depth + 1))
        if self._take("operator", "("):
            inside = self.disjunction(depth + 1)
            if not self._take("operator", ")"):
                raise self._expected("')'")
            return inside
        return self._condition()

    def _condition(self) -> Expression:
        column = self._column()
        if self._take("keyword", "is"):
            negated = self._take("keyword", "not")
            if not self._take("keyword", "null"):
                raise self._expected("'null'")
            return Not(IsNull(column)) if negated else IsNull(column)
        if self._take("keyword", "not"):
            if not self._take("keyword", "in"):
                raise self._expected("'in'")
            return Not(InList(column, self._list()))
        if self._take("keyword", "in"):
            return InList(column, self._list())
        token = self._next
        if token.kind != "operator" or token.text not in _OPERATORS:
            raise self._expected("one of = != < <= > >=, 'in' or 'is'")
        self._at += 1
        return Comparison(column, _OPERATORS[token.text], self._literal())

    def _column(self) -> str:
        if token := self._take("word"):
            return token.text
        if token := self._take("quoted"):
            return token.text[1:-1].replace('""', '"')
        raise self._expected("a column")

    def _list(self) -> tuple[Literal, ...]:
        if not self._take("operator", "("):
            raise self._expected("'('")
        values = [self._literal()]
        while self._take("operator", ","):
            values.append(self._literal())
        if not self._take("operator", ")"):
            raise self._expected("',' or ')'")
        return tuple(values)

    def _literal(self) -> Literal:
        if token := self._take("string"):
            return token.text[1:-1].replace("''", "'")
        if token := self._take("number"):
            return _number(token.text)
        if self._take("keyword", "true"):
            return True
        if self._take("keyword", "false"):
            return False
        if self._next.text == "null":
            raise BadFilter("nothing is equal to null: write 'is null' or 'is not null'", self._next.offset)
        if self._next.kind in ("word", "quoted"):
            raise BadFilter(
                f"expected a value, found '{self._next.text}': text stands in 'single quotes'",
                self._next.offset,
            )
        raise self._expected("a value")


def _number(text: str) -> int | Decimal:
    return int(text) if re.fullmatch(r"-?\d+", text) else Decimal(text)


def _columns(expression: Expression) -> Iterator[str]:
    match expression:
        case Comparison(column=column) | InList(column=column) | IsNull(column=column):
            yield column
        case Not(item=item):
            yield from _columns(item)
        case And(items=items) | Or(items=items):
            for item in items:
                yield from _columns(item)


def _canonical(expression: Expression) -> Any:
    match expression:
        case Comparison(column, operator, value):
            return [operator, column, _canonical_literal(value)]
        case InList(column, values):
            distinct = sorted({repr(v): v for v in map(_canonical_literal, values)}.values(), key=repr)
            return ["=", column, distinct[0]] if len(distinct) == 1 else ["in", column, distinct]
        case IsNull(column):
            return ["null", column]
        case Not(item):
            inside = _canonical(item)
            return inside[1] if inside[0] == "not" else ["not", inside]
        case And(items):
            return ["and", *_flat("and", items)]
        case Or(items):
            return ["or", *_flat("or", items)]


def _flat(operator: str, items: tuple[Expression, ...]) -> list[Any]:
    flat: list[Any] = []
    for item in map(_canonical, items):
        flat.extend(item[1:] if item[0] == operator else [item])
    return sorted(flat, key=repr)


def _canonical_literal(value: Literal) -> Any:
    match value:
        case bool() | str():
            return value
        case _:
            # A number's spelling is no part of its value: 1.0 is 1.
            return {"number": format(Decimal(value).normalize(), "f")}
