"""Who a process is, and whether another is provably dead."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from asyncjobs.engine import identity

pytestmark = pytest.mark.skipif(
    not os.path.isdir("/proc/self/ns"),  # noqa: PTH112
    reason="without /proc nobody's death can be proved",
)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is told to end."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.kill()


def test_a_machine_is_the_same_for_all_its_processes() -> None:
    code = "from asyncjobs.engine.identity import machine; print(machine())"

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == identity.machine()


def test_a_process_that_lives_is_not_dead() -> None:
    pid = os.getpid()

    assert not identity.is_provably_dead(identity.machine(), pid, identity.started(pid))


def test_a_killed_process_is_provably_dead_even_before_it_is_reaped(
    child: subprocess.Popen[bytes],
) -> None:
    since = identity.started(child.pid)
    assert since is not None

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert identity.started(child.pid) is None
    assert identity.is_provably_dead(identity.machine(), child.pid, since)


def test_a_process_with_a_pid_used_again_is_provably_dead() -> None:
    pid = os.getpid()
    since = identity.started(pid)
    assert since is not None

    assert identity.is_provably_dead(identity.machine(), pid, since - 1)


@pytest.mark.parametrize("where", ["another boot pid:[1]", None])
def test_nobody_elsewhere_is_provably_dead(where: str | None) -> None:
    assert not identity.is_provably_dead(where, 999_999_999, 1)


def test_a_process_of_which_too_little_is_known_is_not_provably_dead() -> None:
    assert not identity.is_provably_dead(identity.machine(), None, 1)
    assert not identity.is_provably_dead(identity.machine(), os.getpid(), None)


def test_where_the_system_does_not_tell_there_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_BOOT", identity._BOOT / "nowhere")

    assert identity.machine() is None
    assert not identity.is_provably_dead(None, os.getpid(), 1)


def test_a_process_has_a_name_for_people() -> None:
    assert identity.name().endswith(f":{os.getpid()}")
