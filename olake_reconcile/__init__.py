"""Replication jobs as YAML in git: plan, apply and run them."""

from __future__ import annotations

__version__ = "0.1.0"
