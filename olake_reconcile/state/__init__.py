"""Where what was applied, the journal, leases and runs are kept."""

from __future__ import annotations
