from __future__ import annotations

import pytest

from events.api.requests.encodings import takes_gzip


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("accepted", "is_taken"),
    [
        ("gzip", True), ("br, gzip", True), ("gzip;q=0.5", True), ("GZIP ; Q=0.001", True),
        ("*", True), ("identity, *;q=0.1", True), ("gzip, *;q=0", True),
        ("gzip;q=0", False), ("gzip; q=0.000, *", False), ("*;q=0", False), ("", False),
        ("identity", False), ("br, deflate", False), ("gzipped", False), (",;", False),
    ],
)  # fmt: skip
def test_gzip_is_sent_to_those_who_take_it(accepted, is_taken):
    assert takes_gzip(accepted) == is_taken
