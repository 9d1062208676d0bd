"""Measures how quickly a running site exports events and followers, and in how much memory.

    python -m benchmarks.exports [--rows 200000] [--events-a-follower 1]

A reader that keeps nothing reads each export over HTTP. The processor time is that of the site and,
on PostgreSQL, of its server; the memory is the most that the answering process ever held. The
database is on DATABASE_URL's server, which must run on this machine, or SQLite. Prints Markdown.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import os
import re
import secrets
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import psycopg

from benchmarks.processor_time import parent_of, tree_seconds
from wechat_site.tests.site import Site, site_of_its_own

__all__ = ["main"]

_PIECE = 1 << 16
_LISTS = ("events", "subscribers")
_FORMATS = ("ndjson", "csv")
_FILL = """
from django.contrib.auth.models import User
import benchmarks.filling as filling
from events.models import ApiKey, OfficialAccount
OfficialAccount.objects.all().delete()
filling._FOLLOWERS_TO_EVENTS = {events_a_follower}
filling.fill({rows})
user = User.objects.create_superuser("analyst")
print(ApiKey.issue(user=user, scopes=["events:read", "subscribers:read"])[1])
"""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exports")
    parser.add_argument("--rows", type=int, default=200_000, help="of the log")
    parser.add_argument("--events-a-follower", type=int, default=1)
    options = parser.parse_args(arguments)
    public = {
        "DEBUG": "false",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "FIELD_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "ALLOWED_HOSTS": "127.0.0.1",
        "SECURE_SSL_REDIRECT": "false",
        "API_REQUESTS_PER_MINUTE": "1000000",
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        site_of_its_own(Path(folder), **public) as site,
    ):
        key = site.manage("shell", "-v0", "-c", _FILL.format_map(vars(options))).split()[-1]
        server = _server()
        print("| export | rows | rows/s | processor µs a row | MB | most memory, MB |")
        print("|---|---|---|---|---|---|")
        for name in _LISTS:
            for how in _FORMATS:
                for packed in (False, True):
                    _measure(site, server, key, name, how, packed=packed)
    print(f"\nLoad average at the end: {os.getloadavg()[0]:.1f}")
    return 0


def _server() -> int | None:
    """The id of PostgreSQL's main process, which started all others; None on SQLite."""
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        return None
    with psycopg.connect(url) as connection:
        return parent_of(connection.info.backend_pid)


def _measure(
    site: Site, server: int | None, key: str, name: str, how: str, *, packed: bool
) -> None:
    # A fresh web server, so that its memory is due to this export alone.
    web = site.start_web()
    roots = [web.pid] if server is None else [web.pid, server]
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=600)
    headers = {"Authorization": f"Token {key}"} | ({"Accept-Encoding": "gzip"} if packed else {})
    used, began = sum(map(tree_seconds, roots)), time.monotonic()
    connection.request("GET", f"/api/v1/{name}/export/?format={how}", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    lines, size = 0, 0
    unpacker = zlib.decompressobj(wbits=31)
    while piece := answer.read(_PIECE):
        size += len(piece)
        lines += (unpacker.decompress(piece) if packed else piece).count(b"\n")
    seconds, used = time.monotonic() - began, sum(map(tree_seconds, roots)) - used
    rows = lines - (how == "csv")
    print(
        f"| {name}, {how}{', gzip' if packed else ''} | {rows:,} | {rows / seconds:,.0f} "
        f"| {1e6 * used / rows:.0f} | {size / 1e6:.0f} | {_most_memory(web.pid)} |",
        flush=True,
    )
    connection.close()
    site.stop()
    site.processes.clear()


def _most_memory(root: int) -> int:
    """The most memory that a process below this one held, in MB."""
    most = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _is_below(int(entry.name), root):
            status = (entry / "status").read_text()
            kibibytes = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
            most = max(most, int(kibibytes[1]) * 1024 // 1_000_000 if kibibytes else 0)
    return most


def _is_below(pid: int, root: int) -> bool:
    try:
        while pid > 1:
            if pid == root:
                return True
            pid = parent_of(pid)
    except (FileNotFoundError, ProcessLookupError):
        pass  # the process has just ended
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
