from __future__ import annotations

from typing import Any

import pytest

from events.api.openapi.schema import EnglishSchema


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """The OpenAPI schema, as /api/schema/ and manage.py spectacular give it."""
    return EnglishSchema().get_schema(public=True)
