"""Measures how fast the site takes pushes, beside other ways to take them: `make bench`.

All contestants of one database run together; an idle one costs nothing. Each round measures all of
them one after the other, in another order each time, so a busy minute of the machine hits all. The
report has the median of the ratios within a round.

After every run of the product the benchmark compares its log with what it acknowledged. The exit
code is 1 if a push was lost or stored twice.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from benchmarks.contest.contestant import Contestant
from benchmarks.contest.databases import PostgreSQL, Server, SQLite
from benchmarks.contest.load import Pusher, RanOut, Run, find_wrk, followers
from benchmarks.contest.product import Product
from benchmarks.contest.programs import PROGRAMS
from benchmarks.contest.python_peers import peers
from benchmarks.contest.report import Entry, Load, Outcome, conditions, report
from events.wechat import SecurityMode

__all__ = ["main"]

_VAR = Path(__file__).resolve().parent.parent / "var"
# More deliveries a second than any contestant takes; used until a contestant's own rate is known.
_MORE_THAN_ANY = 12_000
# How many pushes are made for each one expected, and at least so many a second.
_HEADROOM = 1.6
_LEAST = 2000
_WARM_UP = 1  # seconds
_CONNECTIONS = {Load.SINGLE: 1, Load.FEW: 8}


def main(arguments: Sequence[str]) -> int:
    """Measures, prints Markdown, returns the exit code; progress goes to stderr."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    outcomes = []
    print(conditions(shlex.join(["python", "-m", "benchmarks.callback", *arguments])), flush=True)
    _VAR.mkdir(exist_ok=True)
    for kind in options.databases.split(","):
        # In var/, as the product's own database: /tmp may be in memory, and not durable.
        with tempfile.TemporaryDirectory(dir=_VAR, prefix="bench-") as folder:
            Path(folder, "followers").write_text("\n".join(followers()))
            try:
                outcome = _Race(_server(kind, Path(folder)), Path(folder), options).run()
            except RuntimeError as error:
                _say(str(error))
                return 1
        outcomes.append(outcome)
        print(report(outcome), flush=True)
    return int(any(outcome.faults for outcome in outcomes))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.callback", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        type=_variant,
        metavar="NAME:KEY=VALUE,…",
        help="the product once more, with these environment variables",
    )
    parser.add_argument(
        "--checkout",
        action="append",
        default=[],
        type=_checkout,
        metavar="NAME:FOLDER",
        help="the product of another checkout, with its own code, in this environment",
    )
    parser.add_argument("--peers", help="only these, by name, separated by commas; none: ''")
    options = parser.parse_args(arguments)
    try:
        find_wrk()
        programs = [program.name for program in PROGRAMS if not program.missing()]
        asked = None if options.peers is None else {*filter(None, options.peers.split(","))}
        # Only the peers in Python need their environment.
        has_python = asked is None or bool(asked - set(programs))
        names = [*programs, *([peer.name for peer in peers(Path())] if has_python else [])]
    except FileNotFoundError as error:
        parser.error(str(error))
    options.peers = names if options.peers is None else [*filter(None, options.peers.split(","))]
    if unknown := set(options.peers) - set(names):
        parser.error(f"Unknown peers: {', '.join(unknown)}. There are: {', '.join(names)}.")
    if unknown := set(options.databases.split(",")) - {"sqlite", "postgresql"}:
        parser.error(f"Unknown databases: {', '.join(unknown)}.")
    if "postgresql" in options.databases and not _postgres_url():
        parser.error("DATABASE_URL must name a PostgreSQL server: run it under .ci/with-postgres.")
    return options


