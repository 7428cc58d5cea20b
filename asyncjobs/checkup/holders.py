"""Who holds what others wait for: the oldest transaction, a lock on a table of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from asyncjobs.checkup.finding import Finding, advice, unseen, well, wrong
from asyncjobs.checkup.look import Look, Row
from asyncjobs.health import in_words

OLD = 600.0  # seconds
TOO_OLD = 3600.0  # seconds
MANY = 1_000_000  # transactions since it began, where nobody tells the seconds
LONG_LOCKED = 2.0  # seconds
MOST = 20

SEE_MORE = "Grant this role pg_monitor, or pg_read_all_stats, and it is told."


async def transactions(look: Look) -> list[Finding]:
    """Find who holds the oldest transaction."""
    return list(oldest(await look.rows("transactions", MOST)))


def oldest(rows: Sequence[Row]) -> Iterator[Finding]:
    """Judge it; rows come the oldest first, and those whose age this role may not see last."""
    if not rows:
        yield well("transactions", "None is open but this one.")
        return
    timed = [row for row in rows if row["seconds"] is not None]
    hidden = [row for row in rows if row["seconds"] is None]
    if timed:
        yield _by_time(timed[0])
    if hidden:
        yield _by_number(max(hidden, key=lambda row: row["transactions"] or 0))


def _by_time(row: Row) -> Finding:
    age: float = row["seconds"]
    words = f"The oldest is {in_words(age)} old: {_who(row)}."
    if age < OLD:
        return well("transactions", words)
    return (wrong if age >= TOO_OLD else advice)("transactions", words, _end(row))


def _by_number(row: Row) -> Finding:
    behind: int = row["transactions"] or 0
    who = _who(row)
    words = f"{who[0].upper()}{who[1:]} holds back vacuum by {behind:,} transactions"
    if row["kind"] == "slot":
        if behind < MANY:
            return well("transactions", f"{words}.")
        return advice("transactions", f"{words}.", _end(row))
    if behind < MANY:
        return unseen("transactions", f"{words}; since when is not visible to this role.", SEE_MORE)
    return advice(
        "transactions",
        f"{words}; since when is not visible to this role.",
        f"{_end(row)} {SEE_MORE}",
    )


def _who(row: Row) -> str:
    if row["kind"] == "prepared":
        return f"the prepared transaction '{row['name']}' of {row['role']}"
    if row["kind"] == "slot":
        return f"the {row['state']} replication slot '{row['name']}'"
    name = f" '{row['name']}'" if row["name"] else ""
    state = f", {row['state']}" if row["state"] else ""
    return f"pid {row['pid']}{name} of {row['role']}{state}"


def _end(row: Row) -> str:
    held = "Until it ends, vacuum keeps what is dead since then, and each claim walks over it."
    if row["kind"] == "prepared":
        return f"{held} Commit it, or: rollback prepared '{row['name']}'."
    if row["kind"] == "slot":
        return f"{held} Let its standby catch up, or drop the slot."
    idle = " idle_in_transaction_session_timeout keeps it from coming again."
    return (
        f"{held} End it, or: select pg_terminate_backend({row['pid']})."
        f"{idle if str(row['state']).startswith('idle') else ''}"
    )


async def locks(look: Look) -> list[Finding]:
    """Find who has locked a table of ours."""
    rows = await look.rows("locks")
    found = [*locked(rows)]
    return found or [well("locks", "Nobody holds one that claims or ends would have to wait for.")]


def locked(rows: Sequence[Row]) -> Iterator[Finding]:
    """Judge each lock; what lasts a moment is no trouble, a migration for one."""
    for row in rows:
        age: float | None = row["seconds"]
        if age is not None and age < LONG_LOCKED:
            continue
        name = f" '{row['application_name']}'" if row["application_name"] else ""
        since = "not visible to this role since when" if age is None else f"for {in_words(age)}"
        yield (advice if age is None else wrong)(
            "locks",
            f"pid {row['pid']}{name} of {row['role']} holds {row['mode']} on {row['name']}, {since}: claims and "
            "ends wait for it.",
            f"End its transaction, or: select pg_terminate_backend({row['pid']}).",
        )
