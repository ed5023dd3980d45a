"""The plan's JSON is a contract: its published schema is fresh, and every golden plan fits it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from olake_reconcile.plan.schema import plan_schema
from tests.workspaces import Lab

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "schemas" / "plan.schema.json"
PLANS = sorted((Path(__file__).parent / "plan").glob("*/plan.json"))


def closed(schema: Any) -> Any:
    """Return the schema with unknown fields refused: what we print, we must have published."""
    if isinstance(schema, dict):
        inner = {key: closed(value) for key, value in schema.items()}
        return inner | {"additionalProperties": False} if "properties" in schema else inner
    return [closed(item) for item in schema] if isinstance(schema, list) else schema


STRICT = Draft202012Validator(closed(plan_schema()))


def test_the_published_schema_is_fresh(lab: Lab) -> None:
    printed = lab.ok("schema", "plan").out
    assert json.loads(printed) == plan_schema()
    assert PUBLISHED.read_text() == printed, "run: olake-reconcile schema plan > schemas/plan.schema.json"


def test_the_published_schema_is_one() -> None:
    Draft202012Validator.check_schema(plan_schema())


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.parent.name)
def test_golden_plans_fit_the_schema_with_no_field_unpublished(path: Path) -> None:
    STRICT.validate(json.loads(path.read_text()))
