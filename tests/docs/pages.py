"""
The pages of the documentation, as the tests read them: fenced blocks, links, headings.

How an example is meant is written in the page where it matters to the reader, and in HTML comments where it
does not:

- A python block that makes a `Jobs` begins a program; the python blocks after it, to the next that begins
  one, continue it. One that says `<!-- begins -->` begins a program without making a `Jobs`.
- A python block whose first line is a comment with a file's name is that file. Files that follow each other
  are one program.
- A text block directly after a python block is what it prints.
- `<!-- visit: POST /signup?name=Ada 200 -->` after a block: what a browser does with its `app`.
- `<!-- some fail -->` in a program: its jobs may fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent
PAGES = [
    CHECKOUT / "README.md",
    CHECKOUT / "CHANGELOG.md",
    CHECKOUT / "example_app" / "README.md",
    *sorted((CHECKOUT / "docs").glob("*.md")),
]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- (.*?) -->")
_BEGINS = re.compile(r"^jobs = Jobs\(", re.MULTILINE)
_FILE = re.compile(r"\A# ([\w/]+\.py)\n")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass
class Block:
    """One fenced block."""

    language: str
    text: str
    line: int
    before: list[str]  # comments between the block before it and this one
    visits: list[str] = field(default_factory=list)
    prints: str | None = None

    @property
    def file(self) -> str | None:
        named = _FILE.match(self.text)
        return named[1] if named else None


@dataclass
class Program:
    """Python blocks that belong together, and what is done with them."""

    page: Path
    blocks: list[Block] = field(default_factory=list)
    some_fail: bool = False

    @property
    def name(self) -> str:
        return f"{name_of(self.page)}:{self.blocks[0].line}"


def name_of(page: Path) -> str:
    return page.relative_to(CHECKOUT).as_posix()


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(text):
        between = text[end : fence.start()]
        language, content = fence[1], fence[2]
        if language == "text" and found and found[-1].language == "python" and not between.strip():
            found[-1].prints = content
        else:
            line = text.count("\n", 0, fence.start()) + 2
            found.append(Block(language, content, line, _COMMENT.findall(between)))
        end = fence.end()
    found.append(Block("", "", 0, _COMMENT.findall(text[end:])))
    return found


def programs_of(page: Path) -> Iterator[Program]:
    program: Program | None = None
    for block in blocks_of(page):
        for comment in block.before:
            if program is not None and comment.startswith("visit: "):
                program.blocks[-1].visits.append(comment.removeprefix("visit: "))
            if program is not None and comment == "some fail":
                program.some_fail = True
        if block.language != "python":
            continue
        if program is None or _begins(block, program):
            if program is not None:
                yield program
            program = Program(page)
        program.blocks.append(block)
    if program is not None:
        yield program


def _begins(block: Block, program: Program) -> bool:
    """An application of several files is one program, wherever in it the `Jobs` is made."""
    if block.file:
        return not all(other.file for other in program.blocks)
    return bool(_BEGINS.search(block.text)) or "begins" in block.before


def prose_of(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links_of(page: Path) -> list[str]:
    return _LINK.findall(prose_of(page))


def words_in_code(page: Path) -> list[str]:
    return _CODE.findall(prose_of(page))


def anchors_of(page: Path) -> set[str]:
    """The names that GitHub and our own site give to headings."""
    found = set()
    for heading in _HEADING.findall(prose_of(page)):
        plain = re.sub(r"[^\w\- ]", "", heading.lower().replace("`", ""))
        found.add(plain.strip().replace(" ", "-"))
    return found
