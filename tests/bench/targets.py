"""What is to be reached, and what stands in the way where it is not."""

from __future__ import annotations

from tests.bench.lines import (
    BEST,
    Cell,
    Line,
    first_mb,
    first_ms,
    highest,
    kilobytes,
    last_mb,
    last_ms,
    megabytes,
    p50,
    p99,
    rate,
)


def _rates(series: str, who: str = "ours") -> Cell:
    return Cell(series, rate, who)


ROOMY = "ours-100-slots"
UV, LOOP_UV, SAQ = "ours on uvloop", "loop on uvloop", "saq on redis"

COMPUTING = (
    "a drain is bound by computing: the process, the session that claims and the one that records share"
    " the processors (docs/performance.md, microsecond by microsecond)"
)
CROWD = (
    "sixteen processes, their links and their pools share the processors, and each has a sixteenth of the pace to claim ahead by;"
    " with 100 slots each they come to two thirds of one (docs/scaling.md)"
)
BESIDE = (
    "there is no NOTIFY in it: our row is larger and has more columns than the other's, and the rest is the Python of an"
    " enqueue and a logger that sees the commit go by"
)
BY_HAND = (
    "the Python of an enqueue, 7 % of the app's time in a profile, and a logger that sees the commit go by; they do not"
    " explain all of it"
)
ONE_COMMIT = "it is made of one commit that is on the disk, and the process's wakeup after it"
CLAIMED = "a claim writes a new version of the row, and its entries in two indexes"
DUE = "two commits, one that makes it ready and one that claims it"
BUSY = (
    "the app, two sessions of Postgres and the load want two processors at once, at a rate that nobody else comes to (theirs are"
    " among the guests below)"
)
SECOND = (
    "the quickest of the others has come to two and three times what it did where the aim was set"
)
SLOTS = (
    "in ten slots nobody can run more than 200 of them a second; pgqueuer puts no bound to what it has begun, and the app feels"
    " that (the guests below)"
)
NOISE = "it differs by as much from one run to the next: 1.14, 1.34 and 1.59 in three of one day"
ARGUMENT = "a claim rewrites the row (docs/performance.md, by cause)"
SURVEYS = "surveys, a twentieth of the time at most, walk over all that is dead"
CALLERS = "the best of the others does nearly twice what it did where the aim was set"

