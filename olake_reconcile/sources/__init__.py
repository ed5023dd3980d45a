"""Where rows come from: one package per kind of source."""

from __future__ import annotations
