"""
Sealing: arguments and results encrypted at rest, under keys that the database never sees.

A sealed value is one object in the jsonb, `{"$sealed": "3f9a1c22:gAAAA…"}`: the name of the key, and a
token of `cryptography`'s MultiFernet. The first key seals, all of them open, so keys are changed by putting
a new one in front. The name is a few letters of the key's hash; it tells whether a process has the key, and
lets you count what is still under an old one.

A token is bound to what it was sealed for: arguments or result, of which task, of which job. Without that,
whoever can write rows could put a sealed value into a job of a task that tells what it was given.
"""

from __future__ import annotations

import json
import os
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, cast
from uuid import UUID

from asyncjobs.errors import BadKeys, BrokenSeal, NoKey

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

VARIABLE = "ASYNCJOBS_ENCRYPTION_KEYS"

_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
_SEALED = re.compile(r'\{\s*"\$sealed": ?"(?P<key>[^":]*):(?P<token>[^"]*)"\s*\}')


class Place(NamedTuple):
    """What a value is sealed for."""

    what: str  # 'arguments' or 'result'
    task: str
    id: UUID

    @property
    def binding(self) -> bytes:
        """What goes before the value, and must be there again."""
        return json.dumps(["asyncjobs 1", self.what, self.task, str(self.id)]).encode() + b"\n"


class Keys:
    """
    Keys to seal and to open with, the newest first; none: nothing can be sealed or opened.

    Raises BadKeys for one that is no key, without quoting it.
    """

    def __init__(self, keys: object = ()) -> None:
        if isinstance(keys, (str, bytes)) or not isinstance(keys, Iterable):
            raise BadKeys("they are a list, the newest first")
        given = enumerate(cast("Iterable[object]", keys), 1)
        self._keys = tuple(_checked(number, key) for number, key in given)
        self._names = tuple(_name_of(key) for key in self._keys)
        self.missing: dict[str, float] = {}
        """Names of keys that jobs were sealed under and that are not here: `time.monotonic()` when that was found."""

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Keys:
        """Take the keys of ASYNCJOBS_ENCRYPTION_KEYS, with commas or spaces between them."""
        return cls(environment.get(VARIABLE, "").replace(",", " ").split())

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __repr__(self) -> str:
        return f"<Keys {' '.join(self._names) or 'none'}>"

    @property
    def newest(self) -> str:
        """The name of the key that seals; raises BadKeys."""
        self.prepare()
        return self._names[0]

    def prepare(self) -> None:
        """See that they can be used; raises BadKeys where there is none, or no package `cryptography`."""
        if not self._keys:
            raise BadKeys(
                f"there are none; pass Jobs(encryption_keys=[…]) or set {VARIABLE} "
                "(a key is made by cryptography.fernet.Fernet.generate_key())"
            )
        _ = self._fernet

    def seal(self, text: str, place: Place) -> str:
        """Seal JSON, as JSON; raises BadKeys."""
        name = self.newest
        token = self._fernet.encrypt(place.binding + text.encode()).decode()
        return json.dumps({"$sealed": f"{name}:{token}"})

    def open(self, text: str, place: Place) -> str:
        """
        Open what is sealed, and give anything else as it is.

        Raises NoKey where it is under a key that is not here, BrokenSeal where it was changed or sealed for
        something else.
        """
        sealed = _SEALED.fullmatch(text)
        if sealed is None:
            return text
        if not self._keys:
            raise NoKey(place.what, place.id, sealed["key"])
        from cryptography.fernet import InvalidToken

        try:
            opened = self._fernet.decrypt(sealed["token"])
        except InvalidToken:
            if sealed["key"] in self._names:
                raise BrokenSeal(place.what, place.id) from None
            raise NoKey(place.what, place.id, sealed["key"]) from None
        if not opened.startswith(place.binding):
            raise BrokenSeal(place.what, place.id)
        return opened[len(place.binding) :].decode()

    @cached_property
    def _fernet(self) -> MultiFernet:
        try:
            from cryptography.fernet import Fernet, MultiFernet
        except ImportError:
            raise BadKeys(
                'they need the package cryptography: pip install "asyncjobs-pg[encryption]"'
            ) from None
        return MultiFernet([Fernet(key) for key in self._keys])


def is_sealed(text: str | None) -> bool:
    """Tell whether JSON, as Postgres writes it, is one sealed value."""
    return text is not None and _SEALED.fullmatch(text) is not None


def _checked(number: int, key: object) -> bytes:
    text = key.decode("ascii", "replace") if isinstance(key, bytes) else key
    if not isinstance(text, str) or not _KEY.fullmatch(text.strip()):
        raise BadKeys(f"key {number} is not 32 bytes in URL-safe base64, 44 characters")
    return text.strip().encode()


def _name_of(key: bytes) -> str:
    return sha256(b"the name of an asyncjobs key\n" + urlsafe_b64decode(key)).hexdigest()[:8]
