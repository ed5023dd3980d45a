"""Checking and discovering a PostgreSQL source, over plain and encrypted connections."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lab import Lab
from tls_front import TlsFront

from olake_reconcile.errors import ReconcileError, Unreachable
from olake_reconcile.model.catalogue import Kind
from olake_reconcile.model.event import StreamFailed
from olake_reconcile.model.names import StreamId
from olake_reconcile.sources.postgres.connection import open_access

pytestmark = pytest.mark.integration

CANARY = "canary-2f6d0c81"


def test_a_check_says_what_the_server_is(lab: Lab) -> None:
    checked = lab.engine.check_source(lab.source)
    assert (
        checked.description == f"PostgreSQL 18.6, database {lab.database}"
        or "PostgreSQL 18." in checked.description
    )
    assert checked.warnings == ()


def test_the_identity_is_the_server_s_and_not_the_address_s(lab: Lab) -> None:
    [(system,)] = lab.sql("SELECT system_identifier FROM pg_control_system()")
    by_socket = lab.source_with(host=str(lab.server.socket_folder), password="")
    identity = lab.engine.check_source(lab.source).identity
    assert identity == f"postgres:{system}/{lab.database}"
    assert lab.engine.check_source(by_socket).identity == identity
    assert lab.engine.discover(by_socket).identity == identity
    assert lab.engine.check_source(lab.source_with(database="postgres")).identity != identity


@pytest.mark.parametrize(
    ("settings", "why", "remedy"),
    [
        ({"password": CANARY}, "password authentication failed", "Check username and password"),
        ({"database": "nowhere"}, "does not exist", "Check database"),
        ({"host": "host.invalid"}, "resolve host", "Check host"),
        ({"port": 1}, "refused", "Check host and port"),
        ({"ssl": {"mode": "require"}}, "SSL", "ssl.mode"),
    ],
)
def test_a_source_that_cannot_be_reached_says_why_and_what_to_do(
    lab: Lab, settings: dict[str, Any], why: str, remedy: str
) -> None:
    if "database" not in settings:
        settings = {"password": CANARY, **settings}
    source = lab.source_with(**settings)
    with pytest.raises(Unreachable) as caught:
        lab.engine.check_source(source)
    assert why in caught.value.why
    assert remedy in caught.value.remedy
    with pytest.raises(Unreachable):
        lab.engine.discover(source)
    [failed] = lab.run(lab.stream("public.t"), source=source)
    assert isinstance(failed, StreamFailed)
    assert CANARY not in str(caught.value) + failed.model_dump_json() + repr(source)


def test_discovery_lists_what_the_user_may_read(lab: Lab) -> None:
    lab.sql(
        "CREATE SCHEMA shop",
        "CREATE SCHEMA other",
        "CREATE TABLE shop.orders (b text NOT NULL, a int, total numeric(10,2), gone int, tags text[], PRIMARY KEY (b, a))",
        "ALTER TABLE shop.orders DROP gone",
        "INSERT INTO shop.orders SELECT g::text, g FROM generate_series(1, 1000) g",
        "ANALYZE shop.orders",
        "CREATE VIEW shop.v AS SELECT a FROM shop.orders",
        "CREATE MATERIALIZED VIEW shop.mv AS SELECT a FROM shop.orders",
        "CREATE TABLE shop.parts (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE shop.part1 PARTITION OF shop.parts FOR VALUES FROM (0) TO (10)",
        "CREATE TEMP TABLE passing (a int)",
        "CREATE TABLE other.t (a int)",
        "CREATE SEQUENCE shop.counter",
    )
    found = lab.engine.discover(lab.source_with(schemas=["shop"])).streams
    assert {str(i): s.relation for i, s in found.items()} == {
        "shop.orders": "table",
        "shop.v": "view",
        "shop.mv": "materialized view",
        "shop.parts": "partitioned table",
        "shop.part1": "table",
    }
    orders = found[StreamId("shop", "orders")]
    assert [(c.name, c.type, c.kind, c.nullable) for c in orders.columns] == [
        ("b", "text", Kind.STRING, False),
        ("a", "integer", Kind.INT, False),
        ("total", "numeric(10,2)", Kind.DECIMAL, True),
        ("tags", "text[]", Kind.LIST, True),
    ]
    assert orders.primary_key == ("b", "a")
    assert orders.indexed == ("b",)  # the key's index begins with it
    assert orders.rows == 1000
    assert orders.bytes is not None
    assert orders.bytes > 10_000
    assert found[StreamId("shop", "v")].rows is None
    everything = lab.engine.discover(lab.source).streams
    assert StreamId("other", "t") in everything
    assert not [i for i in everything if i.namespace.startswith("pg_") or i.name == "passing"]


def test_a_user_without_rights_sees_nothing_and_still_has_the_identity(lab: Lab) -> None:
    lab.sql(
        "CREATE TABLE secret (a int)",
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clerk') THEN "
        "CREATE ROLE clerk LOGIN PASSWORD 'clerk-secret'; END IF; END $$",
    )
    clerk = lab.source_with(username="clerk", password="clerk-secret")
    assert lab.engine.discover(clerk).streams == {}
    assert lab.engine.check_source(clerk).identity == lab.engine.check_source(lab.source).identity


# -- TLS -------------------------------------------------------------------------------------------


class Certificates:
    """An authority, a server certificate for `localhost`, and a client certificate, made by the openssl command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._make("ca", "/CN=test authority", signed=False)
        self._make("server", "/CN=localhost")
        self._make("client", "/CN=tls_user")
        self._make("stranger", "/CN=stranger", signed=False)

    def pem(self, name: str) -> str:
        return (self.folder / name).read_text()

    def _make(self, name: str, subject: str, *, signed: bool = True) -> None:
        key, crt = self.folder / f"{name}.key", self.folder / f"{name}.crt"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", subject]
        command += ["-keyout", str(key), "-out", str(crt)]
        if signed:
            command += ["-CA", str(self.folder / "ca.crt"), "-CAkey", str(self.folder / "ca.key")]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if shutil.which("openssl") is None:
        missing = "the openssl command is not installed"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return Certificates(tmp_path_factory.mktemp("tls"))


