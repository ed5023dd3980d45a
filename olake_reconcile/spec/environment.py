"""Environments: which overlay lies over the files, what the variables are, and where the environment keeps its things.

Whatever is remembered of files between runs depends on both: a cache of parsed files must have the environment's name and
the values of all variables in its key, or be left out, as `load_workspace` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from olake_reconcile.errors import UsageError

DEFAULT = "default"
FOLDER = "environments"
VARIABLE_PREFIX = "OLAKE_VAR_"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}\Z")
# Folders below .olake that are something else.
_TAKEN = frozenset({"cache", "logs", "tmp"})


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment that a command is for, and the variables given on its command line."""

    name: str = DEFAULT
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_default(self) -> bool:
        """Whether the files count as they are, and everything is kept where it always was."""
        return self.name == DEFAULT


def named(name: str, variables: Mapping[str, str] | None = None) -> Environment:
    """Return the environment. Raises `UsageError` for what cannot be the name of one."""
    if not _NAME.match(name) or name in _TAKEN:
        raise UsageError(
            f"'{name}' is not the name of an environment",
            remedy=f"Use a-z, 0-9, '-' and '_', 40 characters at most; not {', '.join(sorted(_TAKEN))}.",
        )
    return Environment(name, dict(variables or {}))


def kept_in(root: Path, environment: str) -> Path:
    """Return the folder of what a workspace keeps for an environment: state, caches, logs."""
    return root / ".olake" if environment == DEFAULT else root / ".olake" / environment


def overlay_files(root: Path) -> list[str]:
    """Return the names of all overlays of a workspace."""
    folder = root / FOLDER
    if not folder.is_dir():
        return []
    return sorted(f"{FOLDER}/{p.name}" for p in folder.iterdir() if p.suffix in (".yaml", ".yml"))


def default_state(environment: str) -> str:
    """Return the URL of an environment's state where nothing else is said."""
    return f"sqlite:///.olake/{environment}/state.db"
