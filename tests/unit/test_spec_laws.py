"""Laws of the reader: order means nothing, places are inside files, nothing but diagnostics comes out."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from olake_reconcile.diagnostics import Diagnostic
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec.parse import parse
from olake_reconcile.spec.workspace import Workspace, load_workspace
from tests.spec_builders import PROJECT, load, write_workspace

EXAMPLE = Path(__file__).parent.parent.parent / "jobs" / "example"


def plain(node: Any) -> Any:
    match node:
        case dict():
            return {key: plain(value) for key, value in node.items()}
        case list():
            return [plain(value) for value in node]
        case _:
            return node


def example_documents() -> list[dict[str, Any]]:
    files = sorted(EXAMPLE.rglob("*.yaml"))
    return [plain(document) for path in files for document, _ in parse(path.read_text()).documents]


def shuffled(node: Any, chance: random.Random) -> Any:
    """Return `node` with the keys of all its mappings in another order."""
    match node:
        case dict():
            keys = list(node)
            chance.shuffle(keys)
            return {key: shuffled(node[key], chance) for key in keys}
        case list():
            return [shuffled(value, chance) for value in node]
        case _:
            return node


@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_the_order_of_files_documents_keys_and_streams_means_nothing(
    chance: random.Random, count: int
) -> None:
    documents = [shuffled(d, chance) for d in example_documents()]
    chance.shuffle(documents)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "jobs").mkdir()
        files: dict[str, list[Any]] = {}
        for document in documents:
            name = "olake.yaml" if document["kind"] == "Project" else f"jobs/{chance.randrange(count)}.yaml"
            files.setdefault(name, []).append(document)
        for name, held in files.items():
            with open(root / name, "w", encoding="utf-8") as file:
                YAML(typ="safe").dump_all(held, file)
        found = load_workspace(root, SystemSecrets({}), {})
    expected = load_workspace(EXAMPLE, SystemSecrets({}), {})
    assert found.desired is not None, [d.render() for d in found.diagnostics]
    assert found.desired == expected.desired
    assert list(found.desired.jobs) == sorted(found.desired.jobs)


def inside(diagnostic: Diagnostic, files: dict[str, str]) -> None:
    if diagnostic.place is None:
        return
    lines = files[diagnostic.place.file].split("\n")
    assert 1 <= diagnostic.place.line <= len(lines)
    assert 1 <= diagnostic.place.column <= max(1, len(lines[diagnostic.place.line - 1]))


KEYS = [
    "kind",
    "name",
    "streams",
    "public.a",
    "sync_mode",
    "filter",
    "config",
    "password",
    "columns",
    "x",
    "state",
]
VALUES = [
    "Job",
    "Source",
    "full_refresh",
    "'a b'",
    "${env:X}",
    "[a, b]",
    "{a: b}",
    "3",
    "yes",
    "*a",
    "&a b",
    "!t x",
    "",
    "|",
]
LINES = st.builds(
    lambda depth, dash, key, value: f"{'  ' * depth}{'- ' if dash else ''}{key}: {value}",
    st.integers(0, 3), st.booleans(), st.sampled_from(KEYS), st.sampled_from(VALUES),
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="ab:-?[]{}'\"|>&*!%@`#,\n\t \r\x85\u2028~<$", max_size=80),
    st.lists(st.one_of(LINES, st.just("---"), st.text(max_size=10)), max_size=12).map("\n".join),
)


def load_text(text: str, folder: str) -> Workspace:
    root = write_workspace(Path(folder), {"olake.yaml": PROJECT, "jobs/.keep": ""})
    (root / "jobs" / "a.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    return load_workspace(root, SystemSecrets({}), {})


@given(TEXTS)
def test_any_text_gives_diagnostics_and_their_places_are_inside_the_file(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = load_text(text, folder)
    for diagnostic in found.diagnostics:
        inside(diagnostic, {"olake.yaml": PROJECT, "jobs/a.yaml": text})
        assert "\x1b" not in diagnostic.render()


@given(st.binary(max_size=100))
def test_any_bytes_give_diagnostics(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = write_workspace(Path(folder), {"olake.yaml": PROJECT, "jobs/a.yaml": ""})
        (root / "jobs" / "a.yaml").write_bytes(data)
        load_workspace(root, SystemSecrets({}), {})


EXAMPLE_TEXT = (EXAMPLE / "olake.yaml").read_text()


@given(
    st.integers(0, len(EXAMPLE_TEXT) - 1),
    st.sampled_from(["", "x", ":", " ", "\n", "'", "[", "#", "${", "\t", "-"]),
)
def test_one_typo_anywhere_gives_places_inside_the_file(at: int, typo: str) -> None:
    text = EXAMPLE_TEXT[:at] + typo + EXAMPLE_TEXT[at + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        found = load(Path(folder), project=text)
    for diagnostic in found.diagnostics:
        inside(diagnostic, {"olake.yaml": text})


SECRET = "canary-7Qz"
SECRET_PLACES = EXAMPLE_TEXT.replace("${env:SHOP_PASSWORD}", SECRET)


@given(
    st.integers(0, len(SECRET_PLACES) - 1),
    st.sampled_from(["", "x", ":", " ", "\n", "'", "[", "}", "\t", "!", "*"]),
)
def test_a_secret_beside_any_typo_is_never_shown(at: int, typo: str) -> None:
    start = SECRET_PLACES.index(SECRET)
    if start <= at < start + len(SECRET):
        return
    text = SECRET_PLACES[:at] + typo + SECRET_PLACES[at + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        found = load(Path(folder), project=text)
    assert any(d.is_error for d in found.diagnostics)
    assert SECRET not in "\n".join(d.render() for d in found.diagnostics)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        (
            "kind: Job\nname: orders\nsource: shopp\ndestination: lake\nstreams:\n  public.orders: {sync_mode: full_refresh}\n",
            "jobs/job.yaml:3:9: error: there is no source 'shopp' (did you mean 'shop'?) [unknown-source]\n"
            "    source: shopp\n"
            "            ^",
        ),
        (
            "kind: Source\nname: other\ntype: postgres\n"
            "config: {host: h, password: hunter2, database: d, username: u, port: many}\n",
            "jobs/job.yaml:4:29: error: 'password' holds a secret in plain text or a default for one "
            "(write a reference, such as ${env:NAME}, and take the secret out of git's history) [plaintext-secret]\n"
            "    config: {host: h, password: (sensitive), database: d, username: u, port: many}\n"
            "                                ^\n"
            "jobs/job.yaml:4:70: error: 'port' is a whole number, not text [wrong-type]\n"
            "    config: {host: h, password: (sensitive), database: d, username: u, port: many}\n"
            "                                                                             ^",
        ),
        (
            'kind: Job\nname: "a\\e[31mb"\nsource: shop\ndestination: lake\nstreams:\n  public.orders: {sync_mode: full_refresh}\n',
            "jobs/job.yaml:2:7: error: 'a\\x1b[31mb' is not a name: use letters, digits, '_' and '-', 100 at most [bad-name]\n"
            '    name: "a\\e[31mb"\n'
            "          ^",
        ),
    ],
)
def test_findings_look_like_this(text: str, rendered: str, tmp_path: Path) -> None:
    found = load(tmp_path, text).diagnostics
    assert "\n".join(d.render() for d in found if d.code != "not-checked") == rendered
