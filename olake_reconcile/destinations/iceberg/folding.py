"""Which small files a merge writes as one, so that many small merges do not leave as many small files to read.

As in a log-structured merge: files of one partition and one order of magnitude become one when there are enough of them,
and that one is of the next order. Each row is so written a few times in all, and a partition keeps a handful of small
files however many merges there are. Compaction of the rest is maintenance.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from olake_reconcile.destinations.iceberg.live import Home, LiveFile

_TOGETHER: Final = 4
#: Larger files are worth opening.
_SMALL_BYTES: Final = 4 << 20
#: What one merge may write anew for nothing but this.
_BUDGET_BYTES: Final = 16 << 20
_MAGNITUDE_BITS: Final = 2


def to_fold(files: Sequence[LiveFile], homes: Collection[Home]) -> set[int]:
    """Return the indexes of the files of `homes` to write as one for each partition, the smallest first."""
    groups: dict[tuple[Home, int], list[int]] = {}
    for number, file in enumerate(files):
        size = file.file.file_size_in_bytes
        if size <= _SMALL_BYTES and file.home in homes:
            groups.setdefault((file.home, size.bit_length() // _MAGNITUDE_BITS), []).append(number)
    chosen: set[int] = set()
    left = _BUDGET_BYTES
    for group in sorted(groups.values(), key=lambda g: files[g[0]].file.file_size_in_bytes):
        size = sum(files[i].file.file_size_in_bytes for i in group)
        if len(group) >= _TOGETHER and size <= left:
            chosen.update(group)
            left -= size
    return chosen
