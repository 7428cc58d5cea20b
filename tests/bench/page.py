"""The page in the documentation, and what a run prints: all from the JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench.course import Samples
from tests.bench.environments import peers
from tests.bench.guest import report as of_guests
from tests.bench.lines import results
from tests.bench.plot import plot
from tests.bench.remote import ROOT
from tests.bench.report import SHEETS, ahead, markdown, missed, sheet, targets
from tests.bench.tables import series
from tests.bench.targets import LINES

PAGE = ROOT / "docs" / "benchmarks.md"
PLOT = ROOT / "docs" / "images" / "benchmarks.svg"
BEGINS, ENDS = (
    "<!-- the figures: nox -s bench -- --page writes them -->",
    "<!-- the end of the figures -->",
)

OVER_TIME = {
    "pinned": "800 jobs a second, while a transaction stays open all the time",
    "steady": "800 jobs a second for an hour",
}
MOMENT = (
    "after", "jobs/s", "backlog", "a claim, p50", "p99", "dead rows", "hot table", "its indexes", "archive",
)  # fmt: skip


def joined(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Add a run to an earlier one: what both measured is the later's."""
    found: dict[str, Any] = {**before, **now}
    found["samples"] = _each(before["samples"], now["samples"])
    earlier = {
        name: {what: words for what, words in why.items() if not _is_anew(what, name, now)}
        for name, why in before["remarks"].items()
    }
    found["remarks"] = _each(earlier, now["remarks"])
    for what in ("contestants", "skipped", "versions", "details"):
        found[what] = before.get(what, {}) | now.get(what, {})
    if "guest" in found["details"]:
        found["details"]["guest"] = _guests_joined(
            _details(before, "guest"), _details(now, "guest")
        )
    found["skipped"] = {
        name: why
        for name, why in found["skipped"].items()
        if name in now["skipped"] or not (name in found["contestants"] or _has_now(name, now))
    }
    commands = dict.fromkeys((*before["command"].split("; "), now["command"]))
    found["command"] = "; ".join(commands)
    return found


def _has_now(skipped: str, now: dict[str, Any]) -> bool:
    """Tell whether a part that an earlier run skipped, for all or for a guest, is there now."""
    details = now.get("details", {})
    return skipped in details or (skipped.endswith(" as a guest") and "guest" in details)


def _is_anew(what: str, who: str, now: dict[str, Any]) -> bool:
    """Tell whether a remark of an earlier run is about what the later one has measured."""
    part, _, _ = what.partition(", ")
    return who in now["contestants"] and (what == "everything" or part in now.get("details", {}))


def _guests_joined(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    lines = {
        (line["guest"], line["load"]): line
        for each in (before, now)
        for line in each.get("lines", ())
    }
    return {**before, **now, "lines": list(lines.values())}


def _each(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    return {key: before.get(key, {}) | now.get(key, {}) for key in before | now}


def tables(found: dict[str, Any]) -> str:
    """Set out all: what should be reached, and everybody's figures."""
    on_postgres = [name for name, kind in found["contestants"].items() if kind == "peer"]
    samples = _completed(found)
    lines = results(samples, on_postgres, LINES)
    parts = [targets(lines), missed(lines, LINES)]
    order = list(found["contestants"])
    parts += [
        f"### {one.title}\n\n{drawn}" for one in SHEETS if (drawn := sheet(one, samples, order))
    ]
    parts += [_guests(found), *(_over_time(found, part) for part in OVER_TIME)]
    parts += (_ahead(found), _missing(found))
    return "\n\n".join(filter(None, parts))


def _completed(found: dict[str, Any]) -> Samples:
    """Give the samples, with the series that an older document has among its details only."""
    samples: Samples = {}
    for part in found.get("details", {}):
        samples |= series.of(_details(found, part))
    samples |= found["samples"]
    return samples


def _guests(found: dict[str, Any]) -> str:
    lines = _details(found, "guest").get("lines")
    if not lines:
        return ""
    return f"### Guest: requests alone and beside jobs\n\n{markdown(of_guests.rows(lines))}"


def _over_time(found: dict[str, Any], part: str) -> str:
    moments = _details(found, part).get(part)
    if not moments:
        return ""
    rows = [
        (
            f"{each['at'] / 60:.1f} min",
            f"{each['rate']:.0f}",
            f"{each['backlog']}",
            f"{each['claim_p50'] * 1000:.1f} ms",
            f"{each['claim_p99'] * 1000:.1f} ms",
            f"{each['dead']:,}",
            *(f"{each[what] / 1e6:.1f} MB" for what in ("table", "indexes", "archive")),
        )
        for each in moments
    ]
    return f"### {OVER_TIME[part]}\n\n{markdown([MOMENT, *rows])}"


def _details(found: dict[str, Any], part: str) -> dict[str, Any]:
    details: dict[str, Any] = found.get("details", {}).get(part, {})
    return details


def _ahead(found: dict[str, Any]) -> str:
    lines = [f"- {words}" for words in ahead(found["samples"], found["contestants"])]
    return "### Where others are ahead\n\n" + "\n".join(lines) if lines else ""


def _missing(found: dict[str, Any]) -> str:
    lines = [f"- {name}: skipped, {why}" for name, why in found["skipped"].items()]
    lines += [
        f"- {name}: {measure}: {why}"
        for name, by_measure in found["remarks"].items()
        for measure, why in by_measure.items()
    ]
    return "### What is not there\n\n" + "\n".join(lines) if lines else ""


def head(found: dict[str, Any]) -> str:
    """Tell where, when, and by what command."""
    machine, settings = found["machine"], found["settings"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    postgres = ", ".join(f"{name} = {value}" for name, value in settings["postgres"].items())
    return "\n".join(
        (
            f"{found['date'][:10]}, {machine['processor']}, {machine['cores']} processors, {machine['system']}.",
            f"Each figure is the median of {_repeats(found)} repeats: of one where least and most are alike, as in long runs (log, pinned, steady, idle). Postgres: {postgres}.",
            f"{versions}.",
            *_runs(found["command"].count("; ") + 1),
            *([f"It did not come to its end: {found['fell']}."] if found.get("fell") else []),
            "",
            "```sh",
            found["command"].replace("; ", "\n"),
            "```",
        )
    )


def _repeats(found: dict[str, Any]) -> str:
    """Tell how many there were; runs that were added may have had other numbers of them, and long runs have one."""
    numbers = {len(by_name["ours"]) for by_name in found["samples"].values() if "ours" in by_name}
    return " or ".join(str(number) for number in sorted(numbers))


def _runs(count: int) -> list[str]:
    if count == 1:
        return []
    return [f"{count} runs are joined here: a ratio between two of them is not one of neighbours."]


def setups(found: dict[str, Any]) -> str:
    """Show how each peer was set up."""
    return "\n".join(
        f"- {peer.name} {peer.version}: {peer.setup} ([its documentation]({peer.reads}))."
        for peer in peers().values()
        if peer.name in found["contestants"]
    )


def write(found: dict[str, Any], page: Path = PAGE, drawing: Path = PLOT) -> None:
    """Write the page's figures, and its plot."""
    drawing.parent.mkdir(parents=True, exist_ok=True)
    drawing.write_text(plot(found), encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGINS)
    _, _, after = rest.partition(ENDS)
    inside = "\n\n".join(
        (
            head(found),
            "![Jobs a second and milliseconds, ours beside others](images/benchmarks.svg)",
            tables(found),
            f"### How the others are set up\n\n{setups(found)}",
        )
    )
    page.write_text(f"{before}{BEGINS}\n\n{inside}\n\n{ENDS}{after}", encoding="utf-8")
