"""What breaks under a site that is receiving: what was acknowledged is there afterwards, once."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wechat_site.tests.launch import ROOT, children_of
from wechat_site.tests.site import LIMIT, Site, check_nothing_lost

pytestmark = pytest.mark.slow

WITH_POSTGRES = str(ROOT / ".ci" / "with-postgres")


def receive_while(site: Site, breaks: Callable[[], None]) -> str:
    """Posts to the site, breaks something in the middle, and returns what the server said."""
    site.start_web()
    traffic = site.start(*site.simulation("--forever", "--rate", "300", "--tolerate-loss"))
    site.wait_for_acknowledgements(300)
    breaks()
    traffic.send_signal(signal.SIGTERM)
    assert traffic.wait(timeout=LIMIT) == 0, site.log.read_text()[-3000:]
    # What was stored without its outcome is the worker's.
    site.start("manage.py", "worker")
    site.wait_for_outcomes()
    check_nothing_lost(site)
    return site.log.read_text()


def refused(log: str) -> int:
    return sum(int(number) for number in re.findall(r"refused (\d+)", log))


# --- SQLite ------------------------------------------------------------------------------------


def test_a_full_disk_refuses_and_loses_nothing(site: Site):
    if site.is_postgres:
        pytest.skip("the same on PostgreSQL is below")

    def fill_the_disk() -> None:
        web = site.processes[0].pid
        servers = [web, *children_of(web)]
        wal = Path(site.environment["DATABASE_URL"].removeprefix("sqlite:///") + "-wal")
        for pid in servers:
            resource.prlimit(
                pid, resource.RLIMIT_FSIZE, (wal.stat().st_size // 2, resource.RLIM_INFINITY)
            )
        site.wait_until(lambda: "A push could not be stored" in site.log.read_text())
        for pid in servers:
            resource.prlimit(
                pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
        site.wait_for_acknowledgements(100)

    log = receive_while(site, fill_the_disk)
    assert "A push could not be stored" in log
    assert refused(log) > 0


# --- PostgreSQL --------------------------------------------------------------------------------


class Postgres:
    """A server of the test's own, to be broken."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [WITH_POSTGRES, "bash", "-c", 'echo "$DATABASE_URL $POSTGRES_FOLDER"; read -r'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        assert self._process.stdout is not None
        self.url, self._folder = self._process.stdout.readline().split()

    def restart(self) -> None:
        subprocess.run(
            [WITH_POSTGRES, "--restart"],
            check=True,
            env={**os.environ, "POSTGRES_FOLDER": self._folder},
        )

    def end(self) -> None:
        self._process.communicate("\n", timeout=LIMIT)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    # PostgreSQL's own user must be able to enter it.
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def site_on(
    postgres: Postgres, tmp_path: Path, prepared_database: str, url: str = ""
) -> Iterator[Site]:
    site = Site(url or postgres.url, tmp_path)
    try:
        dump = tmp_path / "prepared.dump"
        subprocess.run(["pg_dump", "--file", dump, prepared_database], check=True)
        load = ["psql", "--quiet", "--set=ON_ERROR_STOP=1", "--file", dump, postgres.url]
        subprocess.run(load, check=True, stdout=subprocess.DEVNULL)
        yield site
    finally:
        site.stop()
        postgres.end()


@pytest.mark.postgres
class TestPostgres:
    def test_a_restart_in_the_middle_of_a_batch(
        self, folder: Path, tmp_path: Path, prepared_database: str
    ):
        """Whether each push has a commit of its own or shares it with all that wait."""
        postgres = Postgres(folder)
        with site_on(postgres, tmp_path, prepared_database) as site:

            def restart_twice_with_each_size() -> None:
                [web, _traffic] = site.processes
                for batch in ("1", "500"):
                    web.terminate()
                    web.wait()
                    site.environment["CALLBACK_BATCH"] = batch
                    web = site.start_web()
                    for _ in range(2):
                        postgres.restart()
                        site.wait_for_acknowledgements(100)

            # Whether a push or a pooled connection meets the restart is chance.
            receive_while(site, restart_twice_with_each_size)

    def test_a_full_disk(self, folder: Path, tmp_path: Path, prepared_database: str):
        if os.geteuid() != 0:
            pytest.skip("only root can mount a small disk")
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=200m,mode=755", "tmpfs", folder], check=True
        )
        try:
            postgres = Postgres(folder)
            with site_on(postgres, tmp_path, prepared_database) as site:

                def fill_the_disk() -> None:
                    filler = folder / "filler"
                    with contextlib.suppress(OSError), filler.open("wb") as file:
                        while True:
                            file.write(b"\0" * 65536)
                            file.flush()
                    site.wait_until(is_noticed)
                    filler.unlink()
                    # Without room for its journal the server stops itself.
                    postgres.restart()
                    site.wait_for_acknowledgements(100)

                def is_noticed() -> bool:
                    log = site.log.read_text()
                    return "No space left on device" in log or "A push could not be stored" in log

                receive_while(site, fill_the_disk)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)

    def test_a_connection_that_is_cut_after_the_commit_was_sent(
        self, folder: Path, tmp_path: Path, prepared_database: str
    ):
        """As far as can be seen the transaction failed: so the log is asked what it holds."""
        postgres = Postgres(folder)
        server_port = int(re.findall(r":(\d+)/", postgres.url)[0])
        wire = CuttingWire(server_port)
        url = postgres.url.replace(f":{server_port}/", f":{wire.port}/")
        with site_on(postgres, tmp_path, prepared_database, url) as site:

            def cut_some() -> None:
                wire.cuts_left = 5
                site.wait_until(lambda: wire.cuts_left == 0)
                site.wait_for_acknowledgements(100)

            assert refused(receive_while(site, cut_some)) == 0


class CuttingWire:
    """Stands between a client and PostgreSQL; can pass on what commits and cut the answer off."""

    def __init__(self, server_port: int) -> None:
        self.cuts_left = 0
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._carry, args=[client], daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._server_port))
        is_pushs = False
        with client, server, contextlib.suppress(OSError):
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(1 << 20)
                    if not data:
                        return
                    (server if source is client else client).sendall(data)
                    if source is server:
                        continue
                    # Transactions of pushes begin so, and their statement is named so.
                    is_pushs = is_pushs or b"lock_timeout" in data
                    commits = b"COMMIT" in data or b"store_" in data
                    if is_pushs and commits and self.cuts_left > 0:
                        self.cuts_left -= 1
                        time.sleep(0.1)
                        return
