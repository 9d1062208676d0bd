from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wechat_site.tests.site import Site, site_of_its_own


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_of_its_own(tmp_path) as site:
        yield site
