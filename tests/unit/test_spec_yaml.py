"""YAML to values and places."""

from __future__ import annotations

from typing import Any

import pytest

from olake_reconcile.spec.node import offset_at
from olake_reconcile.spec.parse import parse
from olake_reconcile.spec.scalar import plain_value
from olake_reconcile.spec.text import SourceText


def document(text: str) -> Any:
    parsed = parse(text)
    assert parsed.mistakes == []
    return parsed.documents[0][0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("10:30", "10:30"),
        ("1:30:00", "1:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("-7", -7),
        ("+7", 7),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("9" * 100_000, "9" * 100_000),
        ("=", "="),
    ],
)
def test_plain_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found = plain_value(text)
    assert found == value
    assert type(found) is type(value)


def test_quoted_scalars_are_text() -> None:
    assert document("a: '1'\nb: \"true\"\nc: |\n  null\n") == {
        "a": "1",
        "b": "true",
        "c": "null\n",
    }


def test_keys_are_text() -> None:
    assert document("on: 1\n1: 2\nnull: 3\n") == {"on": 1, "1": 2, "null": 3}


def test_aliases_and_merges() -> None:
    text = "x: &x {a: 1, b: 2}\ny: {<<: *x, a: 3}\nz:\n  <<: [{c: 4}, *x, {c: 9}]\nw: *x\n"
    assert document(text) == {
        "x": {"a": 1, "b": 2},
        "y": {"a": 3, "b": 2},
        "z": {"c": 4, "a": 1, "b": 2},
        "w": {"a": 1, "b": 2},
    }


def test_a_quoted_merge_key_is_a_key() -> None:
    assert document("'<<': 1\n") == {"<<": 1}


def test_anchors_end_with_their_document() -> None:
    assert [m.code for m in parse("a: &x 1\n---\nb: *x\n").mistakes] == ["unknown-alias"]


def test_places_count_characters_and_lines_as_editors_do() -> None:
    text = "ä: 'ü'\r\nbé:\r\n  - x\r\n  - {k: 🎈, l: v}\r\n"
    source, root = SourceText("f.yaml", text), document(text)

    def place(*path: str | int, of_key: bool = False) -> tuple[int, int]:
        found = source.place(offset_at(root, path, of_key=of_key))
        return found.line, found.column

    assert place("ä") == (1, 4)
    assert place("bé", of_key=True) == (2, 1)
    assert place("bé", 1, "k") == (4, 9)
    assert place("bé", 1, "l", of_key=True) == (4, 12)
    assert place("bé", 1, "nothing") == (4, 5)


def test_the_place_of_an_empty_value_is_its_key() -> None:
    text = "a:\n  b:\n  c: 1\n"
    assert offset_at(document(text), ("a", "b")) == text.index("b:")


def test_documents_before_a_syntax_error_are_kept() -> None:
    parsed = parse("a: 1\n---\nb: [\n")
    assert [d for d, _ in parsed.documents] == [{"a": 1}]
    assert not parsed.complete


@pytest.mark.parametrize("text", ["a: ! 5\n", "a: !!str 5\n", "? !x a\n: 1\n", "a: !x [1]\n", "!x\na: {}\n"])
def test_any_tag_is_a_mistake(text: str) -> None:
    assert [m.code for m in parse(text).mistakes] == ["yaml-tag"]
