"""What options may be: each check gives back what is good, and raises BadOption, which says what is expected."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Literal, TypeVar, cast

from asyncjobs.errors import BadOption
from asyncjobs.retry import Retry

Queues = Sequence[str] | Mapping[str, int]
"""Names, or what share of the slots each of them has."""


ChoiceT = TypeVar("ChoiceT")

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,50}")


def check_schema(schema: object) -> str:
    """Give back the name of a schema that needs no quotes, or raise BadOption."""
    if not isinstance(schema, str) or not _SCHEMA.fullmatch(schema):
        raise BadOption("schema", "a lower-case name of letters, digits and underscores", schema)
    return schema


def check_address(option: str, address: object) -> str | None:
    """Give back an address of Postgres, or raise BadOption, which names only its type: it may hold a password."""
    if address is not None and not isinstance(address, str):
        raise BadOption(option, "the address of Postgres, a string", type(address))
    return address


def check_yes_no_or_none(option: str, value: object) -> bool | None:
    """Give it back, or raise BadOption."""
    if value is not None and not isinstance(value, bool):
        raise BadOption(option, "True, False or None", value)
    return value


def check_one_of(option: str, value: ChoiceT, choices: Sequence[ChoiceT]) -> ChoiceT:
    """Give it back, or raise BadOption for what is none of these."""
    if value not in choices:
        raise BadOption(option, " or ".join(map(repr, choices)), value)
    return value


def check_wait(option: str, length: object) -> timedelta:
    """Give a length of time back, or raise BadOption for a negative one."""
    if not isinstance(length, timedelta) or length < timedelta(0):
        raise BadOption(option, "a timedelta that is not negative", length)
    return length


def check_blocked_limit(limit: object, least: timedelta) -> timedelta:
    """Give back after how long a blocked process ends; raises BadOption below `least`."""
    if not isinstance(limit, timedelta) or limit < least:
        raise BadOption("blocked_limit", f"a timedelta of at least {least.seconds} s", limit)
    return limit


def check_blocked_after(after: object, least: timedelta) -> timedelta | None:
    """Give back from how long on a block is named; raises BadOption below `least`."""
    if after is None:
        return None
    if not isinstance(after, timedelta) or after < least:
        words = f"a timedelta of at least {least / timedelta(milliseconds=1):g} ms, or None"
        raise BadOption("blocked_after", words, after)
    return after


def check_number(option: str, number: object) -> int:
    """Give a number of things back, or raise BadOption where it is none, or less than one."""
    if not isinstance(number, int) or number < 1:
        raise BadOption(option, "a whole number from 1", number)
    return number


def check_queues(queues: Queues | None) -> Queues | None:
    """Give a copy of the queues that a process serves, or raise BadOption."""
    if queues is None:
        return None
    if isinstance(queues, str) or not isinstance(queues, (Sequence, Mapping)) or not queues:
        raise BadOption("queues", "a list of names, or a mapping of names to slots", queues)
    for queue in queues:
        check_name("queues", queue)
    if isinstance(queues, Mapping):
        return {queue: check_number(f"queues[{queue!r}]", share) for queue, share in queues.items()}
    return list(queues)


def check_name(option: str, name: object) -> str:
    """Give the name back, or raise BadOption where Postgres or people could not use it."""
    if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable():
        raise BadOption(option, "a string of 1 to 200 printable characters", name)
    return name


def check_priority(priority: object) -> int:
    """Give the priority back, or raise BadOption where a smallint cannot hold it."""
    if not isinstance(priority, int) or not -32768 <= priority <= 32767:
        raise BadOption(
            "priority", "a whole number from -32768 to 32767, lower goes first", priority
        )
    return priority


def check_retry(retry: object) -> Retry:
    """Give the policy back, or raise BadOption for what is none."""
    if not isinstance(retry, Retry):
        raise BadOption("retry", "a policy such as exponential(5), fixed(delay) or never()", retry)
    return retry


def check_run(run: object, *, is_async: bool) -> Literal["loop", "thread", "process"]:
    """Say where a function runs, or raise BadOption where it cannot."""
    if is_async:
        if run is not None:
            raise BadOption(
                "run", "left out for an `async def` function, which runs on the event loop", run
            )
        return "loop"
    if run not in (None, "thread", "process"):
        raise BadOption("run", "'thread' or 'process'", run)
    return "process" if run == "process" else "thread"


def check_secret(secret: object) -> frozenset[str]:
    """Give the names of the parameters that are secret; raises BadOption."""
    expected = "the names of parameters, such as ('password',)"
    if not isinstance(secret, (tuple, list, set, frozenset)):
        raise BadOption("secret", expected, secret)
    names = frozenset(cast("Collection[object]", secret))
    if not all(isinstance(name, str) for name in names):
        raise BadOption("secret", expected, names)
    return cast("frozenset[str]", names)


def check_encrypt(encrypt: object) -> bool:
    """Give it back, or raise BadOption."""
    if not isinstance(encrypt, bool):
        raise BadOption("encrypt", "True or False", encrypt)
    return encrypt


def check_length(option: str, length: object, least: timedelta) -> timedelta | None:
    """Give a length of time back, or raise BadOption below `least` and from ten years on."""
    if length is None:
        return None
    if not isinstance(length, timedelta) or not least <= length <= timedelta(days=3650):
        raise BadOption(option, f"a timedelta from {least} to ten years", length)
    return length
