"""What is wrong in a file, and where: collected in one pass, printed together.

The printed form is `file:line:col: error: what is wrong (did you mean …?) [code]`, then the source
line and a caret (design §3). Codes are stable: scripts and docs refer to them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """An error stops; a warning does not; a note explains."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a workspace file; line and column count from 1, the file is relative to the workspace."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `source_line` is the guilty line, already free of secrets.

    `caret` is the column of `source_line` to point at, where hiding a secret has moved it.
    """

    severity: Severity
    code: str
    message: str
    place: Place | None = None
    hint: str = ""
    source_line: str = field(default="", compare=False)
    caret: int = field(default=0, compare=False)

    @property
    def is_error(self) -> bool:
        """Whether it stops the command."""
        return self.severity is Severity.ERROR

    def render(self) -> str:
        """Return the finding as text of one to three lines, without a final newline."""
        where = f"{self.place.file}:{self.place.line}:{self.place.column}: " if self.place else ""
        hint = f" ({self.hint})" if self.hint else ""
        lines = [f"{where}{self.severity}: {self.message}{hint} [{self.code}]"]
        if self.place and self.source_line:
            lines.append(f"    {self.source_line}")
            before = self.source_line[: (self.caret or self.place.column) - 1]
            indent = "".join("\t" if c == "\t" else " " for c in before)
            lines.append(f"    {indent}^")
        return "\n".join(lines)


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sort by file, line and column; findings without a place come last. Duplicates are dropped."""
    unique = dict.fromkeys(diagnostics)
    return sorted(
        unique, key=lambda d: (d.place is None, d.place or Place("", 0), d.severity, d.code, d.message)
    )


def did_you_mean(wrong: str, right: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the nearest of `right`, or an empty string."""
    folded = {r.lower(): r for r in right}
    near = difflib.get_close_matches(wrong.lower(), list(folded), n=1, cutoff=0.6)
    return f"did you mean '{folded[near[0]]}'?" if near else ""
