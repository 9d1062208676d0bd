"""Sets up and starts the contestants: the product in its variants, and its peers."""

from __future__ import annotations

import base64
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.databases import Server
from benchmarks.load import APP_ID, CLICK_KEY, CREDENTIALS, HOST, ORIGINAL_ID, TEXT, Identity, Run
from benchmarks.processor_time import tree_seconds
from events.wechat import SecurityMode
from wechat_site.serving.supervisor import web_server

__all__ = ["Contestant", "Peer", "Product", "peers"]

_ROOT = Path(__file__).resolve().parent.parent
_PEERS = Path(__file__).resolve().parent / "peers"
_PEERS_PYTHON = Path(__file__).resolve().parent / ".venv" / "bin" / "python"

_SECRETS = {
    "WECHAT_TOKEN": CREDENTIALS.tokens[0],
    "WECHAT_AES_KEY": CREDENTIALS.aes_keys[0],
    "WECHAT_APP_ID": APP_ID,
    "CLICK_KEY": CLICK_KEY,
    "TEXT": TEXT,
}


class Contestant(ABC):
    """A site with a database of its own. `title` names it in the report.

    All know the followers in the file `folder/followers` before anything is measured: a slow site
    meets few of them twice, and would otherwise be measured adding them.
    """

    modes: Sequence[SecurityMode] = (SecurityMode.PLAINTEXT,)
    """What it is measured in."""

    def __init__(self, name: str, title: str, *, folder: Path) -> None:
        self.name = name
        self.title = title
        self._shared = {**_SECRETS, "FOLLOWERS": str(folder / "followers")}
        self._folder = folder
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def prepare(self, server: Server) -> None:
        """Makes the database and what must be in it."""

    @abstractmethod
    def path(self, mode: SecurityMode) -> str:
        """The callback's path for pushes in this mode."""

    @abstractmethod
    def stored(self) -> int | None:
        """The number of rows in its log; None if it stores nothing."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _environment(self) -> dict[str, str]: ...

    @property
    @abstractmethod
    def _directory(self) -> Path: ...

    def seconds(self) -> float:
        """The processor time of its web processes."""
        assert self._process is not None
        return tree_seconds(self._process.pid)

    @property
    def log(self) -> Path:
        """What its processes say."""
        return self._folder / f"{self.name}.log"

    def start(self) -> None:
        """Starts the web server and waits until it answers; raises RuntimeError if it does not."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self._directory,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                # Any answer will do: the path is nobody's.
                urllib.request.urlopen(
                    urllib.request.Request(
                        f"http://127.0.0.1:{self.port}/wechat/-/", headers={"Host": HOST}
                    ),
                    timeout=5,
                ).close()
            except urllib.error.HTTPError as answer:
                answer.close()
                return
            except OSError:
                time.sleep(0.1)
                continue
            return
        raise RuntimeError(f"{self.title} does not answer:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """Ends all its processes."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _run(self, *command: str) -> str:
        result = subprocess.run(
            command,
            cwd=self._directory,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise RuntimeError(f"{self.title}: {' '.join(command)}\n{result.stdout}{result.stderr}")
        return result.stdout


class Product(Contestant):
    """This site, as a production environment starts it, without its worker.

    `extra` are environment variables of this variant. It has an account in plaintext and one in
    safe mode, two reply rules for each, and knows all followers.
    """

    modes = (SecurityMode.PLAINTEXT, SecurityMode.SAFE)

    def __init__(self, name: str, title: str, *, folder: Path, extra: Mapping[str, str]) -> None:
        super().__init__(name, title, folder=folder)
        self._extra = extra
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

        The log has every acknowledged push once, with all its acknowledged deliveries, and nothing
        else. A push that was under way when an earlier run ended may come late.
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
            # As `manage.py serve` has it.
            "PROMETHEUS_MULTIPROC_DIR": str(self._counters),
            **self._keys,
            **self._shared,
            **self._extra,
        }

    @property
    def _directory(self) -> Path:
        return _ROOT


class Peer(Contestant):
    """Something in `peers/`. `table` is its log, `setup` are Python arguments that prepare it.

    It is started by gunicorn's default, two synchronous processes, or by granian as the product.
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
    """All peers; raises FileNotFoundError when their environment is not there."""
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
