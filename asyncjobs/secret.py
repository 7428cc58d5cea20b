"""
Secrets: the marker, what is shown in their place, and the scrubbing of what others wrote.

`Annotated[str, Secret]` makes pydantic tell us of the value wherever it lies: in an argument, in a list of
them, in a field of a dataclass or a model. Two things are done with that. When arguments are stored they
are written a second time with a mask in the place of each secret, and that is what pages and snapshots are
given: the row says by itself what may be shown, also to a process that does not know the task. And when
they are loaded, the values are noted for the run, so that they can be taken out of what is stored or
logged about it: the words of an exception, a traceback, a note.

The first is exact. The second is done as well as it can be: it finds a value as it is and in its common
disguises, not one that was cut in pieces, hashed or translated.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, quote_plus

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema, core_schema

MASK = "•••"
SHORTEST = 4  # characters; what is shorter is in half of all words
MOST = 200  # values of one job
DEEPEST = 20  # containers in each other

_notes: ContextVar[list[Any] | None] = ContextVar("asyncjobs.secrets", default=None)
_is_masking: ContextVar[bool] = ContextVar("asyncjobs.is_masking", default=False)


class Secret:
    """
    Marks an argument that pages, logs, errors and snapshots must not show: `Annotated[str, Secret]`.

    It may stand in the hint of a parameter, or deeper: in a list, in a field of a dataclass or of a
    pydantic model. The function gets the value as it is; type checkers see the type that it annotates.

        @jobs.task
        async def log_in(user: str, password: Annotated[str, Secret]) -> None: ...
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # Ten milliseconds to import, and pydantic has done it by now.
        from pydantic_core import core_schema

        inner = handler(source)
        # After, not around: a wrapped schema would lose how JSON is read (bytes in base64, for one).
        return core_schema.no_info_after_validator_function(
            _note,
            inner,
            serialization=core_schema.wrap_serializer_function_ser_schema(_mask, schema=inner),
        )


def _note(value: Any) -> Any:
    notes = _notes.get()
    if notes is not None:
        notes.append(value)
    return value


def _mask(value: Any, written: core_schema.SerializerFunctionWrapHandler) -> Any:
    return MASK if _is_masking.get() else written(value)


@contextmanager
def noting() -> Generator[list[Any]]:
    """Note the secrets that pydantic meets meanwhile."""
    notes: list[Any] = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


@contextmanager
def masking() -> Generator[None]:
    """Let pydantic write a mask in the place of secrets meanwhile."""
    token = _is_masking.set(True)
    try:
        yield
    finally:
        _is_masking.reset(token)


def holds_secret(schema: Any, whole: Any) -> bool:
    """Tell whether a part of what pydantic made of a hint (`whole`) is, or holds, a secret."""
    return _holds(schema, dict(_named(whole)), set())


def _holds(schema: Any, named: Mapping[str, Any], seen: set[str]) -> bool:
    for node in nodes(schema):
        if node.get("type") == "function-after" and node["function"]["function"] is _note:
            return True
        ref = node["schema_ref"] if node.get("type") == "definition-ref" else None
        if ref is not None and ref not in seen:
            seen.add(ref)
            if _holds(named.get(ref), named, seen):
                return True
    return False


def _named(whole: Any) -> Iterator[tuple[str, Any]]:
    """Give what other parts refer to by name."""
    return ((node["ref"], node) for node in nodes(whole) if "ref" in node)


def nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Give every part of what pydantic made of a hint that has a type of its own."""
    if isinstance(schema, Mapping):
        node = cast("Mapping[str, Any]", schema)
        yield node
        for part in node.values():
            yield from nodes(part)
    elif isinstance(schema, (list, tuple)):
        for part in cast("Iterable[Any]", schema):
            yield from nodes(part)


class Scrub:
    """
    Takes secrets out of texts that others wrote: `scrub(text)`.

    It finds a value as it is, as `repr` and JSON write it, quoted for an address, and in base64; of several
    lines, each. Values of less than four characters stay: they are in half of all words.
    """

    __slots__ = ("_values", "_words")

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self._values: list[Any] = list(values)
        self._words: tuple[str, ...] | None = None

    def __call__(self, text: str) -> str:
        if not self._values:
            return text
        if self._words is None:
            self._words = _words_of(self._values)
        for word in self._words:
            if word in text:
                text = text.replace(word, MASK)
        return text

    def __repr__(self) -> str:
        return f"<Scrub of {len(self._values)} values>"

    def learn(self, values: Iterable[Any]) -> None:
        """Take these out too."""
        self._values.extend(values)
        self._words = None


def _words_of(values: Iterable[Any]) -> tuple[str, ...]:
    """What to look for, the longest first: the rest of a long one would stay when a short one is a part of it."""
    leaves = islice((leaf for value in values for leaf in _leaves(value, 0)), MOST)
    words = {word for leaf in leaves for word in _disguises(leaf)}
    return tuple(sorted((word for word in words if len(word) >= SHORTEST), key=len, reverse=True))


def _leaves(value: Any, depth: int) -> Iterator[str | bytes]:
    """Give the texts and numbers in a value; what holds others is opened."""
    if value is None or isinstance(value, (bool, type)) or depth > DEEPEST:
        return
    if isinstance(value, (str, bytes)):
        yield value
    elif isinstance(value, Enum):
        yield from _leaves(value.value, depth + 1)
    elif isinstance(value, Mapping):
        yield from _leaves(list(cast("Mapping[object, Any]", value).values()), depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for part in cast("Iterable[Any]", value):
            yield from _leaves(part, depth + 1)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _leaves(getattr(value, field.name, None), depth + 1)
    elif isinstance(value, BaseModel):
        yield from _leaves(dict(value), depth + 1)
    else:  # a number, a date, a UUID: as it is printed
        with suppress(Exception):
            yield str(value)


def _disguises(leaf: str | bytes) -> Iterator[str]:
    """Give what a value may look like in a text."""
    if isinstance(leaf, bytes):
        yield b64encode(leaf).decode()
        yield leaf.hex()
        yield repr(leaf)[2:-1]
        leaf = leaf.decode("utf-8", "replace")
    data = leaf.encode("utf-8", "replace")
    yield leaf
    yield repr(leaf)[1:-1]
    yield ascii(leaf)[1:-1]
    yield json.dumps(leaf)[1:-1]
    yield json.dumps(leaf, ensure_ascii=False)[1:-1]
    yield quote(data)
    yield quote(data, safe="")
    yield quote_plus(data)
    yield b64encode(data).decode().rstrip("=")
    lines = leaf.splitlines()
    if len(lines) > 1:
        yield from (line.strip() for line in lines)
