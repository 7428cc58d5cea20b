"""JSON as coloured text: tokens for the template, which escapes them."""

from __future__ import annotations

import re
from collections.abc import Iterator

TOKEN = re.compile(
    r"""
    (?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)
    | (?P<text>"(?:[^"\\]|\\.)*"?)          # the last may be cut off
    | (?P<number>-?[0-9][0-9.eE+-]*)
    | (?P<word>true|false|null)
    | (?P<plain>[^"0-9tfn-]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(text: str) -> Iterator[tuple[str, str]]:
    """Cut JSON, whole or cut off anywhere, into (kind, text); together they are the text again."""
    for found in TOKEN.finditer(text):
        yield found.lastgroup or "plain", found[0]
