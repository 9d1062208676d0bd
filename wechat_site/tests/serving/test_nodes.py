"""Several web nodes on one database: two behind nginx, through pgbouncer in transaction mode.

Nodes are restarted one after the other while WeChat's side of the protocol pushes.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from wechat_site.serving.supervisor import web_server
from wechat_site.tests.launch import free_port, is_free
from wechat_site.tests.site import LIMIT, Site, check_nothing_lost, database_of_its_own

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

NODES = 2
# Connections to PostgreSQL in all; every one of the nodes' processes would like several.
POOL = 6

NGINX = """
daemon off;
user {user};
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream nodes {{
        {servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://nodes;
            proxy_set_header Host $host;
            proxy_connect_timeout 1s;
            # A push that is delivered twice is stored once, so another node may be asked.
            proxy_next_upstream error timeout http_503 non_idempotent;
        }}
    }}
}}
"""

PGBOUNCER = """
[databases]
* = host={host} port={server_port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 400
"""


def program(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if path is None:
        without = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        without(f"there is no {name} (Debian: apt-get install {name})")
    return path


@contextmanager
def daemon(command: list[str], port: int, **options: Any) -> Iterator[None]:
    process = subprocess.Popen(command, start_new_session=True, **options)
    deadline = time.monotonic() + LIMIT
    while is_free(port):
        assert process.poll() is None, command
        assert time.monotonic() < deadline, command
        time.sleep(0.05)
    try:
        yield
    finally:
        process.terminate()
        process.wait(LIMIT)


class Nodes(Site):
    """A site of several nodes and a worker. `port` is for whom it may concern in front of them."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(url, folder, BEHIND_PGBOUNCER="True")
        self.database_name = url.rpartition("/")[2]
        self.ports = [free_port() for _ in range(NODES)]

    def start_nodes(self) -> None:
        self.nodes = [self.start_node(port) for port in self.ports]
        for port in self.ports:
            self.wait_for(port)
        self.start("manage.py", "worker")

    def start_node(self, port: int) -> subprocess.Popen[bytes]:
        _python, *arguments = web_server("127.0.0.1", port)
        return self.start(*arguments)

    def restart(self, number: int) -> None:
        node = self.nodes[number]
        node.send_signal(signal.SIGTERM)
        node.wait(LIMIT)
        self.nodes[number] = self.start_node(self.ports[number])
        self.wait_for(self.ports[number])

    def wait_for(self, port: int) -> None:
        self.wait_until(lambda: not is_free(port))


@pytest.fixture
def nodes(tmp_path: Path, prepared_database: str) -> Iterator[Nodes]:
    server = os.environ.get("DATABASE_URL", "")
    if not server.startswith("postgres"):
        pytest.skip("several nodes need PostgreSQL")
    nginx, pgbouncer = program("nginx"), program("pgbouncer")
    parts = urlsplit(server)
    pool_port = free_port()
    with ExitStack() as stack:
        direct_url = stack.enter_context(database_of_its_own(tmp_path, prepared_database))
        # Not all of these daemons are root, who alone may look into pytest's own folders.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        pgbouncer_file, nginx_file = folder / "pgbouncer.ini", folder / "nginx.conf"
        pgbouncer_file.write_text(
            PGBOUNCER.format(
                host=parts.hostname,
                server_port=parts.port,
                user=parts.username,
                port=pool_port,
                pool=POOL,
            )
        )
        # pgbouncer refuses to run as root.
        owner: Any = {"user": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        stack.enter_context(daemon([pgbouncer, "-q", str(pgbouncer_file)], pool_port, **owner))

        name = direct_url.rpartition("/")[2]
        site = Nodes(f"postgres://{parts.username}@127.0.0.1:{pool_port}/{name}", tmp_path)
        stack.callback(site.stop)
        nginx_file.write_text(
            NGINX.format(
                user=pwd.getpwuid(os.geteuid()).pw_name,
                folder=folder,
                port=site.port,
                servers="\n        ".join(
                    f"server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;" for port in site.ports
                ),
            )
        )
        stack.enter_context(daemon([nginx, "-c", str(nginx_file)], site.port))
        site.start_nodes()
        yield site


def test_nodes_restart_one_by_one_under_load_and_no_push_fails(nodes: Nodes):
    # In order, or what is stopped may have sent a repetition and not yet what it repeats.
    load = ("--forever", "--rate", "40", "--bindings", "5", "--reorder", "0")
    traffic = nodes.start(*nodes.simulation(*load))
    nodes.wait_for_acknowledgements(20)
    for number in range(NODES):
        assert traffic.poll() is None, nodes.log.read_text()[-3000:]
        nodes.restart(number)
        # Two seconds: for one after its last failure nginx asks a node nothing.
        nodes.wait_for_acknowledgements(80)
    traffic.send_signal(signal.SIGTERM)
    assert traffic.wait(LIMIT) == 0, nodes.log.read_text()[-3000:]

    log = nodes.log.read_text()
    [tally] = re.findall(r"Seed load\. (.*)", log)
    print(tally)
    counts = {name: int(count) for name, count in re.findall(r"(\w+(?: \w+)?) (\d+)[,.]", tally)}
    assert counts["answered"] == counts["sent"] > 100
    failures = ("retried", "refused", "timed out", "unreachable", "mismatches", "lost")
    assert {name: counts[name] for name in failures} == dict.fromkeys(failures, 0)
    assert "Traceback" not in log

    rows = check_nothing_lost(nodes)
    assert len(rows) == counts["events"]
    # nginx may have asked a second node for what a first had stored when it ended.
    assert sum(int(row["delivery_count"]) for row in rows) >= counts["sent"]
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        [[used]] = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [nodes.database_name]
        )
    assert 0 < used <= POOL
