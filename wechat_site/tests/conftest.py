from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from wechat_site.tests.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    server = os.environ.get("DATABASE_URL", "")
    if server.startswith("postgres"):
        name = f"load_{os.getpid()}_{time.monotonic_ns()}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        site = Site(re.sub(r"/[^/]*$", f"/{name}", server), tmp_path)
        site.prepare()
        yield site
        site.stop()
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    else:
        site = Site(f"sqlite:///{tmp_path}/load.sqlite3", tmp_path)
        site.prepare()
        yield site
        site.stop()
