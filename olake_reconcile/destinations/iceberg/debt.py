"""What a table's readers pay for its history, and which files are worth writing anew for that.

A reader pays for each file that it opens, for each deleted row that it reads in vain and for each position that it looks
up. A rewrite costs the bytes of the file, once. So the dead rows of a file count when they are more than a share of it,
and small files when there are several in one partition; the largest debt for its size comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from olake_reconcile.destinations.iceberg.live import Home, LiveFile, LiveFiles

#: A file with a larger share of deleted rows is written anew; merges do so at a larger one, for they must be quick.
DEAD_SHARE: Final = 0.02
#: So many small files of a partition are worth writing as one or a few.
_TOGETHER: Final = 4
#: Opening a file costs a reader about as much as reading so many bytes.
_OPEN_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Work:
    """Files of one partition to write anew together, as indexes, with their size and what this saves a reader."""

    home: Home
    files: tuple[int, ...]
    size: int
    debt: float


def suspects(live: LiveFiles) -> set[Home]:
    """Return the partitions whose delete files may name enough rows to matter; no file is read for this."""
    rows: dict[Home, int] = {}
    for file in live.data:
        # One file alone may have lost them all: it is compared with the smallest.
        rows[file.home] = min(rows.get(file.home, file.file.record_count), file.file.record_count)
    return {
        home
        for home, deletes in live.deletes.items()
        if sum(d.file.record_count for d in deletes) > DEAD_SHARE * rows.get(home, 0)
    }


def work(files: Sequence[LiveFile], dead: Mapping[int, int], target: int) -> list[Work]:
    """Return what is worth doing, the most useful first. `dead` counts the deleted rows of each file that has any."""
    homes: dict[Home, list[int]] = {}
    for number, file in enumerate(files):
        homes.setdefault(file.home, []).append(number)
    found = [w for home, numbers in homes.items() for w in _work(home, files, numbers, dead, target)]
    return sorted(found, key=lambda w: (-w.debt / max(w.size, 1), w.files))


def _work(
    home: Home, files: Sequence[LiveFile], numbers: Sequence[int], dead: Mapping[int, int], target: int
) -> list[Work]:
    def size(number: int) -> int:
        return files[number].file.file_size_in_bytes

    small = [n for n in numbers if size(n) < target // 2]
    holed = [n for n in numbers if dead.get(n, 0) > DEAD_SHARE * files[n].file.record_count]
    # What is written anew anyway takes the small files along: they need not be opened twice.
    chosen = sorted(
        {*holed, *(small if holed or len(small) >= _TOGETHER else ())}, key=lambda n: (size(n), n)
    )
    found: list[Work] = []
    part: list[int] = []
    for number in chosen:
        if part and sum(map(size, part)) + size(number) > target:
            found.append(_made(home, files, part, dead))
            part = []
        part.append(number)
    if part:
        found.append(_made(home, files, part, dead))
    return [w for w in found if len(w.files) > 1 or w.files[0] in holed]


def _made(home: Home, files: Sequence[LiveFile], part: Sequence[int], dead: Mapping[int, int]) -> Work:
    size = sum(files[n].file.file_size_in_bytes for n in part)
    in_vain = sum(
        files[n].file.file_size_in_bytes * dead.get(n, 0) / max(files[n].file.record_count, 1) for n in part
    )
    return Work(home, tuple(part), size, in_vain + (len(part) - 1) * _OPEN_BYTES)
