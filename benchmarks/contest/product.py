"""The product as a contestant, in its variants."""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contest.contestant import Contestant
from benchmarks.contest.databases import Server
from benchmarks.contest.load import APP_ID, HOST, ORIGINAL_ID, Identity, Run
from events.wechat import SecurityMode
from wechat_site.serving.supervisor import web_server

__all__ = ["Product"]

_ROOT = Path(__file__).resolve().parents[2]


class Product(Contestant):
    """This site, as a production environment starts it, without its worker.

    `extra` has the environment variables of this variant, `checkout` is the folder of its code. It
    has an account in plaintext and one in safe mode, two reply rules for each, and knows all
    followers.
    """

    modes = (SecurityMode.PLAINTEXT, SecurityMode.SAFE)
    is_light = True

    def __init__(
        self,
        name: str,
        title: str,
        *,
        folder: Path,
        extra: Mapping[str, str],
        checkout: Path = _ROOT,
    ) -> None:
        super().__init__(name, title, folder=folder)
        self._extra = extra
        self._checkout = checkout
        self._paths: dict[SecurityMode, str] = {}
        self._server: Server | None = None
        self._url = ""
        self._last_id = 0
        self._issued_before: set[Identity] = set()
        self._keys = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "FIELD_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        }

    def prepare(self, server: Server) -> None:
        self._server = server
        self._url = server.create(self.name)
        self._counters.mkdir()
        manage = (sys.executable, "manage.py")
        self._run(*manage, "migrate", "--verbosity", "0")
        for mode in self.modes:
            output = self._run(
                *(*manage, "add_account", f"bench-{mode}", "--mode", mode, "--app-id", APP_ID),
                *("--original-id", ORIGINAL_ID, "--site-url", "http://site"),
            )
            self._paths[mode] = output.splitlines()[-1].removeprefix("http://site")
        self._run(sys.executable, "-m", "benchmarks.prepare_product")

    @property
    def _counters(self) -> Path:
        return self._folder / f"{self.name}-counters"

    def path(self, mode: SecurityMode) -> str:
        return self._paths[mode]

    def stored(self) -> int:
        [[count]] = self._query("SELECT count(*) FROM events_eventlog")
        return int(count)

    def mark(self) -> None:
        """Remembers where the log ends, for `faults`."""
        [[last]] = self._query("SELECT coalesce(max(id), 0) FROM events_eventlog")
        self._last_id = last

    def faults(self, run: Run) -> list[str]:
        """Compares the log with this run, the first since `mark`; returns the differences.

        The log must have every acknowledged push once, with all its acknowledged deliveries, and
        nothing else; only pushes of earlier runs may come late.
        """
        assert self._server is not None
        rows = self._query(
            f"SELECT openid, {self._server.unix_time('event_time')}, delivery_count"
            f" FROM events_eventlog WHERE id > {self._last_id}"
        )
        stored: Counter[Identity] = Counter((openid, at) for openid, at, _ in rows)
        deliveries: dict[Identity, int] = {(openid, at): count for openid, at, count in rows}
        found = {
            "acknowledged pushes are not in the log": run.acknowledged.keys() - stored.keys(),
            "pushes are in the log twice": {push for push, count in stored.items() if count > 1},
            "rows belong to no push": stored.keys() - run.issued.keys() - self._issued_before,
            "pushes have a wrong number of deliveries": {
                push
                for push in stored.keys() & run.issued.keys()
                if not run.acknowledged[push] <= deliveries[push] <= run.issued[push]
            },
        }
        self._issued_before |= run.issued.keys()
        return [f"{len(pushes)} {fault}" for fault, pushes in found.items() if pushes]

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        assert self._server is not None
        return self._server.query(self.name, sql)

    def _command(self) -> list[str]:
        assert self._server is not None
        return web_server("127.0.0.1", self.port)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self._url,
            "DEBUG": "False",
            "ALLOWED_HOSTS": HOST,
            # As `manage.py serve` sets it.
            "PROMETHEUS_MULTIPROC_DIR": str(self._counters),
            **self._keys,
            **self._shared,
            **self._extra,
        }

    @property
    def _directory(self) -> Path:
        return self._checkout
