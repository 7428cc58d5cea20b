"""The bench of tables reads the log as it is written."""

from __future__ import annotations

import pytest

from tests.bench.tables.wal import Log, Record, records

FILES = {16_400: "job", 16_410: "job_pkey", 16_420: "archive_20260102"}
LINES = """\
rmgr: Heap        len (rec/tot):    189/   189, tx:        701, lsn: 0/01A3B0F8, prev 0/01A3B0B8, desc: INSERT off: 2, flags: 0x00, blkref #0: rel 1663/5/16400 blk 0
rmgr: Btree       len (rec/tot):     72/  8264, tx:        701, lsn: 0/01A3B1B8, prev 0/01A3B0F8, desc: INSERT_LEAF off: 1, blkref #0: rel 1663/5/16410 blk 1 FPW
rmgr: Transaction len (rec/tot):     34/    34, tx:        701, lsn: 0/01A3D1F8, prev 0/01A3B1B8, desc: COMMIT 2026-01-02 03:04:05.678901 UTC
rmgr: Heap        len (rec/tot):    144/   144, tx:        702, lsn: 0/01A3D220, prev 0/01A3D1F8, desc: UPDATE old_xmax: 702, old_off: 2, blkref #0: rel 1663/5/16400 blk 0
rmgr: Heap        len (rec/tot):    219/   219, tx:        703, lsn: 0/01A3D2B0, prev 0/01A3D220, desc: INSERT off: 1, flags: 0x00, blkref #0: rel 1663/5/16420 blk 0
rmgr: Heap        len (rec/tot):     54/    54, tx:        703, lsn: 0/01A3D390, prev 0/01A3D2B0, desc: DELETE xmax: 703, off: 3, blkref #0: rel 1663/5/16400 blk 0
rmgr: Heap2       len (rec/tot):     58/    58, tx:          0, lsn: 0/01A3D3C8, prev 0/01A3D390, desc: PRUNE_ON_ACCESS snapshotConflictHorizon: 703, blkref #0: rel 1663/5/16400 blk 0
""".splitlines()


def test_a_record_names_its_relation_and_tells_images_of_pages_apart() -> None:
    read = list(records(LINES, FILES))

    assert read[0] == Record("Heap INSERT", 701, "job", 189, 0)
    assert read[1] == Record("Btree INSERT_LEAF", 701, "job_pkey", 72, 8192)
    assert read[2] == Record("Transaction COMMIT", 701, "", 34, 0)
    assert read[4].relation == "archive"


def test_what_a_transaction_did_to_the_hot_table_tells_which_statement_it_was() -> None:
    log = Log(list(records(LINES, FILES)), 9_000)

    assert log.commits == 1
    assert {name: sum(causes.values()) for name, causes in log.by_statement.items()} == {
        "enqueue": 189 + 72 + 8192 + 34, "claim": 144, "finish": 219 + 54, "upkeep": 58,
    }  # fmt: skip
    assert log.by_statement["enqueue"]["images of pages"] == 8192


def test_what_is_no_record_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="not a record"):
        list(records(["pg_waldump: error"], FILES))
