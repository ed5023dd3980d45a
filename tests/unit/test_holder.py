from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from olake_reconcile.model.run import Holder
from olake_reconcile.state import holder as module
from olake_reconcile.state.holder import is_dead, this_process


def changed(**changes: object) -> Holder:
    return this_process().model_copy(update=changes)


def test_this_process_lives() -> None:
    assert not is_dead(this_process())
    assert this_process() == this_process()
    assert this_process().pid == os.getpid()


def test_a_process_that_ended_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        state, started = module._stat(child.pid) or ("", "")
        theirs = changed(pid=child.pid, started=started)
        assert state
        assert not is_dead(theirs)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert is_dead(theirs), "a zombie runs no code"
    assert is_dead(theirs)


def test_a_pid_that_was_used_again_is_another_process() -> None:
    assert is_dead(changed(started="1"))


def test_a_process_of_an_earlier_boot_of_this_host_is_dead() -> None:
    assert is_dead(changed(boot="00000000-0000-0000-0000-000000000000/1"))


def test_nothing_is_certain_of_another_host() -> None:
    assert not is_dead(changed(host="other-host", pid=2**22 + 1))


def test_nothing_is_certain_of_another_container_on_this_kernel() -> None:
    kernel = this_process().boot.partition("/")[0]
    assert not is_dead(changed(boot=f"{kernel}/1", pid=2**22 + 1))


def test_nothing_is_certain_where_the_system_does_not_tell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = changed(pid=2**22 + 1)
    assert is_dead(gone)
    monkeypatch.setattr(module, "_PROC", tmp_path)
    assert this_process().boot == ""
    assert not is_dead(gone)
    assert not is_dead(this_process())


def test_a_process_that_the_system_hides_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mounted with `hidepid`, /proc shows other users' processes to nobody."""
    monkeypatch.setattr(module, "_stat", lambda pid: None)
    assert not is_dead(Holder(host=changed().host, boot=changed().boot, pid=os.getpid(), started="5"))


def test_a_command_name_with_parentheses_and_spaces_is_read_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "7").mkdir()
    fields = " ".join(str(n) for n in range(4, 53))
    (tmp_path / "7" / "stat").write_text(f"7 (a) Z (b c) S {fields}\n")
    monkeypatch.setattr(module, "_PROC", tmp_path)
    assert module._stat(7) == ("S", "22")
