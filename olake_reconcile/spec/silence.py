"""`# lint: allow CODE`: silences a warning on the spot, on the line itself or alone on the line above it."""

from __future__ import annotations

import re

_ALLOW = re.compile(r"(?:#|//|--|<!--)\s*lint:\s*allow\s+([a-z-]+(?:[ \t]*,[ \t]*[a-z-]+)*)")
_ALONE = re.compile(r"\s*(?:#|//|--|<!--)")


def is_allowed(text: str, offset: int, code: str) -> bool:
    """Whether the warning `code` at `offset` of `text` was silenced there. Strings are not told from comments:

    whoever writes the words into a value has said what they want, too.
    """
    if "lint:" not in text:
        return False
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    line = text[start : end if end >= 0 else len(text)]
    above = text[text.rfind("\n", 0, max(0, start - 1)) + 1 : max(0, start - 1)]
    return code in _codes(line) or (bool(_ALONE.match(above)) and code in _codes(above))


def _codes(line: str) -> list[str]:
    found = _ALLOW.search(line)
    return [code.strip() for code in found.group(1).split(",")] if found else []
