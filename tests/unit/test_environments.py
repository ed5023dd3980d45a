"""Environments: overlays merged by name, variables, and what is kept apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olake_reconcile.errors import UsageError
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec.environment import Environment, kept_in, named
from olake_reconcile.spec.node import Map
from olake_reconcile.spec.overlay import merged
from olake_reconcile.spec.parse import parse
from olake_reconcile.spec.workspace import Workspace, load_workspace
from tests.spec_builders import JOB, PROJECT, write_workspace
from tests.workspaces import Lab

WITH_VARIABLES = PROJECT.replace("host: db,", "host: '${var:db_host}', port: '${var:db_port}',").replace(
    "uid: 7f3c0d9e\n", "uid: 7f3c0d9e\nvariables: {db_host: db, db_port: 5432, region: null, limit: 7}\n"
)


def load(
    root: Path,
    overlay: str = "",
    *,
    project: str = PROJECT,
    job: str = JOB,
    environment: Environment | None = None,
    outside: Mapping[str, str] | None = None,
) -> Workspace:
    files = {"olake.yaml": project, "jobs/job.yaml": job}
    if overlay:
        files["environments/prod.yaml"] = overlay
    write_workspace(root, files)
    chosen = environment or (Environment("prod") if overlay else Environment())
    return load_workspace(root, SystemSecrets(outside or {}), {}, checked_note=False, environment=chosen)


def complaints(workspace: Workspace) -> list[str]:
    return [d.render().split("\n")[0] for d in workspace.diagnostics]


def desired(workspace: Workspace) -> Any:
    assert workspace.desired is not None, complaints(workspace)
    return workspace.desired


def test_maps_merge_lists_replace_and_null_removes(tmp_path: Path) -> None:
    job = (
        JOB
        + "    partition_by: [id, created]\n    columns: {exclude: [a]}\nlabels: {team: shop, tier: '1'}\ndescription: x\n"
    )
    overlay = (
        "kind: Job\nname: orders\ndescription: null\nlabels: {tier: '2'}\n"
        "streams: {public.orders: {partition_by: [month(created)]}}\n"
    )
    found = desired(load(tmp_path, overlay, job=job)).jobs["orders"]
    (stream,) = found.streams.values()
    assert found.labels == {"team": "shop", "tier": "2"}
    assert found.description == ""
    assert [str(f) for f in stream.partition_by] == ["month(created)"]
    assert stream.columns.exclude == ("a",)


@pytest.mark.parametrize(
    ("overlay", "complaint"),
    [
        ("kind: Job\nname: order\n", "environments/prod.yaml:2:7: error: no file declares job 'order': an overlay changes what is declared (did you mean 'orders'?) [unknown-name]"),
        ("kind: Job\nname: orders\nstreams:\n  public.order: {}\n", "environments/prod.yaml:4:3: error: the job has no stream 'public.order': an overlay changes what is declared (did you mean 'public.orders'?) [unknown-name]"),
        ("kind: Job\nname: orders\nschedul: x\n", "environments/prod.yaml:3:1: error: unknown key 'schedul' (did you mean 'schedule'?) [unknown-key]"),
        ("kind: Job\nname: orders\nactive: 7\n", "environments/prod.yaml:3:9: error: 'active' is true or false, not a number [wrong-type]"),
        ("kind: Job\nname: orders\n---\nkind: Job\nname: orders\n", "environments/prod.yaml:5:7: error: job 'orders' is changed twice: first at environments/prod.yaml:1 [duplicate-name]"),
        ("kind: Project\nuid: another\n", "environments/prod.yaml:2:6: error: 'uid' is the same in all environments [bad-overlay]"),
        ("kind: Project\nvariables: {region: eu}\n", "environments/prod.yaml:2:13: error: no variable is called 'region': variables are declared in olake.yaml [unknown-variable]"),
        ("kind: Source\nname: shop\nconfig: {password: hunter2}\n", "environments/prod.yaml:3:20: error: 'password' holds a secret in plain text or a default for one (write a reference, such as ${env:NAME}, and take the secret out of git's history) [plaintext-secret]"),
        ("kind: Jobb\nname: orders\n", "environments/prod.yaml:1:7: error: unknown kind 'Jobb' (did you mean 'Job'?) [unknown-kind]"),
        ("- 1\n", "environments/prod.yaml:1:1: error: a document is a mapping that begins with 'kind:', not a list [wrong-type]"),
        ("kind: Job\n", "environments/prod.yaml:1:7: error: 'name' is required: it says what is changed [missing-key]"),
    ],
)  # fmt: skip
def test_what_an_overlay_cannot_mean_is_an_error_at_its_place(
    overlay: str, complaint: str, tmp_path: Path
) -> None:
    assert complaint in complaints(load(tmp_path, overlay))


def test_a_hostile_overlay_is_refused_like_any_file(tmp_path: Path) -> None:
    assert "yaml-too-deep" in complaints(load(tmp_path, "a: " + "[" * 100_000))[0]


def test_an_environment_without_an_overlay_is_an_error_with_a_guess(tmp_path: Path) -> None:
    found = complaints(load(tmp_path, "kind: Project\n", environment=Environment("prd")))
    assert "no environment 'prd'" in found[0]
    assert "did you mean 'prod'?" in found[0]


def test_the_place_of_a_setting_is_the_line_that_won(tmp_path: Path) -> None:
    from olake_reconcile.model.names import Address

    overlay = "kind: Job\nname: orders\nstreams:\n  public.orders:\n    filter: id > 7\n"
    origins = desired(load(tmp_path, overlay)).origins
    stream = Address.of_stream("orders", "public.orders")
    assert str(origins.place(stream, "filter")) == "environments/prod.yaml:5"
    assert str(origins.place(stream, "sync_mode")) == "jobs/job.yaml:7"


def test_approvals_and_removals_of_one_environment_stand_in_its_overlay(tmp_path: Path) -> None:
    overlay = "kind: Approval\naddress: orders/public.orders\nallow: rebuild\nchange: 7c1e9a42\n"
    assert len(desired(load(tmp_path, overlay)).approvals) == 1
    assert desired(load(tmp_path, overlay, environment=Environment())).approvals == ()


# Variables


def test_values_come_from_the_command_line_the_process_the_overlay_and_the_default(tmp_path: Path) -> None:
    def host(**how: Any) -> str:
        found = desired(load(tmp_path, project=WITH_VARIABLES, **how))
        return str(found.sources["shop"].config["host"])

    overlay = "kind: Project\nvariables: {db_host: overlaid}\n"
    outside = {"OLAKE_VAR_db_host": "outside"}
    assert host() == "db"
    assert host(overlay=overlay) == "overlaid"
    assert host(overlay=overlay, outside=outside) == "outside"
    given = Environment("prod", {"db_host": "given"})
    assert host(overlay=overlay, outside=outside, environment=given) == "given"


def test_types_are_kept_as_those_of_references_are(tmp_path: Path) -> None:
    project = WITH_VARIABLES.replace(
        "---\nkind: Source", "limits: {runs: '${var:limit}'}\n---\nkind: Source", 1
    )
    found = desired(load(tmp_path, project=project))
    assert found.sources["shop"].config["port"] == 5432
    assert found.project.limits.runs == 7


def test_a_variable_may_hold_a_reference_and_a_dollar_pair_is_none(tmp_path: Path) -> None:
    project = WITH_VARIABLES.replace("db_host: db,", "db_host: '${env:HOST}',")
    job = JOB + "    filter: status = '$${var:db_host}'\n"
    found = desired(load(tmp_path, project=project, job=job))
    assert found.sources["shop"].config["host"] == "${env:HOST}"
    assert "${var:db_host}" in str(next(iter(found.jobs["orders"].streams.values())).filter)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("owner: ${var:regio}", "no variable is called 'regio' (did you mean 'region'?) [unknown-variable]"),
        ("owner: x-${var:region}", "variable 'region' has no value here (set it with --var region=…, OLAKE_VAR_region, or in the environment's overlay) [unset-variable]"),
    ],
)  # fmt: skip
def test_a_variable_without_a_value_is_an_error_where_it_is_used(
    line: str, complaint: str, tmp_path: Path
) -> None:
    (found,) = complaints(load(tmp_path, project=WITH_VARIABLES, job=JOB + line + "\n"))
    assert found.startswith("jobs/job.yaml:8:8: error: ")
    assert found.endswith(complaint)


def test_a_flag_for_no_variable_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'db_host'"):
        load(tmp_path, project=WITH_VARIABLES, environment=Environment("default", {"db_hots": "x"}))


@pytest.mark.parametrize("name", ["", "Prod", "../x", "cache", "a" * 41, "a b"])
def test_names_that_cannot_be_folders_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        named(name)


# What is kept apart


def test_each_environment_has_a_state_of_its_own(tmp_path: Path) -> None:
    assert desired(load(tmp_path, "kind: Job\nname: orders\n")).project.state == {
        "url": "sqlite:///.olake/prod/state.db"
    }
    assert kept_in(tmp_path, "default") == tmp_path / ".olake"
    elsewhere = PROJECT.replace("uid: 7f3c0d9e\n", "uid: 7f3c0d9e\nstate: sqlite:////var/lib/olake.db\n")
    assert "[shared-state]" in complaints(load(tmp_path, "kind: Job\nname: orders\n", project=elsewhere))[0]
    own = "kind: Project\nstate: sqlite:////var/lib/prod.db\n"
    assert (
        desired(load(tmp_path, own, project=elsewhere)).project.state["url"] == "sqlite:////var/lib/prod.db"
    )


def test_a_plan_of_one_environment_is_refused_in_another(lab: Lab) -> None:
    lab.write({"environments/prod.yaml": "kind: Job\nname: daily\nschedule: '@daily'\n"})
    lab.ok("plan", "--env", "prod", "--out", "prod.plan")
    refused = lab.run("apply", "prod.plan")
    assert refused.code == 4
    assert "made for environment prod, and this is default" in refused.err
    assert lab.run("apply", "--env", "prod", "prod.plan").code == 0
    assert (lab.root / ".olake/prod/state.db").exists()
    assert "NEW STATE" in lab.ok("plan").out


def test_tables_of_another_environment_are_not_taken_for_ours(lab: Lab) -> None:
    lab.write({"environments/prod.yaml": "kind: Job\nname: daily\nschedule: '@daily'\n"})
    lab.apply("--env", "prod")
    lab.ok("sync", "--env", "prod", "daily")
    blocked = lab.run("apply", "--auto-approve")
    assert blocked.code == 3
    assert "in environment prod" in blocked.text


def test_the_environment_may_come_from_the_process(lab: Lab) -> None:
    lab.write({"environments/prod.yaml": "kind: Job\nname: daily\nschedule: '@daily'\n"})
    lab.environment["OLAKE_ENV"] = "prod"
    assert '"@daily"' in lab.ok("plan").out
    assert '"@hourly"' in lab.ok("plan", "--env", "default").out


def test_without_environments_nothing_is_said_of_them(lab: Lab) -> None:
    assert "environment" not in lab.ok("plan", "--json").out


# Laws


KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.sampled_from([1, 2, "x", None]) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
BLOCKS = st.dictionaries(KEYS, VALUES, max_size=3)


def as_map(value: Any) -> Map:
    import json

    ((root, _),) = parse(json.dumps(value)).documents
    assert isinstance(root, Map)
    return root


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return value


@given(base=BLOCKS, over=BLOCKS)
def test_laying_over_is_idempotent_and_what_is_said_last_wins(base: Any, over: Any) -> None:
    once = merged(as_map(base), as_map(over))
    assert merged(once, as_map(over)) == once
    assert merged(as_map(base), Map(0)) == base
    for key, value in over.items():
        if not isinstance(value, dict):
            assert once.get(key) == value
    assert len(once.offsets) == 2 * len(once)


@given(order=st.permutations([0, 1, 2]))
def test_the_order_of_documents_in_an_overlay_says_nothing(order: list[int]) -> None:
    import tempfile

    parts = [
        "kind: Project\nlimits: {runs: 3}\n",
        "kind: Source\nname: shop\nowner: dba\n",
        "kind: Job\nname: orders\nactive: false\n",
    ]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        first = desired(load(Path(one), "---\n".join(parts)))
        second = desired(load(Path(other), "---\n".join(parts[i] for i in order)))
    assert first == second
