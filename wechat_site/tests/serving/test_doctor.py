"""The doctor of a running site: through nginx as it is shipped, and as it is often set up."""

from __future__ import annotations

import subprocess
import sys

import pytest

from wechat_site.tests.launch import ROOT, free_port
from wechat_site.tests.serving.behind_nginx import behind_nginx, nginx_before
from wechat_site.tests.site import LIMIT, Site

pytestmark = [pytest.mark.any_database, pytest.mark.slow]

BROKEN = {
    "leads to https://wechat.example.com/wechat/": {
        "proxy_pass": "return 301 https://$host$request_uri;"
    },
    "the proxy takes no body of that size": {"client_max_body_size": "client_max_body_size 8k;"},
    "it does not reach the site behind it": {"server unix": "server unix:/nowhere.sock;"},
    "The query does not reach the site": {
        "proxy_pass": "rewrite ^(.*)$ $1? break; proxy_pass http://wechat;"
    },
}


def complaints(site: Site, port: int) -> str:
    """What the doctor says of the account, apart from the worker and the AppSecret it lacks."""
    command = [sys.executable, "manage.py", "doctor", "load", "--language", "en"]
    command += ["--url", "http://wechat.example.com", "--connect", f"127.0.0.1:{port}"]
    result = subprocess.run(
        command, cwd=ROOT, env=site.environment, capture_output=True, text=True, timeout=LIMIT,
        check=False,
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    found = [line for line in result.stdout.splitlines()[1:] if "→" not in line]
    return "\n".join(
        line for line in found if "No worker" not in line and "no AppSecret" not in line
    )


def test_what_nginx_does_wrongly_is_named(site: Site):
    site.environment["CALLBACK_SECONDS"] = "60"
    with behind_nginx(site) as socket:
        assert complaints(site, site.port) == ""
        for words, changes in BROKEN.items():
            port = free_port()
            with nginx_before(socket, port, **changes):
                assert words in complaints(site, port)
    assert site.rows() == []
