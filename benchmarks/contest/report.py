"""Writes the measurements as Markdown."""

from __future__ import annotations

import datetime
import enum
import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.contest.contestant import Contestant
from benchmarks.contest.load import Run
from benchmarks.contest.product import Product
from benchmarks.contest.programs import PROGRAMS, Program
from events.wechat import SecurityMode

__all__ = ["Entry", "Load", "Outcome", "conditions", "report"]

# Even the ratio of two equal contestants, measured one after the other, can be this low.
_EQUAL = 0.95

_REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
_PEER_PACKAGES = (
    "django",
    "gunicorn",
    "granian",
    "psycopg",
    "wechatpy",
    "wechat-django",
    "werobot",
)
_PRODUCT_PACKAGES = ("django", "granian", "psycopg")


class Load(enum.StrEnum):
    """How a contestant is loaded."""

    FULL = "full load"
    FEW = "8 connections"
    SINGLE = "one at a time"
    HALF = "half the highest rate"


@dataclass(frozen=True)
class Entry:
    """One contestant under one load."""

    contestant: Contestant
    mode: SecurityMode
    load: Load


@dataclass
class Outcome:
    """The results on one database. Each of `runs` has the number of its round."""

    title: str
    version: str
    file_system: str
    runs: dict[Entry, list[tuple[int, Run]]] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def entries(self, load: Load) -> list[Entry]:
        """The entries measured under this load, in the order of the contestants."""
        names = list(dict.fromkeys(entry.contestant.name for entry in self.runs))
        found = [entry for entry in self.runs if entry.load is load]
        return sorted(found, key=lambda entry: (names.index(entry.contestant.name), entry.mode))

    def find(self, name: str, mode: SecurityMode, load: Load) -> Entry | None:
        """The entry of a contestant; None if it was not measured in this mode and load."""
        for entry in self.runs:
            if (entry.contestant.name, entry.mode, entry.load) == (name, mode, load):
                return entry
        return None

    def ratio(
        self, entry: Entry, other: Entry | None, value: Callable[[Run], float]
    ) -> float | None:
        """The median of the rounds' ratios; None if there is no other entry."""
        if other is None:
            return None
        others = dict(self.runs[other])
        return median(value(run) / (value(others[number]) or 1) for number, run in self.runs[entry])


def conditions(command: str) -> str:
    """Machine, versions, command and date."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    wrk = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False).stdout
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", _REQUIREMENTS.read_text(), re.MULTILINE))
    product = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PRODUCT_PACKAGES)
    return "\n".join(
        [
            f"- Date: {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
            f"- Command: `{command}`",
            f"- Machine: {os.cpu_count()} × {processor[1] if processor else platform.machine()}, "
            f"{memory:.0f} GiB, Linux {platform.release()}; load average at the start "
            f"{os.getloadavg()[0]:.1f}",
            f"- This site: Python {platform.python_version()}, {product}",
            f"- Peers: {', '.join(f'{name} {pinned[name]}' for name in _PEER_PACKAGES)}",
            *(f"- Not measured: {program.title}. {missing}" for program, missing in _missing()),
            f"- Load: {' '.join(wrk.split()[:2])} on the same machine",
        ]
    )


def _missing() -> list[tuple[type[Program], str]]:
    return [(program, missing) for program in PROGRAMS if (missing := program.missing())]


def report(outcome: Outcome) -> str:
    """The tables of one database."""
    return "\n".join(
        [
            f"\n## {outcome.version}, files on {outcome.file_system}\n",
            *_full_load(outcome),
            *_other_load(outcome, Load.FEW),
            *_other_load(outcome, Load.SINGLE),
            *_other_load(outcome, Load.HALF),
            *_wanted(outcome),
            *_log(outcome),
        ]
    )


def _full_load(outcome: Outcome) -> list[str]:
    naive = outcome.find("naive", SecurityMode.PLAINTEXT, Load.FULL)
    answers = outcome.find("answers_only", SecurityMode.PLAINTEXT, Load.FULL)
    go = outcome.find("go", SecurityMode.PLAINTEXT, Load.FULL)
    lines = [
        "| full load | mode | acknowledged/s: median (least to most) | of the naive peer | "
        "of only answering | of Go | CPU µs: web + database | p50 / p99 / p99.9 ms | "
        "other answers |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in outcome.entries(Load.FULL):
        cells = [
            entry.contestant.title,
            entry.mode,
            _spread([run.rate for _, run in outcome.runs[entry]]),
            _times(outcome.ratio(entry, naive, _rate)),
            _times(outcome.ratio(entry, answers, _rate)),
            _times(outcome.ratio(entry, go, _rate)),
            _cpu(outcome, entry),
            _latencies(outcome, entry),
            _others(run for _, run in outcome.runs[entry]),
        ]
        lines.append(_row(cells))
    return lines


def _other_load(outcome: Outcome, load: Load) -> list[str]:
    entries = outcome.entries(load)
    if not entries:
        return []
    lines = [
        "",
        f"| {load} | acknowledged/s: median (least to most) | of Go | CPU µs: web + database | "
        "p50 / p99 / p99.9 ms | other answers |",
        "|---|---|---|---|---|---|",
    ]
    go = outcome.find("go", SecurityMode.PLAINTEXT, load)
    for entry in entries:
        cells = [
            entry.contestant.title,
            _spread([run.rate for _, run in outcome.runs[entry]]),
            _times(outcome.ratio(entry, go, _rate)),
            _cpu(outcome, entry),
            _latencies(outcome, entry),
            _others(run for _, run in outcome.runs[entry]),
        ]
        lines.append(_row(cells))
    return lines


def _wanted(outcome: Outcome) -> list[str]:
    """The table of the product's targets, and whether it reaches them."""
    plain, safe = SecurityMode.PLAINTEXT, SecurityMode.SAFE
    product = outcome.find("product", plain, Load.FULL)
    assert product is not None
    lines = ["", "| wanted | least or most | measured | holds |", "|---|---|---|---|"]

    def compare(what: str, limit: float, value: float | None, *, most: bool = False) -> None:
        if value is None:
            return
        holds = value <= limit if most else value >= limit
        cells = [what, f"{limit:g}", f"{value:.3g}" if value < 100 else f"{value:.0f}"]
        lines.append(_row([*cells, "yes" if holds else "**no**"]))

    def against(name: str, mode: SecurityMode = plain) -> float | None:
        return outcome.ratio(product, outcome.find(name, mode, Load.FULL), _rate)

    times = 15 if "PostgreSQL" in outcome.version else 10
    compare("rate of the naive peer, times", times, against("naive"))
    compare("rate of wechat-django, times", 40, against("wechat_django"))
    compare("rate of the view that only answers, times", 0.6, against("answers_only"))
    in_safe_mode = outcome.find("product", safe, Load.FULL)
    if in_safe_mode is not None:
        compare(
            "safe mode's rate of plain's, times", 0.75, outcome.ratio(in_safe_mode, product, _rate)
        )
    runs = [run for _, run in outcome.runs[product]]
    compare("CPU µs per event, web and database", 500, median(map(_cpu_of, runs)), most=True)
    half = outcome.find("product", plain, Load.HALF)
    if half is not None:
        p99 = median(run.latency(0.99) for _, run in outcome.runs[half])
        compare("p99 in ms at half the highest rate", 30, p99, most=True)
    single = outcome.find("product", plain, Load.SINGLE)
    for load, entry, rate, cpu in ((Load.FULL, product, 1.4, 1), (Load.SINGLE, single, 1, 1.5)):
        go = outcome.find("go", plain, load)
        if entry is not None and go is not None:
            compare(f"{load}, rate of Go's, times", rate, outcome.ratio(entry, go, _rate))
            ratio = outcome.ratio(entry, go, _cpu_of)
            compare(f"{load}, CPU of Go's, times", cpu, ratio, most=True)
    for other in outcome.entries(Load.SINGLE):
        is_ours = isinstance(other.contestant, Product)
        if single is not None and is_ours and other is not single:
            ratio = outcome.ratio(single, other, _rate)
            compare(f"one at a time, rate of “{other.contestant.title}”, times", _EQUAL, ratio)
    return lines


