"""`make demo`: the main job on real data, every command as a user would type it.

A private PostgreSQL with a small shop, four streams into Iceberg, an edit, the plan that says what it means,
and the result read back by DuckDB. Everything happens in demo/workspace and in a temporary folder for the server,
which is stopped and removed at the end, on failure too. The warehouse stays, to be looked at.
"""

from __future__ import annotations

import difflib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WORKSPACE = HERE / "workspace"
BIN = Path(sys.executable).parent

sys.path.insert(0, str(HERE))
from local_postgres import LocalPostgres  # noqa: E402


def main() -> None:
    # A plain `kill` must stop the server and remove its folder too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    started = time.monotonic()
    say("A private PostgreSQL with a small shop")
    with LocalPostgres() as server:
        fill(server)
        # Not a pipeline, wherever this runs: the first plan starts from nothing, and may.
        environment = {"SHOP_PORT": str(server.port), "SHOP_PASSWORD": server.password, "CI": ""}
        story(environment, server)
    say("Done")
    print(f"It took {time.monotonic() - started:.0f} s. The server is gone; the warehouse is still there:")
    print(f"  {(WORKSPACE / 'warehouse').relative_to(ROOT)}")
    print('  .venv/bin/python demo/query.py "SELECT * FROM sales.orders LIMIT 5"')


def story(environment: dict[str, str], server: LocalPostgres) -> None:
    say("Jobs are YAML files")
    lay_out_workspace()
    show("olake.yaml")
    show("jobs/daily_orders.yaml")

    say("A mistake is found before anything runs")
    edit("jobs/daily_orders.yaml", "partition_by: [day(ordered_at)]", "partition_by: [dya(ordered_at)]")
    olake("validate", env=environment, expected=1)
    edit("jobs/daily_orders.yaml", "dya(ordered_at)", "day(ordered_at)")
    olake("validate", env=environment)

    say("Plan, apply, sync")
    olake("check", env=environment)
    olake("plan", env=environment)
    olake("apply --auto-approve", env=environment)
    olake("sync daily_orders", env=environment)
    olake("sync master_data", env=environment)

    say("The tables, read by DuckDB")
    query("SELECT count(*) AS orders, sum(total) AS total, min(ordered_at) AS first FROM sales.orders")
    query("SELECT country, count(*) AS customers FROM master.customers GROUP BY ALL ORDER BY ALL")
    query("SELECT id, sku, name, price, tags, warranty FROM master.products ORDER BY id LIMIT 3")

    say("Nothing changed: nothing to do")
    olake("plan", env=environment)

    say("An edit in git: partition by month, and leave out drafts")
    edit(
        "jobs/daily_orders.yaml",
        "    partition_by: [day(ordered_at)]\n",
        "    partition_by: [month(ordered_at)]\n    filter: status != 'draft'\n",
    )
    olake("plan", env=environment)
    olake("apply --auto-approve", env=environment)
    olake("sync daily_orders", env=environment)
    query("SELECT count(*) AS orders, count(*) FILTER (status = 'draft') AS drafts FROM sales.orders")

    say("The shop goes on; customers are incremental: only what is new or changed is read")
    sql(server, "UPDATE customers SET email = 'new@example.org', changed_at = now() WHERE id IN (8, 9)")
    sql(server, "INSERT INTO customers VALUES (5001, 'zoe@example.org', 'FR', false)")
    olake("sync master_data", env=environment)
    query(
        "SELECT count(*) AS customers, count(*) FILTER (email = 'new@example.org') AS changed FROM master.customers"
    )

    say("What happened")
    olake("status", env=environment)
    olake("history daily_orders", env=environment)


def fill(server: LocalPostgres) -> None:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE shop")
    with psycopg.connect(server.conninfo("shop"), autocommit=True) as connection:
        connection.execute((HERE / "shop.sql").read_bytes())
        connection.execute("ANALYZE")
        for table in ("customers", "products", "orders", "order_items"):
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            print(f"  {table}: {row[0] if row else 0:,} rows")


def lay_out_workspace() -> None:
    shutil.rmtree(WORKSPACE, ignore_errors=True)
    shutil.copytree(HERE / "files", WORKSPACE)


def sql(server: LocalPostgres, statement: str) -> None:
    print(f'\n$ psql shop -c "{statement}"', flush=True)
    with psycopg.connect(server.conninfo("shop"), autocommit=True) as connection:
        connection.execute(statement.encode())


def say(text: str) -> None:
    print(f"\n{'─' * 4} {text} {'─' * max(4, 90 - len(text))}", flush=True)


def show(name: str) -> None:
    print(f"\n$ cat {name}", flush=True)
    print((WORKSPACE / name).read_text(), end="", flush=True)


def edit(name: str, old: str, new: str) -> None:
    path = WORKSPACE / name
    before = path.read_text()
    if old not in before:
        raise SystemExit(f"demo is broken: {name} has no {old!r}")
    after = before.replace(old, new)
    path.write_text(after)
    print(f"\n$ $EDITOR {name}")
    changes = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    print("\n".join(line for line in changes if not line.startswith(("---", "+++", "@@"))), flush=True)


def olake(arguments: str, *, env: dict[str, str], expected: int = 0) -> None:
    print(f"\n$ olake-reconcile {arguments}", flush=True)
    command = [str(BIN / "olake-reconcile"), *shlex.split(arguments)]
    run(command, cwd=WORKSPACE, env=env, expected=expected)


def query(sql: str) -> None:
    print(f'\n$ python demo/query.py "{sql}"', flush=True)
    run([sys.executable, str(HERE / "query.py"), sql], cwd=ROOT, env={}, expected=0)


def run(command: list[str], *, cwd: Path, env: dict[str, str], expected: int) -> None:
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **env}, stdin=subprocess.DEVNULL)
    if done.returncode != expected:
        raise SystemExit(f"demo failed: exit code {done.returncode}, expected {expected}")


if __name__ == "__main__":
    main()
