"""Collects what is found wrong, wherever it is found, so that one pass tells all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from olake_reconcile.diagnostics import Diagnostic, Severity, in_order
from olake_reconcile.spec.node import Map, Seq, offset_at
from olake_reconcile.spec.silence import is_allowed
from olake_reconcile.spec.text import SourceText

Path = tuple[str | int, ...]

_LONGEST_ECHO = 60


@dataclass(slots=True)
class Report:
    """The findings so far; shown lines are added at the end, for those that need them."""

    found: list[Diagnostic] = field(default_factory=list)

    def add(
        self,
        severity: Severity,
        code: str,
        message: str,
        text: SourceText | None = None,
        offset: int = 0,
        hint: str = "",
    ) -> None:
        """Note a finding at an offset of a file; a warning that is allowed there is no finding."""
        if severity is Severity.WARNING and text and is_allowed(text.text, offset, code):
            return
        place = text.place(offset) if text else None
        self.found.append(Diagnostic(severity, code, message, place, hint))

    @property
    def has_errors(self) -> bool:
        """Whether anything stops the command."""
        return any(d.is_error for d in self.found)

    def finish(self, texts: Mapping[str, SourceText]) -> tuple[Diagnostic, ...]:
        """Return the findings in order, with the lines they point at."""
        return tuple(_with_line(d, texts) for d in in_order(self.found))


def _with_line(diagnostic: Diagnostic, texts: Mapping[str, SourceText]) -> Diagnostic:
    place = diagnostic.place
    text = texts.get(place.file) if place else None
    if place is None or text is None:
        return diagnostic
    line, caret = text.shown_line(place)
    return replace(diagnostic, source_line=line, caret=caret)


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file: its mapping, its text, and where to complain."""

    kind: str
    root: Map
    text: SourceText
    report: Report
    resolved: frozenset[int] = frozenset()  # offsets of the scalars that were references
    unresolved: frozenset[Path] = frozenset()  # where references could not be resolved, as was complained

    def at(self, path: Path, *, of_key: bool = False) -> int:
        """Return the offset of what stands at `path`."""
        return offset_at(self.root, path, of_key=of_key)

    def error(self, offset: int, code: str, message: str, hint: str = "") -> None:
        """Note an error at an offset of this document."""
        self.report.add(Severity.ERROR, code, message, self.text, offset, hint)

    def warning(self, offset: int, code: str, message: str, hint: str = "") -> None:
        """Note a warning at an offset of this document."""
        self.report.add(Severity.WARNING, code, message, self.text, offset, hint)

    def inside(self, offset: int, value: str, index: int) -> int:
        """Return where character `index` of a scalar stands, if the file spells it as it is; else its begin."""
        for start in (offset, offset + 1):
            if self.text.text.startswith(value, start):
                return start + min(index, max(0, len(value) - 1))
        return offset


def quoted(value: object) -> str:
    """Return `value` in single quotes for a message: short, and free of control characters."""
    text = str(value)
    if len(text) > _LONGEST_ECHO:
        text = text[:_LONGEST_ECHO] + "…"
    return "'" + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text) + "'"


def listed(names: Iterable[object]) -> str:
    """Return names as people list them: `a, b or c`."""
    texts = [str(n) for n in names]
    return " or ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def described(value: Any) -> str:
    """Return what kind of value it is, never the value: it may be a secret."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case Map():
            return "a mapping"
        case Seq():
            return "a list"
        case _:
            return "something else"
