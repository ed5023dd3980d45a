"""References in values: `${env:NAME}`, `${env:NAME:-default}`, `${file:/path}`; `$$` is a dollar.

They are read in parsed scalars, never in raw text (design §3), and are stored as written: the value
behind one is looked up late (`olake_reconcile.secrets`) and never kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

_TOKEN = re.compile(r"\$\$|\$\{([^}]*)\}|\$")
_BODY = re.compile(r"(env):([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?\Z|(file):(.+)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference: an environment variable with an optional default, or a file."""

    kind: Literal["env", "file"]
    name: str
    default: str | None = None

    def __str__(self) -> str:
        default = "" if self.default is None else f":-{self.default}"
        return f"${{{self.kind}:{self.name}{default}}}"


class BadReference(ValueError):
    """The text has a `$` that is neither a reference nor `$$`."""


def parts(text: str) -> list[str | Reference]:
    """Split `text` into literal pieces and references; `$$` becomes a dollar. Raises `BadReference`."""
    if "$" not in text:
        return [text]
    found: list[str | Reference] = []
    end = 0
    for match in _TOKEN.finditer(text):
        found.append(text[end : match.start()])
        end = match.end()
        found.append("$" if match.group() == "$$" else _reference(match))
    found.append(text[end:])
    return [p for p in found if p != ""]


def _reference(match: re.Match[str]) -> Reference:
    body = _BODY.match(match.group(1)) if match.group(1) is not None else None
    if body is None:
        raise BadReference(
            f"'{match.group()}' is not a reference: write ${{env:NAME}}, ${{env:NAME:-default}}, "
            "${file:/path}, or $$ for a dollar"
        )
    if body.group(1):
        return Reference("env", body.group(2), body.group(3))
    return Reference("file", body.group(5))


def references(text: str) -> list[Reference]:
    """Return the references in `text`, in order. Raises `BadReference`."""
    return [p for p in parts(text) if isinstance(p, Reference)]


def expand(text: str, resolve: Callable[[Reference], str]) -> str:
    """Return `text` with every reference replaced by what `resolve` returns for it."""
    return "".join(resolve(p) if isinstance(p, Reference) else p for p in parts(text))


def is_only_references(text: str) -> bool:
    """Whether `text` is made of references without defaults alone, as a secret must be."""
    try:
        found = parts(text)
    except BadReference:
        return False
    return bool(found) and all(isinstance(p, Reference) and p.default is None for p in found)
