"""Reads pages as a visitor does: texts, rows, links, and what could run."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

QUIET = ("script", "style")
VOID = ("meta", "link", "input", "br", "img", "rect", "use", "path", "circle", "hr")


@dataclass
class Element:
    name: str
    attributes: dict[str, str]
    parts: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All the text in it, spaces as one."""
        words = "".join(part if isinstance(part, str) else f" {part.text} " for part in self.parts)
        return " ".join(words.split())

    def all(self, name: str, /, **attributes: str) -> list[Element]:
        """Find elements below, by name and attributes (class_ for class)."""
        wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        found: list[Element] = []
        for part in self.parts:
            if isinstance(part, Element):
                if name in ("*", part.name) and wanted.items() <= part.attributes.items():
                    found.append(part)
                found += part.all(name, **attributes)
        return found

    def one(self, name: str, /, **attributes: str) -> Element:
        (found,) = self.all(name, **attributes)
        return found


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].parts.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def read(answer: httpx2.Response) -> Element:
    """Parse a page; its elements must be closed in order."""
    reader = Reader()
    reader.feed(answer.text)
    reader.close()
    assert reader.open == [reader.root]
    return reader.root


def rows(page: Element) -> list[str]:
    """The lines of the list of jobs."""
    return [row.text for row in page.all("tr") if row.attributes.get("id", "").startswith("job-")]


def ids(page: Element) -> list[str]:
    """The ids of the jobs in the list, in order."""
    found = [row.attributes.get("id", "") for row in page.all("tr")]
    return [id.removeprefix("job-") for id in found if id.startswith("job-")]


def counts(page: Element) -> dict[str, str]:
    """The number on each state's tab."""
    tabs = page.one("nav", class_="tabs").all("a")
    return {tab.one("span").text: tab.one("b").text for tab in tabs}


def link(page: Element, text: str) -> str:
    """Where the link of this text leads."""
    (found,) = {each.attributes["href"] for each in page.all("a") if each.text == text}
    return found