# What is to be reached. Peers run on uvloop, and so do ours beside them; the loops are those of the same event loop. Guests
# run on asyncio, all of them.
LINES = (
    Line("drain, 100 slots", "/s", _rates("drain-100", UV), _rates("drain-100", BEST), at_least=2, why=COMPUTING),
    Line("… beside the loop, uvloop", "/s", _rates("drain-100", UV), _rates("drain-100", LOOP_UV), at_least=0.6, why=COMPUTING),
    Line("… beside the loop, asyncio", "/s", _rates("drain-100"), _rates("drain-100", "loop")),
    Line("drain, 10 slots", "/s", _rates("drain-10", UV), _rates("drain-10", BEST), at_least=2, why=COMPUTING),
    Line("… beside the loop, uvloop", "/s", _rates("drain-10", UV), _rates("drain-10", LOOP_UV)),
    Line("… beside the loop, asyncio", "/s", _rates("drain-10"), _rates("drain-10", "loop")),
    Line("drain, two processes beside one", "/s", _rates("drain-2-processes", UV), _rates("drain-100", UV)),
    Line(
        "drain, sixteen beside one", "/s", _rates("drain-16-processes", UV), _rates("drain-100", UV), at_least=1, why=CROWD),
    Line("enqueue one by one", "/s", _rates("enqueue-alone"), _rates("enqueue-alone", "loop")),
    Line(
        "enqueue, 50 callers", "/s", _rates("enqueue-together", UV), _rates("enqueue-together", BEST), at_least=6, why=CALLERS),
    Line("… beside the loop, asyncio", "/s", _rates("enqueue-together"), _rates("enqueue-together", "loop")),
    Line("enqueue 10,000 at once", "/s", _rates("enqueue-bulk", UV), _rates("enqueue-bulk", BEST), at_least=1),
    Line("… beside the loop, asyncio", "/s", _rates("enqueue-bulk"), _rates("enqueue-bulk", "loop")),
    Line("in callers’ transactions, 16", "/s", _rates("beside-16"), _rates("beside-16", "loop, silent")),
    Line(
        "in callers’ transactions, 64", "/s", _rates("beside-64"), _rates("beside-64", "loop, silent"), at_least=0.9, why=BESIDE),
    Line("… beside the same row, stored by hand", "/s", _rates("beside-64"), _rates("beside-64", "our row, by hand"), at_least=0.9, why=BY_HAND),
    Line("enqueue to done, mixed load", "/s", _rates("mixed", UV), _rates("mixed", BEST), at_least=3),
    Line("enqueue to start here, p50", "ms", Cell("start-here", p50, UV), Cell("start-here", p50, BEST), below=0.5, why=ONE_COMMIT),
    Line("… beside SAQ on Redis", "ms", Cell("start-here", p50, UV), Cell("start-here", p50, SAQ), below=1, why=ONE_COMMIT),
    Line("… beside the loop, asyncio", "ms", Cell("start-here", p50), Cell("start-here", p50, "loop")),
    Line("its p99 beside its p50", "ms", Cell("start-here", p99), Cell("start-here", p50), below=3),
    Line(
        "to another process, p50", "ms", Cell("start-across", p50, UV), Cell("start-across", p50, BEST)
    ),
    Line("scheduled: how late, p99", "ms", Cell("late", p99), 10.0, below=1),
    Line("WAL of a small job", "kB", Cell("wal", kilobytes), 1.2, below=1),
    Line("… with an argument, started directly", "kB", Cell("log-direct-kept", kilobytes), 1.2, below=1),
    Line("… with an argument, claimed", "kB", Cell("log-claimed-kept", kilobytes), 1.2, below=1, why=ARGUMENT),
    Line("… where nothing is kept, started directly", "kB", Cell("log-direct-forgotten", kilobytes), 0.6, below=1),
    Line("… where nothing is kept, claimed", "kB", Cell("log-claimed-forgotten", kilobytes), 0.6, below=1, why=CLAIMED),
    Line("statements a job, idle", "count", _rates("statements-idle"), 3.0, below=1),
    Line("statements a job, busy", "count", _rates("statements-busy"), 1.0, below=0.5),
    Line("drain in a full database beside an empty one", "/s", _rates("drain-crowded"), _rates("drain-empty"), at_least=0.9),
    Line("scheduled, in a full database: how late, p99", "ms", Cell("late-crowded", p99), 10.0, below=1, why=DUE),
    Line("xmin pinned, 800 jobs/s: backlog, at most", "count", Cell("pinned-backlog", highest), 80.0, below=1),
    Line("… a claim, p50, the last third beside the first", "ms", Cell("pinned-claim", last_ms), Cell("pinned-claim", first_ms), below=1.2),
    Line("… a claim, p99, the last third beside the first", "ms", Cell("pinned-slow-claim", last_ms), Cell("pinned-slow-claim", first_ms), below=1.2, why=SURVEYS),
    Line("800 jobs/s for an hour: hot table and its indexes, the last third beside the first", "MB", Cell("steady-size", last_mb), Cell("steady-size", first_mb), below=1.1),
    Line("guest, no-ops: p99 of a request beside alone", "", _rates("guest-noop-p99-ratio"), 1.3, below=1, why=BUSY),
    Line("guest, no-ops: jobs a second", "/s", _rates("guest-noop"), _rates("guest-noop", BEST), at_least=3, why=SECOND),
    Line("guest, jobs that wait 50 ms: p99 of a request beside alone", "", _rates("guest-wait-p99-ratio"), 1.3, below=1, why=NOISE),
    Line("guest, jobs that wait 50 ms: jobs a second", "/s", _rates("guest-wait"), _rates("guest-wait", BEST), at_least=3, why=SLOTS),
    Line("… with 100 slots", "/s", _rates("guest-wait", ROOMY), _rates("guest-wait", BEST)),
    Line("… with 100 slots, p99 of a request beside alone", "", _rates("guest-wait-p99-ratio", ROOMY), 1.3),
    Line("guest, 5 ms of Python: added to p50", "ms", _rates("guest-burn-p50-added"), 5.0, below=1),
    Line("… added to p99", "ms", _rates("guest-burn-p99-added"), 10.0, below=1),
    Line("… of what the loop has left", "", _rates("guest-burn-left"), 0.5, at_least=1),
    Line("idle: statements a minute", "count", _rates("idle-statements"), 2.0, below=1),
    Line("idle: connections", "count", _rates("idle-connections"), 2.0, below=1),
    Line("idle: memory added to the bare app", "MB", Cell("idle-memory", megabytes), 20.0, below=1),
)  # fmt: skip
