from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from wechat_site.tests.site import Site, database_of_its_own, site_of_its_own


@pytest.fixture(scope="session")
def empty_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a database with all tables and no rows."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{request.getfixturevalue('empty_sqlite_file')}"
        return
    folder = tmp_path_factory.mktemp("empty")
    with database_of_its_own(folder) as url:
        Site(url, folder).manage("migrate", "-v0")
        yield url


@pytest.fixture(scope="session")
def prepared_database(
    empty_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a database with an account and a rule, which sites get copies of."""
    folder = tmp_path_factory.mktemp("prepared")
    with database_of_its_own(folder, empty_database) as url:
        Site(url, folder).prepare()
        yield url


@pytest.fixture
def site(tmp_path: Path, prepared_database: str) -> Iterator[Site]:
    with site_of_its_own(tmp_path, prepared_database) as site:
        yield site
