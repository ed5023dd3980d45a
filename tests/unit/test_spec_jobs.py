"""Defaults, spellings, references and places: from files to `Desired`."""

from __future__ import annotations

from pathlib import Path

import pytest

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.job import Job
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.stream import Columns, Protect, Stream, WriteMode, show_stream
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec.workspace import Workspace, find_root, load_workspace
from tests.spec_builders import JOB, PROJECT, codes, load, write_workspace

DEFAULTS = PROJECT.replace(
    "uid: 7f3c0d9e\n",
    """uid: 7f3c0d9e
job_defaults:
  schedule: "@daily"
  owner: team-data
  labels: {tier: silver, area: shop}
  protect: {delete: true}
  destination_database: raw
  stream_defaults:
    sync_mode: full_refresh
    filter: id > 0
    columns: {exclude: [secret]}
""",
)


def job(workspace: Workspace, name: str = "orders") -> Job:
    assert workspace.desired is not None, "\n".join(d.render() for d in workspace.diagnostics)
    return workspace.desired.jobs[name]


def stream(workspace: Workspace, name: str = "public.orders") -> Stream:
    return job(workspace).streams[StreamId.parse(name)]


def test_an_empty_stream_takes_all_defaults(tmp_path: Path) -> None:
    found = stream(load(tmp_path, JOB.replace("    sync_mode: full_refresh\n", ""), project=DEFAULTS))
    assert show_stream(found) == {
        "sync_mode": "full_refresh",
        "filter": "id > 0",
        "columns": {"exclude": ["secret"]},
        "destination_database": "raw",
        "destination_table": "orders",
        "protect": {"delete": True},
    }


def test_the_nearest_default_wins_and_maps_are_merged(tmp_path: Path) -> None:
    text = (
        JOB
        + "    columns: {include: [id]}\n    protect: {rebuild: true}\n  public.items:\n"
        + (
            "labels: {tier: gold}\nowner: team-sales\ndestination_database: sales\n"
            "stream_defaults: {filter: id > 5, destination_database: near}\n"
        )
    )
    workspace = load(tmp_path, text, project=DEFAULTS)
    assert job(workspace).labels == {"tier": "gold", "area": "shop"}
    assert job(workspace).owner == "team-sales"
    assert job(workspace).schedule is not None
    orders, items = stream(workspace), stream(workspace, "public.items")
    assert orders.columns == Columns(include=("id",))
    assert items.columns == Columns(exclude=("secret",))
    assert orders.protect == Protect(rebuild=True, delete=True)
    assert items.protect == Protect(delete=True)
    assert orders.destination_database == "near"
    assert orders.filter is not None
    assert orders.filter.text == "id > 5"


def test_null_takes_a_default_back(tmp_path: Path) -> None:
    text = JOB + "    filter:\n    columns: ~\nschedule: null\n"
    workspace = load(tmp_path, text, project=DEFAULTS)
    assert stream(workspace).filter is None
    assert stream(workspace).columns == Columns()
    assert job(workspace).schedule is None


def test_olakes_names_are_the_default(tmp_path: Path) -> None:
    found = stream(load(tmp_path, JOB.replace("public.orders", "Finance.Order-Items")), "Finance.Order-Items")
    assert (found.destination_database, found.destination_table) == ("postgres_shop_finance", "order_items")


def test_a_database_pattern_is_reformatted(tmp_path: Path) -> None:
    found = stream(load(tmp_path, JOB + "    destination_database: postgres_Shop:public\n"))
    assert found.destination_database == "postgres_shop_public"


