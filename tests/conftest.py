"""Fixtures and switches that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.workspaces import Lab, a_lab

pytest.register_assert_rewrite("tests.contracts.engine_suite")

settings.register_profile(
    "ci",
    derandomize=True,
    max_examples=25,
    deadline=None,
    database=None,
    # Explaining a failure may take minutes; whoever looks into one can ask for it.
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "soak", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="Rewrite tests/golden from what the program prints now."
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update-golden") and os.environ.get("CI"):
        raise pytest.UsageError("--update-golden is for people who review the difference: not with CI set")
    if _is_soak(config):
        settings.load_profile("soak")


def pytest_itemcollected(item: pytest.Item) -> None:
    """With `-m soak` every random test is one of them, with many examples."""
    if _is_soak(item.config) and getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        item.add_marker("soak")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a `-m` of one's own, what takes minutes stays out."""
    if config.getoption("markexpr", ""):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def _is_soak(config: pytest.Config) -> bool:
    return str(config.getoption("markexpr", "")) == "soak"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A workspace of one job `daily` with two streams, nothing applied yet."""
    return a_lab(tmp_path)
