"""The peers in Python, which share an environment of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contest.contestant import Contestant
from benchmarks.contest.databases import Server
from events.wechat import SecurityMode

__all__ = ["Peer", "peers"]

_BENCHMARKS = Path(__file__).resolve().parents[1]
_PEERS = _BENCHMARKS / "peers"
_PEERS_PYTHON = _BENCHMARKS / ".venv" / "bin" / "python"


class Peer(Contestant):
    """A peer in `peers/`. `table` is its log; `setup` has arguments for Python that prepare it.

    gunicorn runs it as by default, in two synchronous processes; or granian, as for the product.
    """

    def __init__(
        self,
        name: str,
        title: str,
        application: str,
        *,
        folder: Path,
        path: str = "/wechat/",
        table: str = "",
        modes: Sequence[SecurityMode] = (SecurityMode.PLAINTEXT,),
        setup: Sequence[Sequence[str]] = (),
        keep_connections: bool = False,
        is_under_granian: bool = False,
    ) -> None:
        super().__init__(name, title, folder=folder)
        self.modes = modes
        self._application = application
        self._path = path
        self._table = table
        self._setup = setup
        self._keep_connections = keep_connections
        self._is_under_granian = is_under_granian
        self._server: Server | None = None
        self._url = ""

    def prepare(self, server: Server) -> None:
        self._server = server
        self._url = server.create(self.name) if self._table else "sqlite:///none"
        for arguments in self._setup:
            self._run(str(_PEERS_PYTHON), *arguments)

    def path(self, mode: SecurityMode) -> str:
        return self._path

    def stored(self) -> int | None:
        if not self._table:
            return None
        assert self._server is not None
        [[count]] = self._server.query(self.name, f"SELECT count(*) FROM {self._table}")
        return int(count)

    def _command(self) -> list[str]:
        assert self._server is not None
        if self._is_under_granian:
            return [
                *(str(_PEERS_PYTHON), "-m", "granian", "--interface", "wsgi", "--no-ws"),
                *("--host", "127.0.0.1", "--port", str(self.port), "--log-level", "error"),
                *("--workers", "2", "--blocking-threads", "16", self._application),
            ]
        return [
            *(str(_PEERS_PYTHON), "-m", "gunicorn", "--no-control-socket", "--workers", "2"),
            *("--bind", f"127.0.0.1:{self.port}", self._application),
        ]

    def _environment(self) -> dict[str, str]:
        keep = {"KEEP_CONNECTIONS": "1"} if self._keep_connections else {}
        return {"PATH": os.environ["PATH"], "DATABASE_URL": self._url, **self._shared, **keep}

    @property
    def _directory(self) -> Path:
        return _PEERS


def peers(folder: Path) -> list[Peer]:
    """All peers. Raises FileNotFoundError if their environment is missing."""
    if not _PEERS_PYTHON.exists():
        raise FileNotFoundError("The peers' environment is missing; `make bench` makes it.")
    both = (SecurityMode.PLAINTEXT, SecurityMode.SAFE)
    migrate = ("-m", "django", "migrate", "--verbosity", "0", "--run-syncdb")
    migrate_naive = (*migrate, "--settings", "naive.settings")
    return [
        Peer(
            "naive",
            "wechatpy and ORM, as documented",
            "naive.wsgi",
            folder=folder,
            table="naive_eventlog",
            modes=both,
            setup=[migrate_naive, ("-m", "naive.prepare")],
        ),
        Peer(
            "naive_kept",
            "wechatpy and ORM, connections kept",
            "naive.wsgi",
            folder=folder,
            table="naive_eventlog",
            modes=both,
            setup=[migrate_naive, ("-m", "naive.prepare")],
            keep_connections=True,
        ),
        Peer(
            "wechat_django",
            "wechat-django 0.4.0",
            "wechat_django_site.wsgi",
            folder=folder,
            path="/wechat/benchmark/",
            table="wechat_django_messagelog",
            setup=[
                (*migrate, "--settings", "wechat_django_site.settings"),
                ("-m", "wechat_django_site.prepare"),
            ],
        ),
        Peer(
            "werobot",
            "WeRoBot, stores nothing",
            "werobot_site:application",
            folder=folder,
            is_under_granian=True,
        ),
        Peer(
            "answers_only",
            "Django view that only answers",
            "answers_only:application",
            folder=folder,
            is_under_granian=True,
        ),
    ]
