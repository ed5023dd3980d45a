"""One warm driver for all tests of a test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.forks import Driver


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    """A driver that is running."""
    running = Driver()
    yield running
    running.close()
