from __future__ import annotations

import pytest
from django.test import RequestFactory

from events.people.client_address import client_address, is_local_peer

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        (0, "203.0.113.7", "", "203.0.113.7"),
        (0, "203.0.113.7", "198.51.100.1", "203.0.113.7"),  # written by the visitor himself
        (1, "127.0.0.1", "198.51.100.1", "198.51.100.1"),
        (1, "127.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        (2, "127.0.0.1", "1.2.3.4, 198.51.100.1, 192.0.2.9", "198.51.100.1"),
        (2, "127.0.0.1", "198.51.100.1", "198.51.100.1"),  # past the outer proxy
        (1, "127.0.0.1", "", "127.0.0.1"),
        (1, "127.0.0.1", "nonsense", "127.0.0.1"),
        (1, "", "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "", "198.51.100.1:4711", "198.51.100.1"),
        (0, "::ffff:203.0.113.7", "", "203.0.113.7"),
        (0, "", "", "127.0.0.1"),  # a Unix socket
    ],
)
def test_as_many_proxies_are_believed_as_the_setting_says(
    settings, proxies, peer, forwarded, address
):
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers)
    assert client_address(request) == address


def test_behind_a_proxy_no_peer_counts_as_this_machine(settings):
    request = RequestFactory().get("/", REMOTE_ADDR="127.0.0.1")
    assert is_local_peer(request)
    settings.TRUSTED_PROXIES = 1
    assert not is_local_peer(request)