@dataclass
class Fronts:
    """Two encrypted ways to the server: the second asks for a client certificate."""

    open: TlsFront
    strict: TlsFront


@pytest.fixture
def fronts(lab: Lab, certificates: Certificates) -> Iterator[Fronts]:
    upstream = (lab.server.host, lab.server.port)
    crt, key = certificates.folder / "server.crt", certificates.folder / "server.key"
    both = Fronts(TlsFront(upstream, crt, key), TlsFront(upstream, crt, key, certificates.folder / "ca.crt"))
    yield both
    both.open.close()
    both.strict.close()


def test_every_tls_mode_reaches_a_server_that_takes_nothing_else(
    lab: Lab, certificates: Certificates, fronts: Fronts
) -> None:
    lab.sql("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    ca = {"server_ca": certificates.pem("ca.crt")}
    client = {"client_cert": certificates.pem("client.crt"), "client_key": certificates.pem("client.key")}
    for front, host, ssl in (
        (fronts.open, "127.0.0.1", {"mode": "require"}),
        # OLake verifies nothing in this mode, whatever certificate is given.
        (fronts.open, "127.0.0.1", {"mode": "require", "server_ca": certificates.pem("stranger.crt")}),
        (fronts.open, "127.0.0.1", {"mode": "verify-ca", **ca}),
        (fronts.open, "localhost", {"mode": "verify-full", **ca}),
        (fronts.strict, "localhost", {"mode": "verify-full", **ca, **client}),
        (fronts.strict, "127.0.0.1", {"mode": "require", **client}),
    ):
        source = lab.source_with(host=host, port=front.port, ssl=ssl)
        before = front.encrypted
        assert lab.engine.check_source(source).identity
        assert lab.load(lab.stream("public.t"), source=source).rows == 1
        # The check, the keeper of the snapshot, and at least one of DuckDB's.
        assert front.encrypted - before >= 3


def test_a_server_that_cannot_be_verified_is_refused(
    lab: Lab, certificates: Certificates, fronts: Fronts
) -> None:
    ca, stranger = certificates.pem("ca.crt"), certificates.pem("stranger.crt")
    for front, host, ssl, why in (
        (fronts.open, "127.0.0.1", {"mode": "verify-ca", "server_ca": stranger}, "certificate verify failed"),
        (fronts.open, "127.0.0.1", {"mode": "verify-full", "server_ca": ca}, "does not match host name"),
        (fronts.open, "127.0.0.1", {"mode": "disable"}, "pg_hba.conf"),
        (fronts.strict, "127.0.0.1", {"mode": "verify-ca", "server_ca": ca}, "certificate required"),
    ):
        source = lab.source_with(host=host, port=front.port, ssl=ssl)
        with pytest.raises(Unreachable) as caught:
            lab.engine.check_source(source)
        assert why in caught.value.why
        assert caught.value.remedy
    with pytest.raises(ReconcileError, match=r"needs ssl\.server_ca"):
        lab.engine.check_source(lab.source_with(ssl={"mode": "verify-ca"}))


def test_keys_lie_in_private_files_that_are_gone_afterwards(
    lab: Lab, certificates: Certificates, tmp_path: Path
) -> None:
    client = {"client_cert": certificates.pem("client.crt"), "client_key": certificates.pem("client.key")}
    source = lab.source_with(ssl={"mode": "verify-full", "server_ca": certificates.pem("ca.crt"), **client})
    folder = tmp_path / "run"
    folder.mkdir()
    with open_access(source.config, folder) as access:
        key = Path(access.parameters["sslkey"])
        assert key.stat().st_mode & 0o777 == 0o600
        assert key.parent.stat().st_mode & 0o777 == 0o700
    assert list(folder.iterdir()) == []
    assert "PRIVATE KEY" not in repr(source)
