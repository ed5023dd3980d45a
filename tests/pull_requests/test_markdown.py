"""Markdown of plans: safe whatever things are called, complete in its totals, never too long, always the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olake_reconcile.cli.markdown import code, fenced, table
from olake_reconcile.cli.view_markdown import LIMIT, marker, render_markdown
from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.stored import LastLoad
from olake_reconcile.model.table import Owner, TableFacts
from olake_reconcile.plan.plan import Plan, build_plan
from tests.builders import PROJECT_UID, a_desired, a_job, a_stream, stored_of
from tests.pull_requests.hostile import NAMES, WORLD, job_yaml
from tests.rendered import check_markdown, rendered
from tests.workspaces import CANARY, Lab, a_lab


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Every hostile name rebuilt, all of it blocked by the threshold."""
    lab = a_lab(tmp_path_factory.mktemp("hostile"))
    lab.world(**WORLD)
    lab.write({"jobs/daily.yaml": job_yaml()})
    lab.apply()
    lab.ok("sync", "daily")
    lab.write({"jobs/daily.yaml": job_yaml(", partition_by: [day(at)]")})
    return lab


def test_no_name_is_active_and_every_name_is_there(hostile: Lab) -> None:
    markdown = hostile.ok("plan", "--markdown").out
    page = check_markdown(markdown)
    assert len(markdown) <= LIMIT
    assert len(page.rows) == len(NAMES) + 1
    for name in NAMES:
        shown = json.dumps(name)[1:-1] if not name.isprintable() else name
        assert (shown[:150] if len(name) > 150 else shown) in page.code, name
    assert "@acme/`data`|<b>" in page.code


def test_the_same_plan_gives_the_same_bytes_from_a_saved_plan_too(hostile: Lab) -> None:
    first = hostile.ok("plan", "--markdown").out
    hostile.ok("plan", "--out", "../saved.plan")
    (hostile.folder / "plan.json").write_text(hostile.ok("plan", "--json").out)
    assert hostile.ok("plan", "--markdown").out == first
    assert hostile.ok("show", "../saved.plan", "--markdown").out == first
    assert hostile.ok("show", "../plan.json", "--markdown").out == first


def test_the_printed_approvals_let_it_through(hostile: Lab, tmp_path: Path) -> None:
    markdown = hostile.ok("plan", "--markdown").out
    pasted = re.findall(r"`{3,}yaml\n(.*?)\n`{3,}\n", markdown, re.DOTALL)
    assert len(pasted) == 1
    hostile.write({"jobs/approvals.yaml": pasted[0] + "\n"})
    try:
        assert "are blocked" not in hostile.ok("plan", "--markdown").out
    finally:
        hostile.remove("jobs/approvals.yaml")


def test_there_is_no_secret_in_any_form(hostile: Lab) -> None:
    hostile.ok("plan", "--out", "../canary.plan")
    texts = [(hostile.folder / "canary.plan").read_text()]
    texts += [
        hostile.ok("plan", *form).text for form in (["--markdown"], ["--json"], ["--output", "github"], [])
    ]
    assert not [text for text in texts if CANARY in text]


@given(st.text(max_size=60))
def test_inline_code_shows_its_text_and_does_nothing(text: str) -> None:
    page = rendered("\n".join([*table(["a", "b"], [[code(text), "x"]]), "", f"after {code(text)}"]))
    assert page.tags <= {"table", "thead", "tbody", "tr", "th", "td", "code", "p"}
    assert page.rows == [2, 2]
    assert page.prose.split() == ["a", "b", "x", "after"]
    if text.isprintable() and text:
        assert text in page.code


@given(st.lists(st.text(alphabet=st.sampled_from("`~ab\n\r\t<>&@#|\u202e"), max_size=30), max_size=5))
def test_nothing_leaves_a_fence(lines: list[str]) -> None:
    page = rendered(f"{fenced('text', lines)}\n\nafter")
    assert page.tags == {"pre", "code", "p"}
    assert page.prose.strip() == "after"


def ours(uid: str) -> TableFacts:
    """Say that the stream's table is there and its own."""
    owner = Owner(project=PROJECT_UID, environment="default", job="daily", stream=uid, generation=1)
    return TableFacts(rows=1000, bytes=10_000, files=1, owner=owner, snapshot=None)


def large(streams: int) -> Plan:
    """A plan that rebuilds a quarter of its streams, blocked, and edits or creates the others."""
    before = [a_stream(f"public.t{n:05}") for n in range(streams // 2)]
    after = [
        a_stream(f"public.t{n:05}", partition_by=["day(at)"] if n % 2 else [], threads=None if n % 2 else 2)
        for n in range(streams // 2)
    ] + [a_stream(f"public.n{n:05}") for n in range(streams - streams // 2 - 1)]
    stored = stored_of(a_desired(a_job("daily", *before)))
    job = stored.jobs["daily"]
    observed = Observed(tables={("lake", s.place): ours(s.uid) for s in job.streams.values()})
    loaded = {
        i: s.model_copy(update={"last_load": LastLoad(rows=100, bytes=1, seconds=1)})
        for i, s in job.streams.items()
    }
    stored = stored.model_copy(update={"jobs": {"daily": job.model_copy(update={"streams": loaded})}})
    return build_plan(a_desired(a_job("daily", *after, owner="team")), stored, observed)


def test_a_plan_of_5000_changes_fits_and_its_totals_are_whole() -> None:
    plan = large(5000)
    assert len(plan.changes) == 5000
    markdown = render_markdown(plan, [Diagnostic(Severity.WARNING, "w", "x" * 3000)] * 50)
    page = check_markdown(markdown)
    assert len(markdown) <= LIMIT
    assert "2499 to add, 1251 to change, 1250 to rebuild" in page.prose
    assert "1,250 streams will be cleared." in page.prose
    assert "1,250,000 rows, 12.5 MB" in page.prose
    assert "1,250 actions are blocked." in page.prose
    left = {
        what: int(number.replace(",", ""))
        for number, what in re.findall(r"([\d,]+) ([a-z ]+?)s?(?=[,.] )", markdown.split("Left out here")[1])
    }
    assert left["cleared table"] + len(page.rows) - 1 == 1250
    assert markdown.index("Cleared") < markdown.index("<details>")


def test_what_fits_is_left_out_nowhere() -> None:
    assert "Left out" not in render_markdown(large(12))


@pytest.mark.parametrize("limit", [4_000, 20_000, 200_000])
def test_any_limit_is_kept(limit: int) -> None:
    markdown = render_markdown(large(1000), limit=limit)
    assert len(markdown) <= limit
    check_markdown(markdown)
    assert "250 to rebuild" in markdown


def test_the_marker_closes_where_it_ends() -> None:
    plan = large(4).model_copy(update={"project": "--> <b>", "environment": "prod-->x"})
    assert marker(plan).count("--") == 2
    check_markdown(render_markdown(plan))
