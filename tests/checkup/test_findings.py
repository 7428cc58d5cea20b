"""How what was seen is judged: values in, words out."""

from __future__ import annotations

from typing import Any

import pytest

from asyncjobs.checkup import between, holders, processes, server, tables, work
from asyncjobs.checkup.finding import Finding, Grade
from asyncjobs.checkup.processes import Process
from asyncjobs.postgres.sockets import Ends

WELL, ADVICE, WRONG, UNSEEN = Grade.WELL, Grade.ADVICE, Grade.WRONG, Grade.UNSEEN


def told(findings: list[Finding]) -> tuple[list[Grade], str]:
    """The grades, and all the words together."""
    return [finding.grade for finding in findings], " ".join(map(str, findings))


@pytest.mark.parametrize(
    ("row", "grade", "words"),
    [
        ({"is_standby": False, "is_read_only": False}, WELL, "takes them"),
        ({"is_standby": True, "is_read_only": True}, WRONG, "standby"),
        ({"is_standby": False, "is_read_only": True}, WRONG, "disk is full"),
    ],
)
def test_a_server_has_to_take_writes(row: dict[str, bool], grade: Grade, words: str) -> None:
    finding = server.writable(row)

    assert finding.grade is grade
    assert words in str(finding)


@pytest.mark.parametrize(
    ("ahead", "uncertain", "grade", "words"),
    [
        (0.01, 0.001, WELL, "agree"),
        (2.5, 1.0, WELL, "agree"),
        (2.5, 0.1, ADVICE, "2 s behind that of Postgres"),
        (-3600.0, 0.1, WRONG, "60 min ahead of that of Postgres"),
        (3600.0, 0.1, WRONG, "60 min behind"),
    ],
)
def test_clocks_are_compared_as_far_as_the_way_to_postgres_allows(
    ahead: float, uncertain: float, grade: Grade, words: str
) -> None:
    finding = server.skew(ahead, uncertain)

    assert finding.grade is grade
    assert words in finding.words


@pytest.mark.parametrize(
    ("found", "grades", "words"),
    [
        ({"fsync": "on", "synchronous_commit": "on", "transaction_timeout": "0"}, [], ""),
        ({"fsync": "off"}, [WRONG], "fsync is off. A power cut"),
        ({"full_page_writes": "off"}, [WRONG], "half written"),
        ({"autovacuum": "off", "track_counts": "off"}, [WRONG, WRONG], "each claim"),
        ({"synchronous_commit": "off"}, [WRONG], "commit asynchronously"),
        ({"track_activities": "off"}, [ADVICE], "nobody sees"),
        ({"transaction_timeout": "5000"}, [ADVICE], "5000 ms"),
        ({"transaction_timeout": "60000"}, [], ""),
        ({}, [], ""),
    ],
)
def test_settings_that_break_a_promise_are_named(
    found: dict[str, str], grades: list[Grade], words: str
) -> None:
    seen, said = told(list(server.unfit(found)))

    assert seen == grades
    assert words in said


def limits(**changed: int) -> dict[str, int]:
    return {
        "most": 100, "reserved": 3, "used": 20, "ours": 6,
        "most_of_database": -1, "used_of_database": 20, "most_of_role": -1, "used_of_role": 6,
        **changed,
    }  # fmt: skip


TAKERS = [{"connections": 9, "name": "shop", "role": "app", "database": "db"}]


@pytest.mark.parametrize(
    ("row", "grades", "words"),
    [
        (limits(), [WELL], "20 of 97 are taken, 6 of them by asyncjobs"),
        (limits(used=80), [ADVICE], "9 'shop' of app in db"),
        (limits(used=95), [WRONG], "95 of the 97 connections of the server are taken: they are nearly out"),
        (limits(most_of_role=7), [WRONG], "of this role"),
        (limits(most_of_role=10, used_of_role=8), [WRONG], "8 of the 10 connections of this role"),
        (limits(most_of_role=50, used_of_role=45), [ADVICE], "45 of the 50 connections of this role"),
        (limits(most_of_database=21), [WRONG], "of this database"),
    ],
)  # fmt: skip
def test_connections_that_run_out_are_counted_with_who_has_them(
    row: dict[str, int], grades: list[Grade], words: str
) -> None:
    seen, said = told(list(server.left(row, TAKERS)))

    assert seen == grades
    assert words in said


