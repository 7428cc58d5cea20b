"""What JSON in Postgres would refuse or change without a word, and what did not fit, told without its values."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

LIMIT = 1024 * 1024  # bytes of JSON, arguments and results alike

_REPLACED = "\N{REPLACEMENT CHARACTER}".encode()
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def check(adapter: TypeAdapter[Any], data: bytes, value: Any) -> None:
    """Raise ValueError where what was written would be refused, or not be read again as it is."""
    _check_json(data)
    if b"null" in data or _REPLACED in data:
        _check_that_it_loads(adapter, data, value)


def _check_json(data: bytes) -> None:
    """Raise ValueError for what jsonb would refuse or change."""
    if len(data) > LIMIT:
        raise ValueError(
            f"{len(data):,} bytes of JSON, and {LIMIT:,} is the limit; store it elsewhere, pass a reference"
        )
    if b"\\u0000" in data and _NUL.search(data):
        raise ValueError("a string holds a NUL character (\\u0000), which Postgres cannot store")
    if b"NaN" in data or b"Infinity" in data:
        try:
            from_json(data, allow_inf_nan=False)
        except ValueError:
            raise ValueError("a number is NaN or infinite, which JSON cannot hold") from None


def _check_that_it_loads(adapter: TypeAdapter[Any], data: bytes, value: Any) -> None:
    """
    Raise ValueError for what pydantic has changed without a word.

    A model brings settings of its own, under which NaN becomes null. Half a character (a lone
    surrogate) in the key of a dict becomes the replacement character.
    """
    try:
        loaded = adapter.validator.validate_json(data)
    except ValidationError as error:
        words = told(error, 0)
        raise ValueError(
            f"it would not load again, as when NaN in a model became null: {words}"
        ) from None
    if _REPLACED in data and loaded != value:
        raise ValueError("a string holds half a character (a lone surrogate)")


def told(error: ValidationError, skip: int, secret: Collection[str] = ()) -> str:
    """
    Say what did not fit, by place and type, without the values: they may be secret.

    Of what is known to be `secret` only the name is said: a validator's own words may quote the value, and
    a place may be the key of a dict.
    """
    words: list[str] = []
    for detail in error.errors(include_url=False, include_context=False):
        loc: tuple[int | str, ...] = detail["loc"][skip:]
        where = ".".join(str(part) for part in loc) or "the whole"
        outermost = next(iter(loc), None)
        if outermost in secret and (loc != (outermost,) or detail["type"] != "missing"):
            words.append(f"{outermost} does not fit, and is or holds a secret, so no more is said")
        elif detail["type"] == "missing":
            words.append(f"{where} is missing")
        elif detail["type"] == "extra_forbidden":
            words.append(f"{where} is not one of its parameters")
        else:
            words.append(
                f"{where}: {detail['msg'].lower()}, found {type(detail['input']).__name__}"
            )
    return "; ".join(words)
