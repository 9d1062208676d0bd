"""Measures how the site slows down as its log grows: inserts and every read, at several sizes.

    python -m benchmarks.growth --rows 10000,1000000,10000000 --databases sqlite,postgresql

For PostgreSQL, DATABASE_URL must name a server (``.ci/with-postgres`` starts one); the benchmark
makes databases of its own there. The sizes take turns, so a busy minute of the machine hits all.
Reads go through the real pages and API, signed in, in this process; "database" is the time spent in
statements. Inserts go through the receiving path, from the signed and encrypted body to the answer.
If anything missed its target, it says so and exits with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.growth.measure import measure
from benchmarks.growth.results import Measured, Results, missed, table

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parents[2]
_VENDORS = ("sqlite", "postgresql")


def main() -> int:
    parser = argparse.ArgumentParser(description="How much slower the site gets as its log grows.")
    parser.add_argument("--rows", default="10000,1000000,10000000", help="sizes of the log")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--folder", help="where SQLite's files are made; default: the system's")
    parser.add_argument("--measure", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = sorted({int(size) for size in options.rows.split(",")})
    vendors = options.databases.split(",")
    if unknown := set(vendors) - set(_VENDORS):
        parser.error(f"no such database: {', '.join(sorted(unknown))}")
    if options.measure:
        Path(options.measure).write_text(json.dumps(asdict(measure(sizes))))
        return 0
    misses = []
    for vendor in vendors:
        results = _in_a_process_of_its_own(vendor, sizes, options.folder)
        print(table(results), flush=True)
        misses += missed(results)
    print("\n".join(["", "Missed:", *misses] if misses else ["", "All targets met."]))
    return 1 if misses else 0


def _in_a_process_of_its_own(vendor: str, sizes: list[int], folder: str | None) -> Results:
    """Measures one database in a process of its own, because a process reads settings once."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "wechat_site.settings"}
        if vendor == "sqlite":
            environment["DATABASE_URL"] = f"sqlite:///{place}/empty.sqlite3"
        elif not environment.get("DATABASE_URL", "").startswith("postgres"):
            raise SystemExit("PostgreSQL is measured under .ci/with-postgres, or a DATABASE_URL.")
        file = Path(place) / "results.json"
        subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.growth", "--measure", str(file)),
                *("--rows", ",".join(map(str, sizes))),
            ],
            cwd=_ROOT,
            env={**environment, "LOG_LEVEL": "ERROR"},
            check=True,
        )
        found = json.loads(file.read_text())
    return Results(
        vendor=vendor,
        sizes=sizes,
        inserts={int(size): rates for size, rates in found["inserts"].items()},
        reads={
            name: {int(size): Measured(**measured) for size, measured in at.items()}
            for name, at in found["reads"].items()
        },
        combined=found["combined"],
    )


if __name__ == "__main__":
    sys.exit(main())
