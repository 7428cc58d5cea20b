"""
The fault suite: `python -m tests.faults`, or `nox -s faults`.

Runs every scenario in its full form, prints a line of figures for each and the table of all, and writes the table
into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import secrets
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.figures import read, remarks, rescues, table
from tests.faults.process import CHECKOUT, python

PAGE = CHECKOUT / "docs" / "reliability.md"
BEGINS, ENDS = "<!-- the table: nox -s faults writes it -->", "<!-- the end of the table -->"


def main() -> int:
    """Run, and tell; gives pytest's exit code."""
    options = _options()
    seed = options.seed or secrets.token_hex(3)
    with tempfile.TemporaryDirectory() as directory:
        command = python(
            "-m", "pytest", *options.scenarios,
            f"--faults-seed={seed}", f"--faults-times={options.n}", f"--faults-figures={directory}",
            *(() if options.short else ("--faults-full",)),
            *(("-k", options.k) if options.k else ()),
            f"--numprocesses={options.jobs}", "--dist=worksteal", "-rP",
        )  # fmt: skip
        code = subprocess.run(
            command, cwd=CHECKOUT, check=False, env=_environment(options)
        ).returncode
        measured = read(Path(directory))
    if not measured:
        return code
    drawn = f"{table(measured)}\n\n{rescues(measured)}\n{remarks(measured)}".rstrip()
    took = f"{'Short' if options.short else 'Full'} form, {options.n} times, --seed {seed}"
    print(f"\n{took}\n\n{drawn}")  # noqa: T201
    if code == 0 and options.write:
        _write(f"{took}. {_machine()}\n\n{drawn}")
    return code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s faults --", description=__doc__)
    parser.add_argument(
        "scenarios",
        nargs="*",
        default=["tests/faults", "tests/dashboard/test_fuzz.py"],
        help="files or tests of pytest",
    )
    parser.add_argument("--seed", help="repeat the random choices of a run")
    parser.add_argument("-n", type=int, default=1, help="repeat each scenario so often")
    parser.add_argument("-k", help="only scenarios whose names match, as pytest's -k")
    parser.add_argument(
        "-j", "--jobs", type=int, default=min(4, os.cpu_count() or 1), help="so many at a time"
    )
    parser.add_argument(
        "--short", action="store_true", help="the form that is part of nox -s tests"
    )
    parser.add_argument(
        "--no-write", dest="write", action="store_false", help="leave docs/reliability.md alone"
    )
    return parser.parse_args()


def _environment(options: argparse.Namespace) -> dict[str, str]:
    if options.short:
        return dict(os.environ)
    return {"ASYNCJOBS_HISTORIES": "300", "ASYNCJOBS_FUZZ": "10000", **os.environ}


def _machine() -> str:
    day = datetime.now(UTC).date().isoformat()
    return f"{day}, {os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}."


def _write(words: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    between = re.compile(f"{re.escape(BEGINS)}.*{re.escape(ENDS)}", re.DOTALL)
    PAGE.write_text(between.sub(lambda _: f"{BEGINS}\n\n{words}\n\n{ENDS}", page), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
