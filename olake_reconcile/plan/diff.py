"""Which settings differ between two sides, in words for people.

Called only where fingerprints differ. Whether a setting differs is decided by its canonical form, never by
its spelling; deepdiff takes nested settings apart for showing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel


def differing_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the settings whose canonical values differ, sorted."""
    return sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))


def complete(model: type[BaseModel], shown: Mapping[str, Any], setting: str) -> Any:
    """Return a shown setting with the model's defaults in place of what was left out; None means unset."""
    default = model.model_fields[setting].default
    value = shown.get(setting)
    if isinstance(default, BaseModel):
        return {**default.model_dump(mode="json"), **(value or {})}
    if value is None and isinstance(default, bool | StrEnum | str):
        default = default.value if isinstance(default, StrEnum) else default
        return None if default == "" else default
    return value


def leaves(setting: str, before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    """Return the differences inside a setting as (path, before, after): `config.ssl.mode`, for maps only."""
    if isinstance(before, dict) and after is None:
        after = {}
    if isinstance(after, dict) and before is None:
        before = {}
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [(setting, before, after)]
    from deepdiff import DeepDiff  # 0.17 s to import

    found: list[tuple[str, Any, Any]] = []
    for level in _levels(DeepDiff(before, after, view="tree", threshold_to_diff_deeper=0)):
        path = [setting]
        for part in level.path(output_format="list"):
            if isinstance(part, int):
                break
            path.append(str(part))
        found.append((".".join(path), _at(before, path[1:]), _at(after, path[1:])))
    distinct = {path: (path, b, a) for path, b, a in found}
    return [distinct[path] for path in sorted(distinct)]


def _levels(difference: Any) -> list[Any]:
    return [level for kind in difference.values() for level in kind]


def _at(value: Any, path: list[str]) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
