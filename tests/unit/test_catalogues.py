from __future__ import annotations

from tests.workspaces import Lab


def test_a_catalogue_that_was_discovered_is_read_back_from_the_cache(lab: Lab) -> None:
    assert "not-checked" in lab.ok("validate").err
    lab.ok("discover")
    assert "not-checked" not in lab.ok("validate").err
    assert "about 41,200 rows to load" in lab.ok("plan", "--no-refresh").out
