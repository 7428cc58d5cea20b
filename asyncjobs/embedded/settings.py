"""Postgres settings as a caller gives them, as the command line wants them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from asyncjobs.embedded.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Mapping

Setting: TypeAlias = str | int | bool

OURS = frozenset({"data_directory", "unix_socket_directories"})
NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?")


def validated(settings: Mapping[str, Setting]) -> dict[str, str]:
    """
    Return the settings in Postgres's own spelling.

    Raises `InvalidSetting`. Whether Postgres knows a setting, only Postgres can say.
    """
    return {name: spelled(name, value) for name, value in sorted(settings.items())}


def spelled(name: str, value: object) -> str:
    if not NAME.fullmatch(name):
        raise InvalidSetting(name, value, "a name is lower-case letters, digits and underscores")
    if name in OURS:
        raise InvalidSetting(name, value, "the place is ours to choose; choose the home instead")
    match value:
        case bool():
            return "on" if value else "off"
        case int():
            return str(value)
        case str() if value.isprintable():
            return value
        case str():
            raise InvalidSetting(name, value, "it has characters that cannot be printed")
        case _:
            raise InvalidSetting(name, value, "expected a str, an int or a bool")
