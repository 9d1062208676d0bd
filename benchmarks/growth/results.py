"""Writes what was measured on one database as a table, and lists what missed its target."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

__all__ = ["Measured", "Results", "missed", "table"]

# A read may take so many times its time at the smallest size, and inserts must reach this share of
# the rate of an empty log. The page around a read takes milliseconds, so a difference below this
# many does not count.
_SLOWEST_READ, _SLOWEST_INSERT, _NOTHING_MS = 2.0, 0.9, 3.0


@dataclass(slots=True)
class Measured:
    """One read at one size: milliseconds of each round, in all and in the database.

    `slowest` includes the first time, on a fresh connection and with empty caches.
    """

    total: list[float] = field(default_factory=list)
    database: list[float] = field(default_factory=list)
    expected_status: int = 200
    statements: int = 0
    status: int = 0
    slowest: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.total)


@dataclass(slots=True)
class Results:
    """Everything measured on one database; sizes are numbers of rows."""

    vendor: str
    sizes: list[int]
    inserts: dict[int, list[float]]
    reads: dict[str, dict[int, Measured]]
    combined: list[str]


def table(results: Results) -> str:
    """The inserts and reads as Markdown."""
    sizes = results.sizes
    empty = statistics.median(results.inserts[0])
    lines = [
        f"\n## {results.vendor}\n",
        "| inserts, rows there | events/s, median | of an empty log |",
        "|---|---|---|",
    ]
    for size, rates in results.inserts.items():
        rate = statistics.median(rates)
        lines.append(f"| {size:,} | {rate:,.0f} | {rate / empty:.2f} |")
    heads = "".join(f" {size:,}: ms (max) | database | statements |" for size in sizes)
    lines += ["", f"| read |{heads} ratio |", "|---|" + "---|" * (3 * len(sizes) + 1)]
    for name, at in results.reads.items():
        cells = "".join(
            f" {at[size].median:.1f} ({at[size].slowest:.0f}) "
            f"| {statistics.median(at[size].database):.1f} | {at[size].statements}"
            f"{'' if at[size].status == at[size].expected_status else f' → {at[size].status}'} |"
            for size in sizes
        )
        ratio = at[sizes[-1]].median / at[sizes[0]].median
        note = " (several filters)" if name in results.combined else ""
        lines.append(f"| {name}{note} |{cells} {ratio:.1f} |")
    return "\n".join(lines)


def missed(results: Results) -> list[str]:
    """What missed its target. Reads with several filters have none, and are only shown."""
    smallest, largest = results.sizes[0], results.sizes[-1]
    found = []
    rate = statistics.median(results.inserts[largest]) / statistics.median(results.inserts[0])
    if rate < _SLOWEST_INSERT:
        found.append(f"{results.vendor}: inserts at {largest:,} rows: {rate:.2f} of an empty log")
    for name, at in results.reads.items():
        few, many = at[smallest], at[largest]
        if name in results.combined:
            continue
        if any(at[size].status != at[size].expected_status for size in results.sizes):
            found.append(f"{results.vendor}: {name}: not answered with {few.expected_status}")
        if many.statements > few.statements:
            found.append(f"{results.vendor}: {name}: {few.statements} → {many.statements} queries")
        if many.median > _SLOWEST_READ * few.median + _NOTHING_MS:
            found.append(f"{results.vendor}: {name}: {few.median:.1f} → {many.median:.1f} ms")
    return found