def holder(**changed: object) -> dict[str, Any]:
    return {
        "kind": "session", "pid": 7, "name": "psql", "role": "ada", "state": "idle in transaction",
        "seconds": 3.0, "transactions": 12, **changed,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "grades", "words"),
    [
        ([], [WELL], "None is open"),
        ([holder()], [WELL], "The oldest is 3 s old: pid 7 'psql' of ada, idle in transaction."),
        ([holder(seconds=700.0)], [ADVICE], "select pg_terminate_backend(7)"),
        ([holder(seconds=7200.0)], [WRONG], "idle_in_transaction_session_timeout"),
        (
            [holder(kind="prepared", name="x", pid=None, state=None, seconds=7200.0)],
            [WRONG],
            "rollback prepared 'x'",
        ),
        (
            [holder(seconds=None, state=None)],
            [UNSEEN],
            "holds back vacuum by 12 transactions; since when is not visible to this role. Grant this role pg_monitor",
        ),
        ([holder(seconds=None, transactions=5_000_000)], [ADVICE], "5,000,000 transactions"),
        (
            [holder(kind="slot", seconds=None, state="inactive", transactions=5_000_000)],
            [ADVICE],
            "The inactive replication slot 'psql' holds back vacuum",
        ),
        ([holder(), holder(pid=8, seconds=None)], [WELL, UNSEEN], "Pid 8"),
    ],
)
def test_the_oldest_transaction_is_named_with_who_holds_it(
    rows: list[dict[str, Any]], grades: list[Grade], words: str
) -> None:
    seen, said = told(list(holders.oldest(rows)))

    assert seen == grades
    assert words in said


def lock(seconds: float | None) -> dict[str, Any]:
    return {
        "pid": 7, "name": "job", "mode": "AccessExclusiveLock", "application_name": "psql",
        "role": "ada", "state": "idle in transaction", "seconds": seconds,
    }  # fmt: skip


@pytest.mark.parametrize(("seconds", "grades"), [(0.5, []), (30.0, [WRONG]), (None, [ADVICE])])
def test_a_lock_that_lasts_is_named(seconds: float | None, grades: list[Grade]) -> None:
    seen, said = told(list(holders.locked([lock(seconds)])))

    assert seen == grades
    assert not grades or "pid 7 'psql' of ada holds AccessExclusiveLock on job" in said


@pytest.mark.parametrize(
    ("row", "grades"),
    [
        ({"living": 10, "dead": 500, "is_off": False}, []),
        ({"living": 10, "dead": 500_000, "is_off": False}, [ADVICE]),
        ({"living": 400_000, "dead": 500_000, "is_off": False}, []),
        ({"living": 0, "dead": 0, "is_off": True}, [WRONG]),
    ],
)
def test_tables_that_nobody_cleans_up_are_named(row: dict[str, Any], grades: list[Grade]) -> None:
    seen, _ = told(list(tables.uncleaned([{"name": "job", **row}])))

    assert seen == grades


@pytest.mark.parametrize(
    ("row", "spilled", "grades", "words"),
    [
        ({}, 0, [], ""),
        ({"missing_today": [7, 30]}, 0, [ADVICE], "end today and are kept for 7, 30 days"),
        ({"missing_tomorrow": [7]}, 0, [ADVICE], "end tomorrow"),
        ({"missing_today": [7], "was_tended": False}, 0, [], ""),
        ({"overdue": 2}, 0, [ADVICE], "still has 2 days"),
        ({}, 12, [ADVICE], "12 finished jobs found no day"),
        ({}, 10_001, [ADVICE], "over 10,000"),
    ],
)
def test_an_archive_that_is_not_tended_is_told(
    row: dict[str, Any], spilled: int, grades: list[Grade], words: str
) -> None:
    whole = {
        "missing_today": [], "missing_tomorrow": [], "overdue": 0, "was_tended": True, **row
    }  # fmt: skip

    seen, said = told(list(tables.untended(whole, spilled)))

    assert seen == grades
    assert words in said