def test_olakes_spellings_mean_the_same(tmp_path: Path) -> None:
    ours = JOB + (
        "    write_mode: append\n    filter: amount >= 1.5 and \"Name\" = 'O''Hara' and gone is not null\n"
        "    partition_by: [month(created), 'bucket(16, id)']\n    columns: {include: [id, name]}\n"
        "schedule: '*/15 * * * *'\n"
    )
    theirs = JOB + (
        "    append_mode: true\n    filter_config:\n      logical_operator: AND\n      conditions:\n"
        "        - {column: amount, operator: '>=', value: 1.5}\n"
        '        - {column: Name, operator: "=", value: "O\'Hara"}\n'
        "        - {column: gone, operator: '!=', value: null}\n"
        "    partition_regex: /{created, month}/{id, bucket[16]}\n"
        "    selected_columns: {columns: [id, name], sync_new_columns: false}\n"
        "schedule: '*/15 * * * *'\n"
    )
    one, two = stream(load(tmp_path / "a", ours)), stream(load(tmp_path / "b", theirs))
    assert one.filter is not None
    assert two.filter is not None
    assert one.filter.canonical() == two.filter.canonical()
    assert one.model_copy(update={"filter": None}) == two.model_copy(update={"filter": None})


def test_cursor_field_names_both_cursors(tmp_path: Path) -> None:
    found = stream(load(tmp_path, JOB + "    cursor_field: updated_at:id\n"))
    assert (found.cursor, found.fallback_cursor) == ("updated_at", "id")


def test_append_mode_false_is_upsert(tmp_path: Path) -> None:
    text = JOB + "    append_mode: false\nstream_defaults: {write_mode: append}\n"
    assert stream(load(tmp_path, text)).write_mode is WriteMode.UPSERT


def test_references_in_jobs_are_resolved_and_typed(tmp_path: Path) -> None:
    text = JOB + (
        "    threads: ${env:THREADS}\n    write_mode: ${env:MODE:-append}\n"
        "active: ${env:ACTIVE}\nowner: team-${env:TEAM}\ndescription: costs $$5\n"
    )
    workspace = load(tmp_path, text, THREADS="7", ACTIVE="false", TEAM="10")
    assert stream(workspace).threads == 7
    assert stream(workspace).write_mode is WriteMode.APPEND
    assert job(workspace).active is False
    assert job(workspace).owner == "team-10"
    assert job(workspace).description == "costs $5"


def test_a_reference_to_digits_stays_text_where_text_is_wanted(tmp_path: Path) -> None:
    assert job(load(tmp_path, JOB + "owner: ${env:TEAM}\n", TEAM="7")).owner == "7"


def test_references_in_configs_stay_as_written(tmp_path: Path) -> None:
    project = PROJECT.replace("host: db", 'host: "${env:SHOP_HOST}"').replace(
        "database: shop", 'database: shop, port: "${env:SHOP_PORT}"'
    )
    unset = load(tmp_path / "unset", JOB, project=project)
    assert unset.desired is not None
    assert unset.desired.sources["shop"].config["host"] == "${env:SHOP_HOST}"
    assert unset.desired.sources["shop"].config["port"] == "${env:SHOP_PORT}"
    wrong = load(tmp_path / "wrong", JOB, project=project, SHOP_HOST="db", SHOP_PORT="canary")
    assert codes(wrong) == ["wrong-type"]
    assert "canary" not in "".join(d.render() for d in wrong.diagnostics)


def test_a_secret_is_not_looked_up(tmp_path: Path) -> None:
    class Strict(SystemSecrets):
        def resolve(self, reference: object, *, sensitive: bool = True) -> str:
            raise AssertionError(reference)

    root = write_workspace(tmp_path, {"olake.yaml": PROJECT, "jobs/a.yaml": JOB})
    assert load_workspace(root, Strict(), {}).desired is not None


def test_the_database_behind_a_reference_names_the_destination(tmp_path: Path) -> None:
    project = PROJECT.replace("database: shop", 'database: "${env:DATABASE}"')
    assert stream(load(tmp_path, JOB, project=project, DATABASE="Big Shop")).destination_database == (
        "postgres_big_shop_public"
    )


