"""The text of one workspace file, and what may be shown of it."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from functools import cached_property

from olake_reconcile.diagnostics import Place
from olake_reconcile.spec.shown import Visible

# Nothing of a longer line helps a reader; one huge line must not fill the screen either.
_LONGEST_SHOWN = 160


class SourceText:
    """A file's text (already decoded, free of control characters) and its name relative to the workspace."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text

    @cached_property
    def digest(self) -> str:
        """The fingerprint of the text."""
        return hashlib.blake2b(self.text.encode(), digest_size=16).hexdigest()

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        at = self.text.find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = self.text.find("\n", at + 1)
        return starts

    @cached_property
    def _last(self) -> int:
        """Where the last thing that can be seen stands: the end of a file has no line of its own."""
        return max(0, len(self.text.rstrip()) - 1)

    def place(self, offset: int) -> Place:
        """Return the line and column of `offset`; beyond the end, of the last visible character."""
        at = max(0, min(offset, len(self.text) - 1 if offset <= self._last else self._last))
        line = bisect_right(self._line_starts, at)
        return Place(self.file, line, at - self._line_starts[line - 1] + 1)

    def offset(self, place: Place) -> int:
        """Return the offset of a place in this file."""
        return self._line_starts[place.line - 1] + place.column - 1

    def line_span(self, line: int) -> tuple[int, int]:
        """Return where a line (from 1) begins and ends, without its line break."""
        start = self._line_starts[line - 1]
        end = self.text.find("\n", start)
        end = len(self.text) if end < 0 else end
        return start, end - 1 if end > start and self.text[end - 1] == "\r" else end

    def shown_line(self, place: Place) -> tuple[str, int]:
        """Return the line at `place` as it may be shown, free of secrets, and the column of the caret below it."""
        start, end = self.line_span(place.line)
        line, caret = self._visible.line(start, end, start + place.column - 1)
        return (line[:_LONGEST_SHOWN], caret) if caret <= _LONGEST_SHOWN else ("", 0)

    @cached_property
    def _visible(self) -> Visible:
        return Visible(self.text)
