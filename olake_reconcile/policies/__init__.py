"""Evaluating policies: the port, and the adapter that gives expressions to a process of their own."""

from __future__ import annotations
