"""What is between this process and Postgres, and whether a NOTIFY finds its way through."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from ipaddress import ip_address

from asyncjobs.checkup.finding import Finding, advice, unseen, well, wrong
from asyncjobs.checkup.look import ANSWER_WITHIN, Look, Row
from asyncjobs.errors import Unavailable
from asyncjobs.postgres.link import Link
from asyncjobs.postgres.pooler import Between
from asyncjobs.postgres.sockets import GIVE_UP_AFTER, Ends, is_same_end

HEARD_WITHIN = 2.0  # seconds

THEIR_WORD = (
    f"That Postgres notices within {GIVE_UP_AFTER} s when this process is gone is then the proxy's word, not "
    "ours: see that it passes on, soon, that one side has hung up or fallen silent."
)
POOLER_ADVICE = (
    "Enqueueing works through it. A process that runs jobs needs a session of its own: give it a direct address, "
    "or Jobs(link_dsn=…) for its link alone, or Jobs(presence='lease') with weaker promises."
)


async def pooler(look: Look) -> list[Finding]:
    """Tell what was found when the connections were made."""
    pool, executor = look.jobs.database.between, look.executor
    link = executor.link if executor is not None else None
    if link is not None and not link.keeps_session:
        words = "This process holds a lease, and needs no session of its own: whatever is in between may share them."
        return [well("pooler", words)]
    if isinstance(link, Link) and link.between is Between.SESSIONS:
        words = "A proxy is between the link and Postgres; it keeps a session for each client, as it must."
        return [advice("pooler", words, THEIR_WORD)]
    if pool is Between.SHARED and link is not None:
        words = "The pool leads to a pooler that shares sessions, which is fine: the link does not."
        return [well("pooler", words)]
    if pool is Between.SHARED:
        words = "This address leads to a pooler that shares its sessions, as PgBouncer does in transaction mode."
        return [advice("pooler", words, POOLER_ADVICE)]
    if pool is Between.SESSIONS:
        words = "A proxy is between the pool and Postgres; it keeps a session for each client."
        return [advice("pooler", words, THEIR_WORD)]
    return [well("pooler", "None: who greets is who answers.")]


async def listening(look: Look) -> list[Finding]:
    """Send a NOTIFY through the pool, and hear it on the link, or on a connection made for that."""
    executor = look.executor
    if executor is not None and not executor.link.keeps_session:
        words = "No NOTIFY arrives at a process with a lease: it asks each second, and more often while it works."
        return [well("notifications", words)]
    if executor is None and look.jobs.database.is_shared:
        return [
            unseen("notifications", "Not tried: a pooler that shares sessions takes no LISTEN.")
        ]
    if executor is not None and not executor.link.is_up:
        return [unseen("notifications", "Not tried: the link is down.")]
    try:
        async with asyncio.timeout(ANSWER_WITHIN + HEARD_WITHIN):
            took = await look.jobs.connection.echo(HEARD_WITHIN)
    except TimeoutError:
        words = (
            f"No NOTIFY could be sent: the pool was busy for {ANSWER_WITHIN + HEARD_WITHIN:g} s."
        )
        what_to_do = "Whatever holds up the pool (see locks) holds up enqueues and ends as well."
        return [wrong("notifications", words, what_to_do)]
    if took is None:
        return [
            wrong(
                "notifications",
                f"A NOTIFY that was sent through the pool was not heard on the link within {HEARD_WITHIN:g} s.",
                "Jobs are found by asking twice a minute only. Something in between keeps notifications back, or the "
                "pool and the link lead to two servers.",
            )
        ]
    return [well("notifications", f"A NOTIFY was heard after {took * 1000:.1f} ms.")]


async def network(look: Look) -> list[Finding]:
    """Compare what the link and the server see of each other."""
    executor = look.executor
    if executor is None or not isinstance(executor.link, Link):
        return []
    ends = executor.link.ends
    if ends is None:
        return [unseen("network", "Not looked at: the link is down.")]
    try:
        row = await look.row_of_link("route")
    except Unavailable:
        return [unseen("network", "Not looked at: the link has something else to wait for.")]
    return list(judged(ends, row))


def judged(ends: Ends, row: Row) -> Iterator[Finding]:
    """Judge both views; `row` is the server's."""
    if ends.own is None:
        yield well("network", "The link is a socket of this machine.")
        return
    if row["client"] is None or not is_same_end(ends.own, (row["client"], row["client_port"])):
        seen = (
            f"{row['client']}:{row['client_port']}"
            if row["client"]
            else "a socket of its own machine"
        )
        yield advice(
            "network",
            f"Postgres sees the link come from {seen}, and it begins at {ends.own[0]}:{ends.own[1]}: something "
            "is in between. If that only translates addresses, all is well.",
            f"If it is a proxy: {THEIR_WORD[0].lower()}{THEIR_WORD[1:]}",
        )
    elif row["user_timeout"] in ("0", ""):
        grade = advice if ip_address(row["server"]).is_loopback else wrong
        yield grade(
            "network",
            "The server's system knows no tcp_user_timeout: where the network goes dark, Postgres may believe "
            "for a quarter of an hour that a process lives which is gone, and its jobs wait for as long.",
            "Run Postgres on Linux.",
        )
    else:
        yield well("network", "The link and Postgres see the same two ends: nothing is in between.")
