"""Which process holds a lease, and whether it is certain that it no longer runs.

A pid alone proves nothing: pids are used again, and every container counts from 1. So a holder is told by its host, boot,
pid namespace, pid and start time, and is called dead only where all that can be compared. When in doubt the
answer is no: the lease then runs out by itself.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from olake_reconcile.model.run import Holder

_PROC = Path("/proc")
_GONE = frozenset("ZXx")  # a zombie runs no code, whoever still has to collect it


def this_process() -> Holder:
    """Return this process. Ask anew after a fork."""
    pid = os.getpid()
    state, started = _stat(pid) or ("", "")
    return Holder(host=socket.gethostname(), boot=_boot(), pid=pid, started=started if state else "")


def is_dead(holder: Holder) -> bool:
    """Whether the process is certainly gone: it ran on this host, and no such process runs here now."""
    here = _boot()
    if holder.host != socket.gethostname() or not here or not holder.boot:
        return False
    if _kernel(holder.boot) != _kernel(here):
        return True  # this host was started again since
    if holder.boot != here or not holder.started:
        return False  # another container: its processes cannot be seen from here
    found = _stat(holder.pid)
    if found is None:
        return not _exists(holder.pid)
    return found[0] in _GONE or found[1] != holder.started


def _exists(pid: int) -> bool:
    """Whether the system knows `pid`: /proc may hide other users' processes."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _boot() -> str:
    """Return `<boot id>/<pid namespace>`; empty where the system does not tell."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat(_PROC / 'self/ns/pid').st_ino}"
    except OSError:
        return ""


def _kernel(boot: str) -> str:
    return boot.partition("/")[0]


def _stat(pid: int) -> tuple[str, str] | None:
    """Return (state, start time in ticks since boot) of a process, None when there is none."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The command, in parentheses, may hold spaces and parentheses itself: count fields after the last one.
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[19]
