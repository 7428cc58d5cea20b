"""
What passes between a client and Postgres, read on its way: which statement is asked for, which answer is whole.

Only as much of the protocol as that takes. A message is a letter, a length and a body; the client's first
message has no letter. Our statements are known by their texts: what is prepared is remembered under the
name that the client gives it, and a Bind of that name is the statement itself, sent.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from asyncjobs.postgres.statements import Statements, into_spill

HEAD = 5  # bytes: letter and length

_STATEMENTS = Statements("asyncjobs.postgres", "asyncjobs")
_NAMES = {
    text: name
    for name in _STATEMENTS
    for text in (_STATEMENTS[name], into_spill(_STATEMENTS[name]))
}
_NAMES[_STATEMENTS["enqueue_one"]] = "enqueue"  # one moment, whichever of the two it is


class Messages:
    """Cuts a stream into messages, as far as they have come."""

    def __init__(self, *, begins_without_letter: bool) -> None:
        self._buffer = bytearray()
        self._has_letters = not begins_without_letter

    def read(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """Give each message that these bytes complete: its letter ('' for the first) and its body."""
        self._buffer += data
        while True:
            head = HEAD if self._has_letters else HEAD - 1
            if len(self._buffer) < head:
                return
            [length] = struct.unpack_from("!i", self._buffer, head - 4)
            whole = length + head - 4
            if len(self._buffer) < whole:
                return
            letter = chr(self._buffer[0]) if self._has_letters else ""
            body = bytes(self._buffer[head:whole])
            del self._buffer[:whole]
            self._has_letters = True
            yield letter, body


class Asked:
    """Reads what a client asks for."""

    def __init__(self) -> None:
        self._messages = Messages(begins_without_letter=True)
        self._prepared: dict[bytes, str] = {}
        self.application = ""

    def read(self, data: bytes) -> list[str]:
        """Give the statements that these bytes ask for: by the name of their file, others by their text."""
        return [
            name for letter, body in self._messages.read(data) if (name := self._name(letter, body))
        ]

    def _name(self, letter: str, body: bytes) -> str:
        if letter == "Q":
            return body.rstrip(b"\0").decode()
        if letter == "P":
            prepared, text, _ = body.split(b"\0", 2)
            self._prepared[prepared] = _NAMES.get(text.decode(), text.decode())
        if letter == "B":
            _, prepared, values = body.split(b"\0", 2)
            name = self._prepared.get(prepared, "")
            # A session of ours says what it is when it makes its settings.
            if name == "settings" and b"asyncjobs" in values:
                self.application = "link" if b"asyncjobs link" in values else "pool"
            return name
        return ""


class Answered:
    """Reads what Postgres answers."""

    def __init__(self) -> None:
        self._messages = Messages(begins_without_letter=False)

    def read(self, data: bytes) -> int:
        """Tell how many answers these bytes complete: Postgres is ready for the next question."""
        return sum(1 for letter, _ in self._messages.read(data) if letter == "Z")