def test_origins_name_the_line_that_won(tmp_path: Path) -> None:
    text = (
        JOB
        + "    cursor_field: a:b\n  public.items:\nprotect: {rebuild: true}\nstream_defaults: {filter: id > 5}\n"
    )
    workspace = load(tmp_path, text, project=DEFAULTS)
    assert workspace.desired is not None

    def place(setting: str = "", name: str = "public.items") -> str:
        assert workspace.desired is not None
        return str(workspace.desired.origins.place(Address.of_stream("orders", name), setting))

    assert place() == "jobs/job.yaml:9"
    assert place("sync_mode") == "olake.yaml:11"
    assert place("sync_mode", "public.orders") == "jobs/job.yaml:7"
    assert place("fallback_cursor", "public.orders") == "jobs/job.yaml:8"
    assert place("filter") == "jobs/job.yaml:11"
    assert place("columns.exclude") == "olake.yaml:13"
    assert place("protect") == "jobs/job.yaml:10"
    assert place("destination_database") == "olake.yaml:9"
    assert place("destination_table") == "jobs/job.yaml:9"
    origins = workspace.desired.origins
    assert str(origins.place(Address("job", "orders"), "schedule")) == "olake.yaml:5"
    assert str(origins.place(Address("job", "orders"))) == "jobs/job.yaml:2"
    assert str(origins.place(Address("source", "shop"), "config.host")) == "olake.yaml:18"
    assert origins.place(Address("job", "nobody")) is None
    assert origins.place(Address.of_stream("orders", "public.nothing")) is None


def test_unknown_references_are_not_reported_while_files_are_unreadable(tmp_path: Path) -> None:
    root = write_workspace(
        tmp_path, {"olake.yaml": PROJECT.partition("---")[0], "jobs/a.yaml": JOB, "jobs/b.yaml": "a: [\n"}
    )
    assert codes(load_workspace(root, SystemSecrets({}), {})) == ["yaml-syntax"]


def test_all_mistakes_of_all_files_come_in_one_pass(tmp_path: Path) -> None:
    root = write_workspace(
        tmp_path,
        {
            "olake.yaml": PROJECT.replace("port", "prot") + "owned: me\n",
            "jobs/a.yaml": JOB.replace("full_refresh", "cdc"),
            "jobs/deep/er/b.yml": JOB.replace("orders", "second") + "    threads: 0\n---\nkind: Nothing\n",
            "environments/prod.yaml": "not: [read",
            "jobs/.hidden.yaml": "not: [read",
            "jobs/notes.txt": "not: [read",
        },
    )
    found = load_workspace(root, SystemSecrets({}), {}).diagnostics
    places = [(str(d.place), d.code) for d in found if d.is_error]
    assert places == [
        ("jobs/a.yaml:7", "not-yet"),
        ("jobs/deep/er/b.yml:8", "out-of-range"),
        ("jobs/deep/er/b.yml:10", "unknown-kind"),
        ("olake.yaml:14", "unknown-key"),
    ]


def test_a_workspace_needs_its_project(tmp_path: Path) -> None:
    root = write_workspace(tmp_path, {"olake.yaml": "# nothing\n"})
    workspace = load_workspace(root, SystemSecrets({}), {})
    assert codes(workspace) == ["missing-project"]
    assert workspace.desired is None


def test_the_root_is_found_from_below(tmp_path: Path) -> None:
    root = write_workspace(tmp_path / "w", {"olake.yaml": PROJECT, "jobs/a/b.yaml": JOB})
    assert find_root(root / "jobs" / "a") == root.resolve()
    with pytest.raises(ReconcileError, match="olake-reconcile init"):
        find_root(tmp_path)


def test_a_secret_in_a_broken_file_is_not_shown(tmp_path: Path) -> None:
    for number, text in enumerate(
        [
            "kind: Source\nconfig: {password: canary, port: [}\n",
            "kind: Source\nconfig:\n  password: 'canary\n",
            'kind: Source\nconfig:\n  password: "canary\n  canary: more\n  host: x"y\n',
            "kind: Source\nconfig:\n  password:\n    canary: canary\n  token: [canary]\n   host: x\n",
            "kind: Job\npassword: canary\nschedule: [\n",
            "state: postgresql://me:canary@host/db\nname: {\n",
        ]
    ):
        workspace = load(tmp_path / str(number), text)
        assert "canary" not in "\n".join(d.render() for d in workspace.diagnostics), text
