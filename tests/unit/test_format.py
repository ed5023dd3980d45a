"""`fmt`: the look of a file changes, its meaning, its comments and its lines do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olake_reconcile.spec.format import Unformattable, formatted
from olake_reconcile.spec.parse import parse

UGLY = """\
# yaml-language-server: $schema=../.olake/schema.json


streams:
  public.orders:   # the big one
    cursor:   updated_at
    # read what changed
    sync_mode: incremental
    # filter: status != 'draft'
  public.customers:
# runs at night
schedule: "0 3 * * *"SPACES
name: orders
kind: Job
""".replace("SPACES", "   ")
PRETTY = """\
# yaml-language-server: $schema=../.olake/schema.json

kind: Job
name: orders
# runs at night
schedule: "0 3 * * *"
streams:
  public.orders:   # the big one
    # read what changed
    sync_mode: incremental
    cursor: updated_at
    # filter: status != 'draft'
  public.customers:
"""


def values(text: str) -> list[Any]:
    return [document for document, _ in parse(text).documents]


def test_keys_come_in_their_order_with_their_comments() -> None:
    assert formatted(UGLY) == PRETTY


def test_formatting_twice_changes_nothing_more() -> None:
    assert formatted(PRETTY) == PRETTY


@pytest.mark.parametrize("path", sorted(Path("jobs/example").rglob("*.yaml")), ids=str)
def test_the_example_workspace_means_the_same_formatted(path: Path) -> None:
    text = path.read_text()
    assert values(formatted(text)) == values(text)


def test_anchors_and_what_stands_in_quotes_or_blocks_stay() -> None:
    text = "name: a\nkind: Job\ndescription: |\n  two  \n\n\n  lines\nlabels: &l {a: 'x'}\nowner: \"a  b\"\n"
    assert formatted(text) == text
    block = "name: a\nkind: Job\ndescription: |\n  two  \n\n\n  lines\n"
    assert formatted(block) == "kind: Job\nname: a\ndescription: |\n  two  \n\n\n  lines\n"


def test_a_broken_file_is_refused() -> None:
    with pytest.raises(Unformattable):
        formatted("kind: Job\nname: [\n")


KEYS = st.sampled_from(["kind: Job", "name: a", "owner:   b", "labels: {x:  1}", "protect:\n  delete: true\n  rebuild: false",
                        "stream_defaults:\n    cursor: a\n    sync_mode: incremental", "description: |\n  # no comment\n\n  x  ",
                        "streams:\n  b.c:\n    threads: 2\n\n    sync_mode:  cdc\n    # end\n  a.b:", "schedule: >-\n  every\n  5m",
                        "'active': true", "windows:\n  syncs:\n  - duration: 1h\n    allow: '@daily'", "retry: &r {attempts: 2}"])  # fmt: skip
NOISE = st.sampled_from(["", "", "# a comment", "  # an indented one", "\n\n", "    # deep", "---"])


@given(st.lists(st.tuples(NOISE, KEYS), max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_a_formatted_file_reads_as_before(parts: list[tuple[str, str]], ending: str) -> None:
    text = "\n".join(f"{noise}\n{key}" if noise else key for noise, key in parts).replace("\n", ending)
    try:
        new = formatted(text)
    except Unformattable:
        assert parse(text).mistakes or "\r" in text
        return
    assert values(new) == values(text)
    assert formatted(new) == new
    assert sorted(c.strip() for c in new.split("\n") if c.strip().startswith("#")) == sorted(
        c.strip() for c in text.split("\n") if c.strip().startswith("#")
    )