def _log(outcome: Outcome) -> list[str]:
    runs = [
        run
        for entry, entry_runs in outcome.runs.items()
        if isinstance(entry.contestant, Product)
        for _, run in entry_runs
    ]
    acknowledged = sum(len(run.acknowledged) for run in runs)
    lines = [
        "",
        f"Acknowledged to this site's variants in the runs above: {acknowledged} pushes in "
        f"{sum(run.count for run in runs)} deliveries; {sum(run.unreplied for run in runs)} of "
        "these asked for a reply and got a bare acknowledgement.",
        "Rows in the logs, warm-up included: "
        + "; ".join(f"{title} {count}" for title, count in outcome.stored.items())
        + ".",
    ]
    if outcome.faults:
        return [*lines, "", "**FAULTS**", "", *(f"- {fault}" for fault in outcome.faults)]
    return [*lines, "Every acknowledged push is in this site's log once."]


def _rate(run: Run) -> float:
    return run.rate


def _cpu_of(run: Run) -> float:
    return _micro(run.web_cpu, run) + _micro(run.database_cpu, run)


def _micro(seconds: float, run: Run) -> float:
    return 1_000_000 * seconds / max(run.count, 1)


def _cpu(outcome: Outcome, entry: Entry) -> str:
    runs = [run for _, run in outcome.runs[entry]]
    web = median(_micro(run.web_cpu, run) for run in runs)
    database = median(_micro(run.database_cpu, run) for run in runs)
    return f"{web:,.0f} + {database:,.0f}"


def _latencies(outcome: Outcome, entry: Entry) -> str:
    runs = [run for _, run in outcome.runs[entry]]
    return " / ".join(
        f"{median(run.latency(share) for run in runs):.1f}" for share in (0.5, 0.99, 0.999)
    )


def _others(runs: Iterable[Run]) -> str:
    counts: dict[str, int] = {}
    total = 0
    for run in runs:
        total += run.count + run.answers.total()
        for answer, count in run.answers.items():
            # The status is enough here; the whole answer went to stderr.
            kind = answer if answer.startswith(("socket", "a reply")) else answer.partition(" ")[0]
            counts[kind] = counts.get(kind, 0) + count
    return ", ".join(f"{kind}: {count / total:.1%}" for kind, count in counts.items()) or "none"


def _spread(values: list[float]) -> str:
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
