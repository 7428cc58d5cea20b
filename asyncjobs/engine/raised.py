"""
Exceptions that were raised in a process of the pool, on their way to ours.

What decides about the next attempt is the class of an exception, and middleware looks at its attributes. So
it travels as itself where pickle can do that. Many cannot, though: an `__init__` with parameters of its own
is called with the message alone when it is read, and fails. Those travel in parts, class, args and
attributes, and are put together without calling it; and where not even the parts can be read, as the class
with what it says. Only a class that nobody can find by its name is lost, and told as RaisedElsewhere.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

from asyncjobs.errors import RaisedElsewhere

LARGEST = 1_000_000  # bytes

_Parts = tuple[type[BaseException], tuple[Any, ...], dict[str, Any]]


def packed(error: BaseException, line: str) -> bytes | None:
    """Make an exception ready for the way; None where its class cannot be found by its name."""
    for form in _forms(error, line):
        try:
            data = pickle.dumps(form, protocol=pickle.HIGHEST_PROTOCOL)
            if len(data) <= LARGEST and type(_read(data)) is type(error):
                return data
        except Exception:  # noqa: S112 (whatever a class of the user's own may raise)
            continue
    return None


def unpacked(data: bytes | None, kind: str, line: str) -> BaseException:
    """Give the exception that came, or one that tells of it."""
    if data is not None:
        try:
            return _read(data)
        except Exception as error:
            line = f"{line} (and reading it: {type(error).__name__})"
    return RaisedElsewhere(kind, line)


def _forms(error: BaseException, line: str) -> Iterator[BaseException | _Parts]:
    yield error
    yield type(error), error.args, vars(error)
    yield type(error), (line,), {}


def _read(data: bytes) -> BaseException:
    found: BaseException | _Parts = pickle.loads(data)  # noqa: S301
    if isinstance(found, BaseException):
        return found
    kind, args, attributes = found
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error
