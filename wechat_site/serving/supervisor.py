"""Starts and stops the site's processes together: the web server and the worker.

With a broker, Celery runs the worker's tasks, and its processes are started separately.
"""

from __future__ import annotations

import fcntl
import http.client
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from wechat_site.serving.parent import PARENT
from wechat_site.serving.stop_signals import on_signals

__all__ = [
    "WEB_PROCESSES",
    "Site",
    "hold_database",
    "prepare",
    "refuse_taken_port",
    "refuse_taken_socket",
    "web_server",
]

logger = logging.getLogger(__name__)

# Seconds in which a site must answer after its start. A slow machine may take long, and a start
# that gave up early would only begin again.
_READY_WITHIN = 300
# Seconds that running requests and tasks get to finish.
_GRACE = 10


def prepare() -> None:
    """Brings database and static files up to date."""
    call_command("migrate", verbosity=0)
    if not settings.DEBUG:
        call_command("collectstatic", interactive=False, verbosity=0)


def refuse_taken_port(host: str, port: int) -> None:
    """Raises CommandError if something else listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Port {port} of {host} cannot be used ({error.strerror}). "
                f"Choose another: PORT={port + 1} make …"
            ) from None


def refuse_taken_socket(path: str) -> None:
    """Raises CommandError if another site listens on this Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.connect(path)
        raise CommandError(f"Another site listens on {path}. Stop it first, or choose another.")


@contextmanager
def hold_database() -> Iterator[None]:
    """Claims a SQLite file for this site; raises CommandError if another site has it.

    For PostgreSQL it does nothing, since several nodes may share the database.
    """
    database = settings.DATABASES["default"]
    if database["ENGINE"] != "django.db.backends.sqlite3":
        yield
        return
    with open(f"{database['NAME']}.site", "a+") as claim:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            claim.seek(0)
            raise CommandError(
                f"Another site runs on {database['NAME']}: process {claim.read().strip()}. "
                "Stop it first, or set DATABASE_URL."
            ) from None
        claim.truncate(0)
        claim.write(str(os.getpid()))
        claim.flush()
        yield


# Two, because one process prepares its next commit while the other waits for a commit.
# docs/performance.md has the figures.
WEB_PROCESSES = 2
# How many connections a process holds. A stranger's idle one costs a few kilobytes but no thread.
_CONNECTIONS = 8192


def web_server(host: str, port: int, *, uds: str = "") -> list[str]:
    """The command that serves the site, with settings that were chosen by measurement.

    `uds` is the path of a Unix socket to listen on instead of host and port.
    """
    return [
        *(sys.executable, "-m", "wechat_site.serving.web_server", "--interface", "rsgi"),
        *(("--uds", uds) if uds else ("--host", host, "--port", str(port))),
        *("--http", "1", "--no-ws", "--log-level", "error"),
        *("--backlog", str(_CONNECTIONS), "--backpressure", str(_CONNECTIONS)),
        *("--respawn-failed-workers", "--workers", str(WEB_PROCESSES)),
        "wechat_site.serving.web_process:application",
    ]


class Site:
    """A web server and, unless Celery does its work, a worker, as child processes."""

    def __init__(self, host: str, port: int, uds: str = "") -> None:
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
        self.stopping = threading.Event()
        self._reload_wanted = threading.Event()
        self._address = ("127.0.0.1" if host == "0.0.0.0" else host, port)
        self._uds = uds
        self._counters = ""
        self._commands = {
            "web server": web_server(host, port, uds=uds),
        }
        if not settings.CELERY_BROKER_URL:
            manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
            self._commands["worker"] = [*manage, "worker"]
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Starts the processes, and stops them at the end or after an error."""

        functions = {
            signal.SIGINT: self.stopping.set,
            signal.SIGTERM: self.stopping.set,
            signal.SIGUSR1: self._reload_wanted.set,
        }
        # A closed terminal must not leave the children behind; but under nohup the site goes on.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            functions[signal.SIGHUP] = self.stopping.set
        on_signals(functions)
        # Each connection of a stranger is an open file.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        # The folder of the web processes' counters, see events/metrics.py.
        with tempfile.TemporaryDirectory(prefix="wechat-site-") as self._counters:
            try:
                for name in self._commands:
                    self._start(name)
                yield
            finally:
                self.stopping.set()
                self._stop_children()

    def wait_until_ready(self) -> None:
        """Returns when the site answers; raises CommandError when it does not in time."""
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline and not self.stopping.is_set():
            self._look_after_children()
            if self._is_ready():
                return
            self.stopping.wait(0.1)
        if not self.stopping.is_set():
            raise CommandError(f"The site does not answer at {self._uds or self.url}.")

    def _is_ready(self) -> bool:
        family = socket.AF_UNIX if self._uds else socket.AF_INET
        # Django answers only requests with one of its own host names.
        host = settings.ALLOWED_HOSTS[0].lstrip(".")
        asking = http.client.HTTPConnection("localhost" if host == "*" else host)
        with socket.socket(family) as asking.sock:
            asking.sock.settimeout(2)
            try:
                asking.sock.connect(self._uds or self._address)
                asking.request("GET", "/readyz")
                return asking.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False

    def wait(self) -> None:
        """Returns after a signal to stop; until then, restarts a worker that has ended.

        On SIGUSR1 it reloads the code: new web processes answer before the old ones end.
        Raises CommandError if the web server ends by itself.
        """
        while not self.stopping.wait(1):
            self._look_after_children()
            if self._reload_wanted.is_set():
                self._reload_wanted.clear()
                self._children["web server"].send_signal(signal.SIGHUP)
                if "worker" in self._children:
                    self._children["worker"].terminate()

    def _start(self, name: str) -> None:
        # A session of its own, so that Ctrl-C reaches the child only through us, once and in order.
        self._children[name] = subprocess.Popen(
            self._commands[name],
            cwd=settings.BASE_DIR,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "PROMETHEUS_MULTIPROC_DIR": self._counters,
                PARENT: str(os.getpid()),
            },
            start_new_session=True,
        )

    def _look_after_children(self) -> None:
        if self._children["web server"].poll() is not None:
            raise CommandError("The web server has ended; see its messages above.")
        worker = self._children.get("worker")
        if worker is not None and worker.poll() is not None:
            self._start("worker")

    def _stop_children(self) -> None:
        for child in self._children.values():
            child.terminate()
        # All children have the same deadline.
        deadline = time.monotonic() + _GRACE
        for name, child in self._children.items():
            try:
                child.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("The %s did not end within %s s and is killed", name, _GRACE)
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
