"""Connections to PostgreSQL: psycopg for control, DuckDB for rows, both with the same credentials and TLS.

Certificates and keys are PEM text in the config; libpq wants files. They are written, readable by us alone, into a
folder that the caller removes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from olake_reconcile.errors import ReconcileError, Unreachable
from olake_reconcile.model.config import PostgresConfig

APPLICATION = "olake-reconcile"
CONNECT_TIMEOUT = 10
CANCEL_TIMEOUT = 5

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach one database; the TLS files live as long as the folder they were written to."""

    config: PostgresConfig
    # libpq parameters without anything secret: safe to show in an error message.
    parameters: dict[str, str]
    # Those whose statements may be cancelled at any moment.
    interruptible: set[Connection] = field(default_factory=set, repr=False, compare=False)

    def interrupt(self) -> None:
        """Cancel what runs on the interruptible connections; called from another thread."""
        for connection in tuple(self.interruptible):
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=CANCEL_TIMEOUT)

    def connect(self, *, autocommit: bool = True) -> Connection:
        """Open a control connection. Raises `Unreachable`, with what to do about it."""
        config = self.config
        text = make_conninfo(
            **self.parameters,
            host=config.host,
            port=config.port,
            dbname=config.database,
            user=config.username,
            password=config.password or None,
        )
        try:
            return psycopg.connect(text, autocommit=autocommit)
        except psycopg.Error as error:
            raise unreachable(config, str(error)) from None

    @property
    def attach_text(self) -> str:
        """The part of DuckDB's connection text that holds no credentials."""
        return make_conninfo(**self.parameters)

    def redact(self, text: str) -> str:
        """Return `text` without this source's password and key."""
        for secret in (self.config.password, self.config.ssl.client_key):
            if secret and len(secret) >= 4:
                text = text.replace(secret, "(sensitive)")
        return text


@contextmanager
def open_access(config: PostgresConfig, folder: Path | None = None) -> Iterator[Access]:
    """Give access for the length of a `with` block; TLS files are below `folder`, or below the system's default."""
    with TemporaryDirectory(prefix="tls-", dir=folder) as tls:
        yield Access(config, _parameters(config, Path(tls)))


def _parameters(config: PostgresConfig, folder: Path) -> dict[str, str]:
    parameters = {
        "application_name": APPLICATION,
        "connect_timeout": str(CONNECT_TIMEOUT),
        "client_encoding": "UTF8",
        # A server that vanished without a word is noticed within two minutes, not never.
        "keepalives_idle": "60",
        "keepalives_interval": "10",
        "keepalives_count": "6",
        "sslmode": config.ssl.mode,
        "gssencmode": "disable",
    }
    if config.ssl.mode == "disable":
        return parameters
    parameters["ssl_min_protocol_version"] = "TLSv1.2"
    pem = {
        "sslrootcert": config.ssl.server_ca,
        "sslcert": config.ssl.client_cert,
        "sslkey": config.ssl.client_key,
    }
    if config.ssl.mode == "require":
        # libpq would turn `require` with a root certificate into `verify-ca`; OLake verifies nothing there.
        pem["sslrootcert"] = None
    elif not config.ssl.server_ca:
        raise ReconcileError(
            f"ssl.mode {config.ssl.mode} needs ssl.server_ca",
            why="Without the authority's certificate there is nothing to verify the server with.",
            remedy="Give the PEM text in ssl.server_ca, or use mode: require.",
        )
    for name, text in pem.items():
        # Naming a missing file keeps libpq from reading ~/.postgresql, which belongs to the user and not the project.
        parameters[name] = str(_write_private(folder / name, text)) if text else str(folder / f"no-{name}")
    return parameters


def _write_private(path: Path, text: str) -> Path:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text if text.endswith("\n") else text + "\n")
    return path


_HINTS: tuple[tuple[str, str], ...] = (
    ("password authentication failed", "Check username and password of this source."),
    ("no password supplied", "Set password on this source."),
    ("pg_hba.conf", "Ask the administrator for an entry in pg_hba.conf for this host, user and database; "
     "check ssl.mode too."),
    ("does not exist", "Check database and username of this source."),
    ("could not translate host name", "Check host of this source."),
    ("failed to resolve host", "Check host of this source."),
    ("connection refused", "Check host and port, and that the server listens there."),
    ("timeout expired", "Check host and port, and that no firewall is between."),
    ("certificate required", "The server asks for ssl.client_cert and ssl.client_key."),
    ("certificate verify failed", "The server's certificate is not signed by ssl.server_ca."),
    ("does not match host name", "The certificate names another host: use its name in host, or ssl.mode: verify-ca."),
    ("server does not support SSL", "The server speaks no TLS: set ssl.mode: disable, or enable TLS on the server."),
    ("too many", "The server has no free connections: lower max_threads, or raise its max_connections."),
)  # fmt: skip


def unreachable(config: PostgresConfig, message: str) -> Unreachable:
    """Say why no connection was possible, and what to do."""
    text = _server_words(message)
    hint = next((h for part, h in _HINTS if part.lower() in text.lower()), "Check the config of this source.")
    if config.password and len(config.password) >= 4:
        text = text.replace(config.password, "(sensitive)")
    return Unreachable(
        f"cannot connect to PostgreSQL at {config.host}:{config.port}, database {config.database}",
        why=text,
        remedy=hint,
    )


def _server_words(message: str) -> str:
    return re.sub(r"\s+", " ", message).strip()
