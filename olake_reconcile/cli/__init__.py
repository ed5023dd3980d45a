"""The command line: parse, wire, call one function, show the result. No decisions here."""

from __future__ import annotations