def process(number: int = 1, **changed: Any) -> Process:
    given: dict[str, Any] = {
        "id": number, "name": f"web:{number}", "kind": "web", "version": "0.1", "slots": 4,
        "queues": None, "tasks": frozenset({"greet"}), "running": 0, "age": 9.0,
        "is_draining": False, "is_alive": True, **changed,
    }  # fmt: skip
    return Process(**given)


@pytest.mark.parametrize(
    ("given", "grades", "words"),
    [
        ([], [], ""),
        ([process()], [], ""),
        ([process(is_draining=True)], [WRONG], "All processes that are alive are draining"),
        (
            [process(), process(2, is_alive=False, running=1)],
            [WRONG],
            "(1 job) waits to be rescued",
        ),
        ([process(), process(2, is_alive=False)], [ADVICE], "web:2) is silent"),
        ([process(is_alive=False)], [], ""),
        ([process(), process(2, version="0.2")], [ADVICE], "asyncjobs 0.1, 0.2"),
    ],
)
def test_processes_that_are_not_well_are_named(
    given: list[Process], grades: list[Grade], words: str
) -> None:
    seen, said = told(list(processes.unwell(given)))

    assert seen == grades
    assert words in said


READY = [{"task": "greet", "queue": "mail", "jobs": 2}]


@pytest.mark.parametrize(
    ("given", "ready", "due_in", "grades", "words"),
    [
        ([process()], READY, 5.0, [], ""),
        ([], [], None, [], ""),
        ([], READY, None, [WRONG], "no process is alive: start your app"),
        ([process(tasks=frozenset())], READY, None, [WRONG], "knows the task greet (2 jobs ready"),
        ([process(queues=frozenset({"x"}))], READY, None, [WRONG], "serves the queue mail"),
        ([process()], [], -60.0, [WRONG], "overdue by 60 s"),
        ([process()], [], -1.0, [], ""),
    ],
)
def test_work_that_nobody_does_is_named(
    given: list[Process],
    ready: list[dict[str, Any]],
    due_in: float | None,
    grades: list[Grade],
    words: str,
) -> None:
    seen, said = told(list(work.undone(given, ready, due_in)))

    assert seen == grades
    assert words in said


def route(**changed: object) -> dict[str, Any]:
    return {
        "client": "10.0.0.7", "client_port": 5000, "server": "10.0.0.1", "server_port": 5432,
        "user_timeout": "20s", "keepalives_idle": "5", **changed,
    }  # fmt: skip


OWN = Ends(("10.0.0.7", 5000), ("10.0.0.1", 5432))


@pytest.mark.parametrize(
    ("ends", "row", "grade", "words"),
    [
        (Ends(None, None), route(client=None), WELL, "a socket of this machine"),
        (OWN, route(), WELL, "nothing is in between"),
        (Ends(("::ffff:10.0.0.7", 5000), ("::1", 1)), route(), WELL, "nothing is in between"),
        (OWN, route(client="10.9.9.9"), ADVICE, "that Postgres notices within 20 s"),
        (OWN, route(client_port=4), ADVICE, "sees the link come from 10.0.0.7:4"),
        (OWN, route(client=None), ADVICE, "a socket of its own machine"),
        (OWN, route(user_timeout="0"), WRONG, "knows no tcp_user_timeout"),
        (OWN, route(user_timeout="0", server="127.0.0.1"), ADVICE, "knows no tcp_user_timeout"),
    ],
)
def test_what_is_in_between_shows_where_both_sides_see_something_else(
    ends: Ends, row: dict[str, Any], grade: Grade, words: str
) -> None:
    seen, said = told(list(between.judged(ends, row)))

    assert seen == [grade]
    assert words in said
