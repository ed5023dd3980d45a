"""What the reader promises about documentation, the editor's schema and the example workspace."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from olake_reconcile.model.stream import Stream
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec import settings
from olake_reconcile.spec.documents import DOCUMENTS, StreamSettings
from olake_reconcile.spec.files import workspace_files
from olake_reconcile.spec.parse import parse
from olake_reconcile.spec.schema import schema_text, workspace_schema
from olake_reconcile.spec.spelling import SPELLINGS
from olake_reconcile.spec.workspace import load_workspace
from tests.spec_builders import JOB, PROJECT

REPOSITORY = Path(__file__).parent.parent.parent
EXAMPLE = REPOSITORY / "jobs" / "example"
CODE = re.compile(r"[a-z]+(?:-[a-z]+)+\Z")


def codes_in_source() -> set[str]:
    found = {"unknown-source", "unknown-destination"}  # made of a word and a kind
    for path in (REPOSITORY / "olake_reconcile" / "spec").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.match(node.value):
                found.add(node.value)
    return found


def test_every_code_is_documented_and_no_other() -> None:
    rows = (REPOSITORY / "docs" / "errors.md").read_text().split("\n")
    documented = {
        c for row in rows if row.startswith("| `") for c in re.findall(r"`([a-z-]+)`", row.split("|")[1])
    }
    assert documented == codes_in_source()


def test_the_published_schema_is_fresh() -> None:
    published = (REPOSITORY / "schemas" / "workspace.schema.json").read_text()
    assert published == schema_text(), (
        "write it again: olake-reconcile schema > schemas/workspace.schema.json"
    )


def test_every_written_key_is_described() -> None:
    for definition in (
        d for n, d in workspace_schema()["$defs"].items() if n.endswith(("Document", "Settings"))
    ):
        for key, field in definition["properties"].items():
            assert key == "kind" or field.get("description"), key


def validator() -> jsonschema.Draft202012Validator:
    schema = workspace_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def example_documents() -> Iterator[Any]:
    names, _ = workspace_files(EXAMPLE)
    for name in names:
        yield from (document for document, _ in parse((EXAMPLE / name).read_text()).documents)


def test_the_example_workspace_is_valid_under_the_schema() -> None:
    documents = list(example_documents())
    assert len(documents) >= 7
    for document in documents:
        validator().validate(document)


def test_the_example_workspace_has_no_mistakes() -> None:
    workspace = load_workspace(EXAMPLE, SystemSecrets({}), {})
    assert [d.code for d in workspace.diagnostics] == ["not-checked"]
    assert workspace.desired is not None
    assert len(workspace.desired.jobs) >= 4


@pytest.mark.parametrize(
    "text",
    [
        JOB.replace("full_refresh", "full"),
        JOB + "    partition_bye: [id]\n",
        JOB.replace("kind: Job", "kind: Jobs"),
        "kind: Source\nname: shop\ntype: postgres\nconfig: {host: h, database: d, username: u, password: plain}\n",
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(text: str) -> None:
    assert not validator().is_valid(parse(text).documents[0][0])


def test_references_are_valid_where_numbers_and_words_stand() -> None:
    text = JOB + "    threads: ${env:THREADS}\n    write_mode: ${env:MODE}\nactive: ${env:ACTIVE:-true}\n"
    validator().validate(parse(text).documents[0][0])


def test_every_stream_key_is_read_and_every_stream_field_can_be_written() -> None:
    written = set(StreamSettings.model_fields)
    assert written == set(settings._READERS)
    assert set(Stream.model_fields) - {"id"} == written - SPELLINGS.keys()


def test_described_defaults_are_the_models() -> None:
    for name, field in workspace_schema()["$defs"]["StreamSettings"]["properties"].items():
        if "default" in field and name in Stream.model_fields:
            default = Stream.model_fields[name].default
            assert field["default"] == getattr(default, "value", default), name


def test_every_kind_has_a_document() -> None:
    kinds = {name for name, _ in re.findall(r"kind: (\w+)()", PROJECT + JOB)}
    assert kinds <= DOCUMENTS.keys()
