from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wechat_site.tests.site import Site, site_of_its_own


@pytest.fixture(scope="session")
def prepared_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a database that sites get copies of."""
    with site_of_its_own(tmp_path_factory.mktemp("prepared")) as site:
        yield site.environment["DATABASE_URL"]


@pytest.fixture
def site(tmp_path: Path, prepared_database: str) -> Iterator[Site]:
    with site_of_its_own(tmp_path, prepared_database) as site:
        yield site
