"""Where rows go: one package per kind of destination."""

from __future__ import annotations
