"""What blocks the event loop is shown where one looks: at the task, and at the process."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.dashboard.blocks import block_of, blocks
from tests.dashboard.reading import link, read

if TYPE_CHECKING:
    import httpx2

    from tests.dashboard.shelf import Shelf


def tally(times: int = 3, seconds: float = 1.24, **worst: Any) -> dict[str, Any]:
    return {
        "times": times,
        "seconds": times * seconds,
        "last_at": "2026-11-22T12:00:00+00:00",
        "worst": {
            "job": None, "line": "shop/images.py:42 in shrink", "inside": None, "seconds": seconds, "computed": seconds,
            "at": "2026-11-22T12:00:00+00:00", **worst,
        },
    }  # fmt: skip


async def test_a_process_shows_which_tasks_have_blocked_its_loop(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    noted = {
        "tasks": {"shop.resize": tally(computed=0.4), "shop.light": tally(1, 0.3, computed=0.05)},
        "others": {"app": tally(2, 0.5, line="shop/web.py:7 in cart"), "collector": tally()},
    }
    id = await shelf.put_process(blocks=noted)
    await shelf.put_process()

    page = read(await browse.get("/jobs/processes"))

    told = page.one("section", id=f"process-{id}").text.replace("\xa0", " ")
    for words in (
        "resize 3 times, 1.2 s at worst, computing at shop/images.py:42 in shrink",
        "light once, 300 ms, waiting at",
        "the app’s own code 2 times",
    ):
        assert words in told
    assert "collector" not in told
    assert link(page, "resize") == "/jobs/?task=shop.resize"
    assert page.text.count("Blocked the event loop") == 1


async def test_a_task_shows_where_it_blocks_the_loop_and_what_to_do(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    await shelf.put_process(name="web:1", blocks={"tasks": {"resize": tally()}, "others": {}})
    await shelf.put_process(
        name="web:2", ended_at=shelf.began + timedelta(seconds=1),
        blocks={"tasks": {"resize": tally(1, 0.5, inside="PIL/Image.py:7 in resize", job=str(UUID(int=7)))}},
    )  # fmt: skip
    await shelf.put_process(name="web:3", blocks={"tasks": {"other": tally()}})

    page = read(await browse.get("/jobs/?task=resize"))
    told = page.text.replace("\xa0", " ")

    assert "web:1: 3 times, 1.2 s at worst, computing at shop/images.py:42 in shrink" in told
    assert "web:2: once, 500 ms" in told
    assert "in PIL/Image.py:7 in resize" in told
    assert 'run="process"' in told
    assert link(page, "500 ms") == f"/jobs/job/{UUID(int=7)}?task=resize"
    assert "web:3" not in told


async def test_nothing_is_said_where_nothing_blocks(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    await shelf.put_process(blocks={"tasks": {"resize": tally()}})

    assert "block" not in read(await browse.get("/jobs/?task=greet")).text
    assert "block" not in read(await browse.get("/jobs/")).text


@pytest.mark.parametrize(
    "noted",
    [
        [],
        "much",
        {"tasks": 5},
        {"tasks": {"resize": None}},
        {"tasks": {"resize": {"times": "many", "worst": []}}},
        {"tasks": {"resize": {"times": 1e300, "worst": {"seconds": -1}}}},
        {"tasks": {"resize": {"times": 1, "worst": {"seconds": 1, "line": {"<b>": 1}}}}},
        {"tasks": {"resize": {"times": 1, "worst": {"seconds": 1, "job": "../processes"}}}},
    ],
    ids=str,
)
async def test_rows_that_somebody_has_edited_do_no_harm(
    browse: httpx2.AsyncClient, shelf: Shelf, noted: object
) -> None:
    await shelf.put_process(blocks=noted)

    assert (await browse.get("/jobs/processes")).status_code == 200
    assert (await browse.get("/jobs/?task=resize")).status_code == 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["tasks", "others", "app", "worst", "times", "seconds", "computed", "line", "job", "x"]), inner
    ),
    max_leaves=20,
)  # fmt: skip


@given(json_values)
def test_whatever_is_stored_is_read(noted: object) -> None:
    stored = json.dumps(noted)

    assert all(block.times >= 0 and block.worst >= 0 for block in blocks(stored))
    block_of("x", stored)


def test_a_line_of_code_is_cut_where_it_is_too_long() -> None:
    noted = {"tasks": {"resize": tally(line="x" * 1000)}}

    [block] = blocks(json.dumps(noted))

    assert block.line is not None
    assert len(block.line) == 300