def _variant(text: str) -> tuple[str, dict[str, str]]:
    name, _, settings = text.partition(":")
    pairs = [pair.partition("=") for pair in settings.split(",")]
    if not name.replace("-", "").isalnum() or not all(key and sign for key, sign, _ in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME:KEY=VALUE,…")
    return name, {key: value for key, _, value in pairs}


def _checkout(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition(":")
    if not name.replace("-", "").isalnum() or not Path(folder, "manage.py").exists():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME:FOLDER of a checkout")
    return name, Path(folder).resolve()


def _postgres_url() -> str:
    url = os.environ.get("DATABASE_URL", "")
    return url if url.startswith("postgres") else ""


def _server(kind: str, folder: Path) -> Server:
    return SQLite(folder) if kind == "sqlite" else PostgreSQL(_postgres_url())


class _Race:
    """All contestants on one kind of database."""

    def __init__(self, server: Server, folder: Path, options: argparse.Namespace) -> None:
        self._server = server
        self._options = options
        self._products = [Product("product", "this site", folder=folder, extra={})]
        for name, extra in options.variant:
            title = f"this site, {name}"
            self._products.append(
                Product(name.replace("-", "_").lower(), title, folder=folder, extra=extra)
            )
        for name, checkout in options.checkout:
            self._products.append(
                Product(
                    name.replace("-", "_").lower(),
                    f"this site, {name}",
                    folder=folder,
                    extra={},
                    checkout=checkout,
                )
            )
        self._contestants: list[Contestant] = [*self._products]
        wanted = set(options.peers)
        if server.vendor == "postgresql":
            self._contestants += [p(folder=folder) for p in PROGRAMS if p.name in wanted]
        wanted -= {program.name for program in PROGRAMS}
        if wanted:
            self._contestants += [peer for peer in peers(folder) if peer.name in wanted]
        self._highest: dict[tuple[str, SecurityMode], float] = {}
        self._pusher = Pusher()
        self._outcome = Outcome(server.title, server.version, server.file_system)

    def run(self) -> Outcome:
        """Sets up, measures, and takes everything down again."""
        with self._up():
            entries = [
                Entry(contestant, mode, Load.FULL)
                for contestant in self._contestants
                for mode in contestant.modes
            ]
            for entry in entries:
                self._warm_up(entry)
            # First at full load, because the other loads need the highest rate.
            self._rounds(entries)
            self._rounds(
                [
                    Entry(contestant, SecurityMode.PLAINTEXT, load)
                    for contestant in self._contestants
                    for load in (Load.FEW, Load.SINGLE, Load.HALF)
                    if isinstance(contestant, Product)
                    or (contestant.is_light and load is not Load.HALF)
                ]
            )
            for contestant in self._contestants:
                stored = contestant.stored()
                if stored is not None:
                    self._outcome.stored[contestant.title] = stored
        return self._outcome

    @contextlib.contextmanager
    def _up(self) -> Iterator[None]:
        try:
            for contestant in self._contestants:
                _say(f"{self._server.title}: {contestant.title} is being started")
                contestant.prepare(self._server)
                contestant.start()
            yield
        finally:
            for contestant in self._contestants:
                contestant.stop()
            self._server.close()

    def _rounds(self, entries: list[Entry]) -> None:
        self._outcome.runs |= {entry: [] for entry in entries}
        for number in range(self._options.rounds):
            for entry in Random(number).sample(entries, len(entries)):
                run = self._measure(entry, f"{entry.load} round {number}", self._options.seconds)
                self._outcome.runs[entry].append((number, run))

    def _warm_up(self, entry: Entry) -> None:
        run = self._measure(entry, "warm-up", _WARM_UP)
        if not run.count:
            raise RuntimeError(
                f"{entry.contestant.title} acknowledges nothing: {dict(run.answers)}\n"
                f"{entry.contestant.log.read_text()[-3000:]}"
            )

    def _measure(self, entry: Entry, what: str, seconds: int) -> Run:
        contestant = entry.contestant
        key = contestant.name, entry.mode
        highest = self._highest.get(key)
        connections = _CONNECTIONS.get(entry.load, self._options.connections)
        rate = (highest or 0) / 2 if entry.load is Load.HALF else None
        most = _MORE_THAN_ANY if highest is None else max(_HEADROOM * highest, _LEAST)
        while True:
            self._settle(contestant)
            if isinstance(contestant, Product):
                contestant.mark()
            web, database = contestant.seconds(), self._server.seconds()
            try:
                run = self._pusher.run(
                    port=contestant.port,
                    path=contestant.path(entry.mode),
                    mode=entry.mode,
                    seconds=seconds,
                    connections=connections,
                    most=most,
                    rate=rate,
                    seed=f"{what} {entry.mode}",
                )
                break
            except RanOut:
                most *= 2
        self._settle(contestant)
        run.web_cpu = contestant.seconds() - web
        run.database_cpu = self._server.seconds() - database
        if entry.load is Load.FULL:
            self._highest[key] = max(run.rate, highest or 0)
        if isinstance(contestant, Product):
            faults = contestant.faults(run)
            self._outcome.faults += [f"{contestant.title}, {what}: {fault}" for fault in faults]
        _say(
            f"{self._server.title}, {what}: {contestant.title}, {entry.mode}: {run.rate:.0f}/s, "
            f"p99 {run.latency(0.99):.1f} ms, {run.unreplied} unreplied {dict(run.answers) or ''}"
        )
        return run

    def _settle(self, contestant: Contestant) -> None:
        """Waits until the requests that ran when wrk ended are done, and the processors idle."""
        deadline = time.monotonic() + 5
        before = -1.0
        while time.monotonic() < deadline:
            now = contestant.seconds() + self._server.seconds()
            if now - before < 0.015:
                return
            before = now
            time.sleep(0.3)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
