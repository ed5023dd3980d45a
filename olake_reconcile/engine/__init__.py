"""Moving data: the `Engine` protocol and its adapters."""

from __future__ import annotations
