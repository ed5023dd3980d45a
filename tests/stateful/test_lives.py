"""Whatever is done in whatever order, killed at any call: tables hold what they should, and plans come to rest."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import Life


def test_edits_applies_syncs_holds_kills_and_clears_keep_every_promise() -> None:
    # A failure is told as it was found: shrinking one takes minutes, and the soak does it.
    found = settings(
        settings.get_profile("ci"), max_examples=6, stateful_step_count=15, phases=[Phase.generate]
    )
    run_state_machine_as_test(Life, settings=found)


@pytest.mark.soak
def test_long_lives_keep_every_promise() -> None:
    run_state_machine_as_test(
        Life, settings=settings(settings.get_profile("soak"), max_examples=200, stateful_step_count=40)
    )
