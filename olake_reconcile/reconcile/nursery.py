"""Imported by the nursery of runs as its first module: it removes the folder of its socket when its daemon is gone.

A daemon that ends in an orderly way does so itself. One that is killed does not, and the nursery, which ends as soon as
the pipe to it is closed, is the only one left that can.
"""

from __future__ import annotations

import atexit
import os
import shutil
from pathlib import Path

#: Where the daemon tells the nursery which folder that is.
FOLDER = "OLAKE_RECONCILE_NURSERY"

if _folder := os.environ.pop(FOLDER, None):
    # A run is forked and ends by `os._exit`: it does not come to this.
    atexit.register(shutil.rmtree, Path(_folder), ignore_errors=True)
