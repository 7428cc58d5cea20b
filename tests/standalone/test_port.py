"""`asyncjobs work --port`: /live and /ready of a worker, and of all workers of a supervisor."""

from __future__ import annotations

import os
import re
import signal
import socket
from typing import Any

import httpx2

from asyncjobs import JobState
from tests.command import Command, run
from tests.moments import until, until_state
from tests.standalone import yard
from tests.standalone.conftest import StartWork, Yard


async def address_of(worker: Command) -> str:
    """Where it says that it answers."""
    await worker.says("/live and /ready")
    found = re.search(r"health: (http://\S+)/live", worker.said)
    assert found is not None, worker.said
    return found[1]


async def ask(address: str, path: str) -> tuple[int, dict[str, Any]]:
    """Ask once; a worker that is busy starting may not accept yet, and one that ended does not any more."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(address + path, timeout=5)
    return answer.status_code, answer.json()


async def until_told(address: str, path: str, status: int) -> dict[str, Any]:
    """Ask until the answer is so, and give it."""

    async def told() -> dict[str, Any] | None:
        try:
            found, body = await ask(address, path)
        except httpx2.TransportError:
            return None
        return body if found == status else None

    body = await until(told)
    assert body is not None
    return body


async def test_a_worker_that_works_is_alive_and_ready(seen: Yard, start_work: StartWork) -> None:
    async with start_work("--port", "0") as worker:
        address = await address_of(worker)

        ready = await until_told(address, "/ready", 200)
        alive = await until_told(address, "/live", 200)
        async with httpx2.AsyncClient(trust_env=False) as client:
            head = await client.head(f"{address}/ready")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["cache-control"] == "no-store"
    assert ready["checks"]["claims"]["status"] == "pass"
    assert alive["live"] is True
    assert address.startswith("http://127.0.0.1:")


async def test_a_worker_that_waits_for_postgres_is_alive_and_not_ready(
    start_work: StartWork,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"postgresql://somebody@127.0.0.1:{silent.getsockname()[1]}/nothing?sslmode=disable"
        async with start_work("--port", "0", ASYNCJOBS_DATABASE_URL=dsn) as worker:
            address = await address_of(worker)

            ready = await until_told(address, "/ready", 503)
            alive = await until_told(address, "/live", 200)
            worker.tell(signal.SIGTERM)

            assert await worker.ended() == 0

    assert "connecting" in ready["wrong"][0]
    assert alive["live"] is True


async def test_a_worker_that_drains_says_so_to_its_end_and_then_ends_with_its_port(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work("--port", "0") as worker:
        address = await address_of(worker)
        job = await yard.wait_at.enqueue("gate")
        await seen.until_signed(1)
        async with httpx2.AsyncClient(trust_env=False) as idle:
            await idle.get(f"{address}/live")  # and keeps its connection
            worker.tell(signal.SIGTERM)
            await seen.until_draining()

            told = await until_told(address, "/ready", 503)
            alive, _ = await ask(address, "/live")
            await seen.open_gate("gate")

            assert await worker.ended() == 0

    assert "draining: 1 job still run" in told["wrong"][0]
    assert alive == 200
    assert "Traceback" not in worker.said
    await until_state(job, JobState.SUCCEEDED)


async def test_a_second_signal_still_ends_a_worker_with_a_port_at_once(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work("--port", "0") as worker:
        await address_of(worker)
        await yard.wait_at.enqueue("closed")
        await seen.until_signed(1)
        worker.tell(signal.SIGTERM)
        await seen.until_draining()
        worker.tell(signal.SIGTERM)

        assert await worker.ended() == -signal.SIGTERM


async def test_a_port_that_is_taken_is_told_and_nothing_begins(seen: Yard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        for more in ((), ("--processes", "2")):
            code, said = await run("work", "tests.standalone.yard:jobs", "--port", port, *more)

            assert code == 1
            assert f"cannot listen on 127.0.0.1, port {port}" in said
            assert "Traceback" not in said
    assert await seen.alive() == []


async def test_a_supervisor_answers_for_all_of_its_workers(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work("--port", "0", "--processes", "2") as supervisor:
        address = await address_of(supervisor)
        pids = await seen.until_alive(2)

        told = await until_told(address, "/ready", 200)

        assert sorted(told["checks"][f"worker {number}"]["value"] for number in (1, 2)) == sorted(
            pids
        )
        os.kill(pids[0], signal.SIGKILL)
        lame = await until_told(address, "/ready", 503)
        alive, _ = await ask(address, "/live")
        assert len(lame["wrong"]) == 1
        assert "worker" in lame["wrong"][0]
        assert alive == 200
        await until_told(address, "/ready", 200)

        supervisor.tell(signal.SIGTERM)
        assert await supervisor.ended() == 0


async def test_a_worker_that_says_nothing_any_more_is_missed(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work("--port", "0", "--processes", "1") as supervisor:
        address = await address_of(supervisor)
        [pid] = await seen.until_alive(1)
        await until_told(address, "/ready", 200)

        os.kill(pid, signal.SIGSTOP)
        told = await until_told(address, "/ready", 503)
        os.kill(pid, signal.SIGCONT)

        await until_told(address, "/ready", 200)

    assert "silent for" in told["wrong"][0]
