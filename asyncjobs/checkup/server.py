"""The server: does it take writes, is its clock ours, is it set so that promises hold, has it connections left?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from asyncjobs.checkup.finding import Finding, advice, well, wrong
from asyncjobs.checkup.look import Look, Row
from asyncjobs.health import in_words

ASKS = 3  # times; the quickest answer tells most
SKEW_TO_TELL = 2.0  # seconds
SKEW_TO_MIND = 60.0  # seconds
FEW = 2  # connections
FULL = 0.8
LONGEST_STATEMENT = 30_000  # milliseconds; what our own statements may take at most

TURN_ON = (
    ("fsync", "A power cut or a crash of the machine may lose what was committed, and the whole database with it."),
    ("full_page_writes", "A crash of the machine may leave pages half written, and the tables broken."),
    ("autovacuum", "Nothing cleans up after jobs: each claim walks over more of what is dead."),
    ("track_counts", "Autovacuum does not know where to clean up: each claim walks over more of what is dead."),
)  # fmt: skip
ASKED = [*(name for name, _ in TURN_ON), "track_activities", "transaction_timeout"]


async def writes(look: Look) -> list[Finding]:
    """Tell whether the server takes writes."""
    return [writable(await look.row("server"))]


def writable(row: Row) -> Finding:
    """Judge it."""
    if row["is_standby"]:
        return wrong(
            "writes",
            "This server is a standby: nothing can be stored, claimed or recorded.",
            "Give the address of the primary, or all hosts in one address: the one that may write is found.",
        )
    if row["is_read_only"]:
        return wrong(
            "writes",
            "Transactions are read-only here: nothing can be stored, claimed or recorded.",
            "Hosts do so when a disk is full; they say why.",
        )
    return well("writes", "The server takes them.")


async def clock(look: Look) -> list[Finding]:
    """Compare the server's clock with that of this process."""
    tries: list[tuple[float, float]] = []
    for _ in range(ASKS):
        wall, began = time.time(), time.monotonic()
        theirs: float = (await look.row("server"))["now"]
        took = time.monotonic() - began
        tries.append((took, theirs - wall - took / 2))
    took, ahead = min(tries)
    return [skew(ahead, took / 2)]


def skew(ahead: float, uncertain: float) -> Finding:
    """Judge by how many seconds the server's clock is ahead, give or take."""
    sure = max(0.0, abs(ahead) - uncertain)
    if sure < SKEW_TO_TELL:
        return well(
            "clock", f"This process and Postgres agree, to within {max(abs(ahead), 0.001):.3f} s."
        )
    way = "behind" if ahead > 0 else "ahead of"
    words = f"The clock of this process is {in_words(abs(ahead))} {way} that of Postgres."
    what_to_do = (
        "Jobs go by Postgres's clock, so a run_at= that the application computes is off by that, and so are "
        "the times in its log. Let the machine keep time (NTP)."
    )
    return (wrong if sure >= SKEW_TO_MIND else advice)("clock", words, what_to_do)


async def settings(look: Look) -> list[Finding]:
    """Look for settings that break a promise."""
    found = {row["name"]: row["setting"] for row in await look.rows("settings", ASKED)}
    found["synchronous_commit"] = (await look.row("server"))["synchronous_commit"]
    return list(unfit(found)) or [
        well("settings", "Those that promises rest on are as they should be.")
    ]


def unfit(found: Mapping[str, str]) -> Iterator[Finding]:
    """Judge them; what the server does not know, or does not show, is not there."""
    for name, words in TURN_ON:
        if found.get(name) == "off":
            yield wrong("settings", f"{name} is off. {words}", f"Set {name} = on.")
    if found.get("synchronous_commit") == "off":
        yield wrong(
            "settings",
            "Our sessions commit asynchronously: a crash of Postgres forgets jobs that enqueue() has confirmed.",
            "Hand in a pool that leaves synchronous_commit on.",
        )
    if found.get("track_activities") == "off":
        words = "track_activities is off, so nobody sees who does what."
        yield advice("settings", words, "Set track_activities = on.")
    if 0 < int(found.get("transaction_timeout", "0")) < LONGEST_STATEMENT:
        yield advice(
            "settings",
            f"transaction_timeout is {found['transaction_timeout']} ms, shorter than a statement of ours may take: "
            "Postgres then ends our session.",
            "Leave it at 0 for this role, or above 30 s.",
        )


async def connections(look: Look) -> list[Finding]:
    """Count what is left."""
    row = await look.row("connections")
    return [*left(row, await look.rows("connected", 3))]


def left(row: Row, takers: Sequence[Row]) -> Iterator[Finding]:
    """Judge each limit that there is: the server's, the database's, the role's."""
    limits = (
        ("the server", row["most"] - row["reserved"], row["used"]),
        ("this database", row["most_of_database"], row["used_of_database"]),
        ("this role", row["most_of_role"], row["used_of_role"]),
    )
    by_whom = ", ".join(f"{each['connections']} {_name(each)}" for each in takers)
    told = False
    for whose, most, used in limits:
        if whose != "the server" and most < 0:
            continue
        words = f"{used} of the {most} connections of {whose} are taken"
        what_to_do = (
            f"The most are held by: {by_whom}. Asyncjobs has {row['ours']}, up to three a process, and twice "
            "that during a deploy. Raise the limit, or let somebody have smaller pools."
        )
        if most - used <= FEW:
            yield wrong("connections", f"{words}: they are nearly out.", what_to_do)
            told = True
        elif used >= FULL * most:
            yield advice("connections", f"{words}.", what_to_do)
            told = True
    if not told:
        _, most, used = limits[0]
        yield well(
            "connections", f"{used} of {most} are taken, {row['ours']} of them by asyncjobs."
        )


def _name(row: Row) -> str:
    named = f"'{row['name']}'" if row["name"] else "without a name"
    return f"{named} of {row['role']} in {row['database']}"
