"""mypy and pyright see what is right and what is wrong: each on its own, both the same lines."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHECKOUT = HERE.parent.parent
PYRIGHT = HERE / "pyright.json"


def mypy(file: Path) -> dict[int, str]:
    options = ["--strict", "--config-file=", "--python-version=3.11", "--no-error-summary"]
    said = run("mypy", *options, "--no-pretty", "--hide-error-context", str(file))
    return errors(said, file, r"{file}:(\d+)(?::\d+)?: error: (.*)")


def pyright(file: Path) -> dict[int, str]:
    said = run("pyright", "--project", str(PYRIGHT), "--pythonpath", sys.executable, str(file))
    return errors(said, file, r"{file}:(\d+):\d+ - error: (.*)")


CHECKERS = {"mypy": mypy, "pyright": pyright}


@pytest.fixture(params=["mypy", "pyright"])
def checker(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed: the session `types` runs this")
    return name


def run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", program, *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def errors(said: str, file: Path, line: str) -> dict[int, str]:
    """Read the first complaint about each line; complaints about other files are not for us."""
    name = rf"(?:{re.escape(str(file))}|{re.escape(str(file.relative_to(CHECKOUT)))})"
    found: dict[int, str] = {}
    for number, complaint in re.findall(line.replace("{file}", name), said):
        found.setdefault(int(number), complaint)
    return found


def marked(file: Path) -> dict[int, str]:
    """Read the marks, each with what is wrong in that line."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return {
        number: line.partition("# error: ")[2]
        for number, line in enumerate(lines, start=1)
        if "# error: " in line
    }


def test_what_is_right_is_accepted(checker: str) -> None:
    assert CHECKERS[checker](HERE / "right.py") == {}


def test_what_is_wrong_is_refused(checker: str) -> None:
    refused = CHECKERS[checker](HERE / "wrong.py")
    wrong = marked(HERE / "wrong.py")

    assert {line: wrong[line] for line in wrong if line not in refused} == {}, "not refused"
    assert {line: refused[line] for line in refused if line not in wrong} == {}, "not wrong"
