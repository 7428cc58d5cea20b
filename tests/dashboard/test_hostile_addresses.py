"""No address, however it is put together, breaks a page."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncjobs import JobState

if TYPE_CHECKING:
    import httpx2

    from tests.dashboard.shelf import Shelf

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

numbers = st.integers(-(10**30), 10**30).map(str)
hexes = st.text("0123456789abcdef-", min_size=30, max_size=40)
places = st.lists(st.one_of(numbers, hexes, st.text(max_size=8)), min_size=1, max_size=4).map(
    ".".join
)
values = st.one_of(
    st.text(max_size=40),
    places,
    st.sampled_from(
        ["\0", "a\0b", "x" * 301, "x" * 5000, "'; drop table asyncjobs.job; --", "%", "\U0010ffff"]
    ),
)
queries = st.dictionaries(
    st.sampled_from(["state", "task", "queue", "after", "before", "did", "id", "other"]), values
)
stated = st.builds(
    lambda query, state: {**query, "state": state}, queries, st.sampled_from([*JobState, ""])
)
raw = st.binary(max_size=30).map(quote)


@given(query=st.one_of(queries, stated))
@quick
async def test_any_query_gives_a_page_or_is_not_found(
    browse: httpx2.AsyncClient, query: dict[str, str]
) -> None:
    for path in ("/jobs/", "/jobs/find", "/jobs/processes"):
        answer = await browse.get(path, params=query)
        assert answer.status_code in (200, 303, 404), answer.text


@given(path=st.one_of(raw, values.map(quote)), query=raw)
@quick
async def test_any_path_and_any_bytes_give_a_page_or_are_not_found(
    browse: httpx2.AsyncClient, path: str, query: str
) -> None:
    for address in (
        f"/jobs/{path}",
        f"/jobs/job/{path}",
        f"/jobs/static/1/{path}",
        f"/jobs/?task={query}&{query}",
    ):
        answer = await browse.get(address)
        # 307 is the host's: a dot in the path may lead out to the bare /jobs.
        assert answer.status_code in (200, 303, 307, 404, 405), answer.text


@given(verb=values.filter(bool), query=queries)
@quick
async def test_any_post_is_answered(
    browse: httpx2.AsyncClient, verb: str, query: dict[str, str]
) -> None:
    address = f"/jobs/job/00000000-0000-7000-8000-000000000000/{quote(verb, safe='')}"

    answer = await browse.post(address, params=query, content=verb.encode("utf-8", "replace"))

    assert answer.status_code in (303, 404, 405), answer.text


@pytest.mark.parametrize(
    "place",
    [
        "99999999999999999.00000000000000000000000000000000",
        "-99999999999999999.ffffffffffffffffffffffffffffffff",
        "999999999999999999.00000000000000000000000000000000",
        "0.00000000000000000000000000000000",
        "32767.0.00000000000000000000000000000000",
        "40000.0.00000000000000000000000000000000",
        "-99999.0.00000000000000000000000000000000",
        "ffffffffffffffffffffffffffffffff",
        "00000000000000000000000000000000",
        "٣.00000000000000000000000000000000",
    ],
)
@pytest.mark.parametrize("state", ["", *(state.value for state in JobState)])
async def test_places_at_the_edges_of_what_postgres_knows(
    browse: httpx2.AsyncClient, shelf: Shelf, place: str, state: str
) -> None:
    await shelf.put(state or "failed")

    for turned in ("after", "before"):
        answer = await browse.get("/jobs/", params={"state": state, turned: place})
        assert answer.status_code == 200
