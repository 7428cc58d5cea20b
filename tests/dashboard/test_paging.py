"""Turning the pages of the list, there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncjobs import JobState
from tests.dashboard.reading import ids, link, read

if TYPE_CHECKING:
    import httpx2

    from tests.dashboard.reading import Element
    from tests.dashboard.shelf import Shelf

STATES = [state.value for state in JobState]


@pytest.mark.parametrize("state", ["", *STATES])
async def test_turning_pages_there_and_back_meets_every_job_once(
    browse: httpx2.AsyncClient, shelf: Shelf, state: str
) -> None:
    kind = state or "failed"
    # Many of one moment and one priority, so that only the id tells them apart.
    same = {"run_at": shelf.began, "promise": shelf.began}
    same |= {"finished_at": shelf.began} if JobState(kind).is_final else {}
    same |= {"claimed_at": shelf.began} if kind == "running" else {}
    put = [str(id) for id in await shelf.put_many(70, kind, **same)]
    put += [str(id) for id in await shelf.put_many(55, kind, priority=3)]

    forth: list[list[str]] = []
    address: str | None = f"/jobs/?state={state}"
    while address:
        page = read(await browse.get(address))
        forth.append(ids(page))
        address = next((a.attributes["href"] for a in page.all("a", rel="next")), None)
    back = [read(await browse.get(page_before(page)))]
    back.append(read(await browse.get(page_before(back[0]))))

    assert sorted(id for each in forth for id in each) == sorted(put)
    assert [len(each) for each in forth] == [50, 50, 25]
    assert [ids(each) for each in back] == [forth[1], forth[0]]
    assert not back[1].all("a", rel="prev")


def page_before(page: Element) -> str:
    return page.one("a", rel="prev").attributes["href"]


async def test_a_page_whose_jobs_have_left_leads_back(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    await shelf.put_many(51, "failed")
    older = read(await browse.get("/jobs/?state=failed")).one("a", rel="next").attributes["href"]
    await shelf.connection.execute(
        "delete from asyncjobs.archive_spill where finished_at < (select max(finished_at) from asyncjobs.archive_spill)"
    )

    page = read(await browse.get(older))

    assert ids(page) == []
    assert len(ids(read(await browse.get(page_before(page))))) == 1


async def test_a_rare_task_is_looked_for_in_strides(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    rare = str(await shelf.put("succeeded", task="rare"))
    await shelf.fill(10_000, "bulk")

    first = read(await browse.get("/jobs/?state=succeeded&task=rare"))
    second = read(await browse.get(link(first, "Look through 10 000 more →")))

    assert ids(first) == []
    assert "None among the 10 000 jobs looked at." in first.text
    assert ids(second) == [rare]


async def test_a_page_further_on_stays_where_it_is_when_it_is_refreshed(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    await shelf.put_many(60, "failed")
    older = read(await browse.get("/jobs/?state=failed")).one("a", rel="next").attributes["href"]

    page = read(await browse.get(older))
    again = page.one("div", id="live").attributes["hx-get"]

    assert ids(read(await browse.get(again))) == ids(page)
