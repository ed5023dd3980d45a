"""Which file systems SQLite can be trusted with.

Network file systems answer lock requests with yes and lose writes after it: SQLite's own documentation warns of
corrupt databases, and its write-ahead log needs memory shared by all readers, which machines do not share.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from olake_reconcile.errors import StateUnusable

_MOUNTS = Path("/proc/self/mounts")
_REFUSED = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "davfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
    }
    | {"smb2", "smb3", "smbfs", "vboxsf"}
)
# Of FUSE there are local ones too (encfs, ntfs-3g): these are not.
_REFUSED_FUSE = re.compile(
    r"fuse\.(sshfs|s3|gcs|goofys|rclone|gluster|ceph|davfs|curlftpfs|juicefs|grpcfuse|vmhgfs)"
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


def refuse_network_folder(folder: Path) -> None:
    """Raise `StateUnusable` when `folder` (or, while it does not exist, its parent) is on a network file system."""
    kind = file_system(folder)
    if kind in _REFUSED or _REFUSED_FUSE.match(kind):
        raise StateUnusable(
            f"The state store cannot be kept in {folder}: it is on a network file system ({kind})",
            why="SQLite's locks do not hold there, and two processes would damage the store without noticing.",
            remedy="Set `state:` in olake.yaml to a file on a local disk, such as sqlite:////var/lib/olake/state.db.",
        )


def file_system(path: Path, mounts: Path = _MOUNTS) -> str:
    """Return the type of the file system that holds `path`; empty where the system does not tell."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real = os.path.realpath(path)
    best, kind = "", ""
    for line in lines:
        _, mounted, found, *_ = line.split(" ")
        mounted = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), mounted)
        inside = real == mounted or real.startswith(mounted.rstrip("/") + "/")
        # The last mount on a folder hides the ones before it.
        if inside and len(mounted) >= len(best):
            best, kind = mounted, found
    return kind
