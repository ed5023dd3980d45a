"""Files that want to hurt: every one gives a clear error, quickly, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from olake_reconcile.diagnostics import Diagnostic
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.spec.files import MAX_BYTES
from olake_reconcile.spec.workspace import load_workspace
from tests.spec_builders import JOB, PROJECT, write_workspace


def findings(root: Path, data: bytes, name: str = "jobs/bad.yaml") -> list[Diagnostic]:
    write_workspace(root, {"olake.yaml": PROJECT})
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    workspace = load_workspace(root, SystemSecrets({}), {}, checked_note=False)
    assert workspace.desired is None
    return list(workspace.diagnostics)


def only(found: list[Diagnostic]) -> tuple[str, int, int]:
    [diagnostic] = found
    assert diagnostic.place is not None
    return diagnostic.code, diagnostic.place.line, diagnostic.place.column


def bomb(levels: int) -> str:
    lines = (f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels))
    return "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]", *lines])


HOSTILE = {
    "not UTF-8": (b"kind: Job\nname: caf\xe9\n", ("bad-encoding", 2, 10)),
    "UTF-8 with a mark": (b"\xef\xbb\xbfkind: Job\n", ("bad-encoding", 1, 1)),
    "UTF-16": ("kind: Job\n".encode("utf-16"), ("bad-encoding", 1, 1)),
    "UTF-16 without a mark": ("kind: Job\n".encode("utf-16-le"), ("control-character", 1, 2)),
    "NUL": (b"kind: Job\nname: a\0b\n", ("control-character", 2, 8)),
    "escape": (b"kind: Job\nname: \x1b[31m\n", ("control-character", 2, 7)),
    "lone carriage return": (b"kind: Job\rname: a\n", ("control-character", 1, 10)),
    "surrogate": (b"kind: \xed\xa0\x80\n", ("bad-encoding", 1, 7)),
    "10 MB scalar": (b"kind: Job\nname: " + b"x" * 10_000_000, ("file-too-large", 1, 1)),
    "10 MB of lines": (b"- x\n" * 2_500_000, ("file-too-large", 1, 1)),
    "deep brackets": (b"[" * 200_000, ("yaml-too-deep", 1, 41)),
    "deep brackets on lines": (b"[\n" * 200_000, ("yaml-too-deep", 41, 1)),
    "deep braces": (b"{a: " * 200_000, ("yaml-too-deep", 1, 161)),
    "deep dashes": (b"- " * 200_000, ("yaml-too-deep", 1, 81)),
    "deep questions": (b"? " * 200_000, ("yaml-too-deep", 1, 81)),
    "deep indentation": (
        b"".join(b" " * n + b"a:\n" for n in range(1_000)),
        ("yaml-too-deep", 41, 41),
    ),
    "alias bomb": (bomb(12).encode(), ("yaml-too-large", 6, 10)),
    "merge bomb": (
        b"a0: &a0 {k0: 1}\n"
        + b"".join(b"a%d: &a%d {<<: *a%d, k%d: 1}\n" % (n, n, n - 1, n) for n in range(1, 9_000)),
        None,
    ),
    "many documents": (b"---\n" * 250_000, ("yaml-too-large", 200_001, 1)),
    "many values": (b"[" + b"a," * 400_000 + b"]", ("yaml-too-large", 1, 1)),
    "many tag handles": (b"".join(b"%%TAG !a%d! b\n" % n for n in range(60_000)), ("yaml-tag", 1, 1)),
    "endless anchor": (b"a: &" + b"x" * 900_000, None),
    "self alias": (b"kind: &k [*k]\n", None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_clear_error(name: str, tmp_path: Path) -> None:
    data, expected = HOSTILE[name]
    found = findings(tmp_path, data)
    if expected is not None:
        assert only(found) == expected
    assert all(len(d.render()) < 1_000 for d in found)


def test_a_file_of_exactly_the_cap_is_read(tmp_path: Path) -> None:
    text = JOB.encode()
    write_workspace(tmp_path, {"olake.yaml": PROJECT, "jobs/a.yaml": ""})
    (tmp_path / "jobs/a.yaml").write_bytes(text + b"#" * (MAX_BYTES - len(text)))
    assert load_workspace(tmp_path, SystemSecrets({}), {}).desired is not None


def test_links_that_leave_the_workspace_are_refused(tmp_path: Path) -> None:
    outside = write_workspace(tmp_path / "outside", {"secret.yaml": JOB, "more/job.yaml": JOB})
    root = write_workspace(tmp_path / "inside", {"olake.yaml": PROJECT, "jobs/real/job.yaml": JOB})
    (root / "jobs" / "leak.yaml").symlink_to(outside / "secret.yaml")
    (root / "jobs" / "folder").symlink_to(outside / "more")
    (root / "jobs" / "same").symlink_to(root / "jobs")  # a loop inside: followed once at most
    found = load_workspace(root, SystemSecrets({}), {}, checked_note=False).diagnostics
    codes = {(d.code, d.place.file) for d in found if d.place}
    assert ("outside-workspace", "jobs/leak.yaml") in codes
    assert ("outside-workspace", "jobs/folder") in codes


def test_names_that_no_terminal_can_print_are_refused(tmp_path: Path) -> None:
    write_workspace(tmp_path, {"olake.yaml": PROJECT, "jobs/a\nb.yaml": JOB, "jobs/c\x1b[31m.yaml": JOB})
    (tmp_path / "jobs" / os.fsdecode(b"\xff.yaml")).write_text(JOB)
    (tmp_path / "jobs" / "circle.yaml").symlink_to("circle.yaml")
    found = load_workspace(tmp_path, SystemSecrets({}), {}, checked_note=False).diagnostics
    # A link to itself leads nowhere: Python 3.13 resolves it and cannot read it, earlier ones cannot resolve it.
    codes = sorted(d.code for d in found)
    assert codes in (["outside-workspace"] + ["unreadable-file"] * 3, ["unreadable-file"] * 4)
    assert all(d.render().isprintable() for d in found)


def test_a_pipe_does_not_hang_the_reader(tmp_path: Path) -> None:
    write_workspace(tmp_path, {"olake.yaml": PROJECT, "jobs/a.yaml": JOB})
    os.mkfifo(tmp_path / "jobs" / "pipe.yaml")
    found = load_workspace(tmp_path, SystemSecrets({}), {}, checked_note=False).diagnostics
    assert [d.code for d in found] == ["unreadable-file"]


@pytest.mark.parametrize("name", HOSTILE)
def test_time_and_memory_stay_bounded(name: str, tmp_path: Path) -> None:
    write_workspace(tmp_path, {"olake.yaml": PROJECT, "jobs/bad.yaml": ""})
    (tmp_path / "jobs/bad.yaml").write_bytes(HOSTILE[name][0])
    program = f"""
        import resource
        from pathlib import Path
        from olake_reconcile.secrets import SystemSecrets
        from olake_reconcile.spec.workspace import load_workspace
        resource.setrlimit(resource.RLIMIT_AS, (600_000_000, 600_000_000))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        found = load_workspace(Path({str(tmp_path)!r}), SystemSecrets({{}}), {{}}).diagnostics
        assert any(d.is_error for d in found)
        # Not ru_maxrss: that starts with the peak of the process that forked this one.
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0])
        assert peak < 300_000, peak
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
