"""Measures what webhooks cost the callback: ten endpoints for everything, beside none.

    .venv/bin/python -m benchmarks.webhooks [--rounds 5] [--seconds 4]

Two sites on SQLite, each with its worker, which runs only while its site is measured. The endpoints
lead to one process of this machine that answers 204 at the lowest priority; elsewhere it would be
another machine's work. In a round each site is measured twice, the one with endpoints between:
what a worker left of one measurement slows the next of the same site. The report has the rates of
each round and the median of their ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.contest.databases import Server, SQLite
from benchmarks.contest.load import Pusher, followers
from benchmarks.contest.product import Product
from events.wechat import SecurityMode

__all__ = ["main"]

_VAR = Path(__file__).resolve().parent.parent / "var"
_MODE = SecurityMode.PLAINTEXT
_ENDPOINTS = 10
# So many deliveries a second are prepared.
_MOST = 8000
# Seconds within which a worker has started.
_BEGINNING = 6


class _Site(Product):
    """The product with its worker, and with endpoints if there is an address for them."""

    def __init__(self, name: str, *, folder: Path, url: str = "") -> None:
        extra = {"WEBHOOK_PRIVATE_ADDRESSES": "True", "WEBHOOKS_TO": url}
        super().__init__(name, name, folder=folder, extra=extra)
        self._has_endpoints = bool(url)

    def prepare(self, server: Server) -> None:
        super().prepare(server)
        if self._has_endpoints:
            self._run(sys.executable, "-c", _MAKE_ENDPOINTS)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Runs the site's worker until the end of the block."""
        with self.log.open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "manage.py", "worker"],
                cwd=self._directory,
                env=self._environment(),
                stdout=log,
                stderr=log,
            )
        try:
            time.sleep(_BEGINNING)
            yield
        finally:
            worker.kill()
            worker.wait()

    def told(self, server: Server) -> int:
        return int(server.query(self.name, "SELECT count(*) FROM subscribers_webhookattempt")[0][0])


_MAKE_ENDPOINTS = f"""
import os, django
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
django.setup()
from events.models import OfficialAccount
from subscribers.webhooks.endpoints import make_endpoint
from subscribers.webhooks.event_types import TYPES
account = OfficialAccount.objects.get(slug="bench-{_MODE}")
for _ in range({_ENDPOINTS}):
    make_endpoint(account, os.environ["WEBHOOKS_TO"], list(TYPES))
"""


def _receive(ports: Connection) -> None:
    """Answers every POST with 204, at the lowest priority."""
    os.nice(19)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        ports.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhooks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    _VAR.mkdir(exist_ok=True)
    ours, theirs = multiprocessing.Pipe()
    receiver = multiprocessing.get_context("spawn").Process(target=_receive, args=(theirs,))
    receiver.start()
    url = f"http://127.0.0.1:{ours.recv()}/"
    with tempfile.TemporaryDirectory(dir=_VAR, prefix="bench-") as name:
        folder = Path(name)
        (folder / "followers").write_text("\n".join(followers()))
        server = SQLite(folder)
        sites = [_Site("none", folder=folder), _Site("ten", folder=folder, url=url)]
        pusher, ratios = Pusher(), []
        try:
            for site in sites:
                site.prepare(server)
                site.start()
            for number in range(options.rounds):
                rates = {site.name: 0.0 for site in sites}
                for turn, site in enumerate([*sites, *reversed(sites)]):
                    with site.working():
                        run = pusher.run(
                            port=site.port,
                            path=site.path(_MODE),
                            mode=_MODE,
                            seconds=options.seconds,
                            connections=32,
                            most=_MOST,
                            seed=f"{number}-{turn // 2}",
                        )
                    rates[site.name] += run.rate / 2
                ratios.append(rates["ten"] / rates["none"])
                print(
                    f"round {number}: none {rates['none']:.0f}/s, ten {rates['ten']:.0f}/s, "
                    f"ratio {ratios[-1]:.3f}, {sites[1].told(server)} attempts so far",
                    flush=True,
                )
        finally:
            for site in sites:
                site.stop()
            receiver.kill()
            server.close()
    print(f"median ratio {statistics.median(ratios):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
