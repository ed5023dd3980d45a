"""The layers of design §11: an import may point only to a layer before its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "olake_reconcile"

# Rows from the bottom up; names in one row may not import each other.
LAYERS: list[set[str]] = [
    {"__init__"},
    {"diagnostics"},
    {"errors"},
    {"model"},
    {"plan"},
    {"clock", "secrets"},
    {"spec", "state", "sources", "destinations", "policies", "alerts"},
    {"engine"},
    {"reconcile"},
    {"wiring"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}

PURE = {"model", "plan"}
IMPURE_MODULES = {
    "os", "io", "pathlib", "socket", "subprocess", "threading", "time", "random", "secrets", "tempfile", "shutil",
    "sqlalchemy", "psycopg", "duckdb", "pyarrow", "pyiceberg", "logging", "uuid", "asyncio", "multiprocessing",
}  # fmt: skip

# Concrete adapters: named by wiring.py and by their own folder only.
ADAPTERS = {
    "olake_reconcile.state.store": "state",
    "olake_reconcile.engine.embedded": "engine",
    "olake_reconcile.engine.scripted": "engine",
    "olake_reconcile.policies.cel": "policies",
    "olake_reconcile.alerts.through_apprise": "alerts",
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[str]:
    """Every module that the file imports, inside functions too."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_to_lower_layers_only(path: Path) -> None:
    own = layer(path)
    for name in imports(path):
        if not name.startswith("olake_reconcile."):
            continue
        other = name.split(".")[1]
        if other in RANK and other != own:
            assert RANK[other] < RANK[own], f"{own} may not import {name}"


def test_every_part_of_the_package_has_a_layer() -> None:
    parts = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()}
    assert parts - {"__pycache__"} == set(RANK)


@pytest.mark.parametrize(
    "path", [p for p in modules() if layer(p) in PURE], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_pure_layers_do_no_io(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path)}
    assert not used & IMPURE_MODULES


def test_only_the_wiring_names_concrete_adapters() -> None:
    for path in modules():
        if layer(path) == "wiring":
            continue
        for name in imports(path):
            for adapter, home in ADAPTERS.items():
                assert not name.startswith(adapter) or layer(path) == home, f"{path.name} names {name}"


def test_no_two_test_modules_share_a_name() -> None:
    """Test folders are no packages: pytest takes the second module of a name for the first one."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert [name for name in names if names.count(name) > 1] == []
