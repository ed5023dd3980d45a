"""Names and addresses: `source.shop`, `job.daily_orders.stream["public.orders"]`, `daily_orders/public.orders`."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator

# Job, source and destination names: OLake's UI allows [a-z0-9_]; capitals and '-' are common in files.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}\Z")

Kind = Literal["source", "destination", "job", "stream"]

_STREAM_ADDRESS = re.compile(r"job\.(?P<job>[^.\[\]/]+)\.stream\[(?P<stream>\".*\")\]\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class StreamId:
    """One table or collection: `namespace.name`; only the first dot separates."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> StreamId:
        """Return the id that `text` names. Raises `ValueError` when a part is empty."""
        namespace, dot, name = text.partition(".")
        if not (namespace and dot and name):
            raise ValueError(f"'{text}' is not a stream: write namespace.name, such as public.orders")
        return cls(namespace, name)

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}"


# A stream id as the key of a JSON object, which can only be text.
StreamKey = Annotated[
    StreamId, BeforeValidator(lambda key: StreamId.parse(key) if isinstance(key, str) else key)
]


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a resource is found; `stream` is empty for all but streams, whose `name` is the job's."""

    kind: Kind
    name: str
    stream: str = ""

    @classmethod
    def of_stream(cls, job: str, stream: StreamId | str) -> Address:
        """Return the address of a stream of `job`."""
        return cls("stream", job, str(stream))

    @property
    def short(self) -> str:
        """The form that people type: `daily_orders/public.orders`, `daily_orders`, `source.shop`."""
        match self.kind:
            case "stream":
                return f"{self.name}/{self.stream}"
            case "job":
                return self.name
            case _:
                return str(self)

    def __str__(self) -> str:
        if self.kind == "stream":
            return f"job.{self.name}.stream[{json.dumps(self.stream, ensure_ascii=False)}]"
        return f"{self.kind}.{self.name}"


def parse_pattern(text: str) -> tuple[str, str | None, Kind | None]:
    """Split a typed address into (name glob, stream glob or None, kind or None when it may be any job)."""
    if match := _STREAM_ADDRESS.match(text):
        return match["job"], json.loads(match["stream"]), "stream"
    for kind in ("source", "destination", "job"):
        if text.startswith(f"{kind}."):
            name, slash, stream = text[len(kind) + 1 :].partition("/")
            return (name, stream, "stream") if slash and kind == "job" else (name, None, kind)
    name, slash, stream = text.partition("/")
    return (name, stream, "stream") if slash else (name, None, None)


def parse_address(text: str) -> Address:
    """Return the one address that `text` (long or short) means. Raises `ValueError` when it is none."""
    name, stream, kind = parse_pattern(text)
    if not NAME.match(name):
        raise ValueError(f"'{text}' is not an address: write job, job/namespace.stream or source.name")
    if kind != "stream":
        return Address(kind or "job", name)
    return Address.of_stream(name, StreamId.parse(stream or ""))


def select(text: str, known: Iterable[Address]) -> list[Address]:
    """Return the addresses of `known` that `text` (an address, its short form, or a glob) means, in order."""
    name, stream, kind = parse_pattern(text)
    kind = kind or "job"
    return [
        a
        for a in known
        if a.kind == kind
        and fnmatch.fnmatchcase(a.name, name)
        and (stream is None or fnmatch.fnmatchcase(a.stream, stream))
    ]
