"""The static files: ours and vendored."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from asyncjobs.dashboard.assets import HERE, TYPES

if TYPE_CHECKING:
    import httpx2


def test_what_is_vendored_is_what_was_published() -> None:
    listed = re.findall(
        r"\| `([\w.]+)` \|.*\| `([0-9a-f]{64})` \|", (HERE / "VENDOR.md").read_text()
    )

    assert listed
    for name, digest in listed:
        assert sha256((HERE / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("name", sorted(TYPES))
async def test_each_file_is_served_as_what_it_is(browse: httpx2.AsyncClient, name: str) -> None:
    answer = await browse.get(f"/jobs/static/1/{name}")

    assert answer.headers["content-type"].startswith(TYPES[name])
    assert answer.content == (HERE / name).read_bytes()


def test_nothing_is_fetched_from_elsewhere() -> None:
    for name in ("app.css", "app.js", "marks.svg"):
        text = (HERE / name).read_text().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"(^|\s)//.*", "", text), name
