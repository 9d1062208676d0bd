"""The doctor of a running site: through nginx as it is shipped, and as it is often set up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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


def is_healthy(socket: Path) -> bool:
    """Whether the health check of compose.yaml finds the site on this socket."""
    compose = yaml.safe_load((ROOT / "docs" / "deployment" / "compose.yaml").read_text())
    _, _, *arguments = compose["services"]["site"]["healthcheck"]["test"]
    script = arguments[-1].replace("/run/wechat/site.sock", str(socket))
    environment = {"ALLOWED_HOSTS": "localhost,wechat.example.com"}
    command = [sys.executable, *arguments[:-1], script]
    return subprocess.run(command, env=environment, timeout=LIMIT, check=False).returncode == 0


def test_what_nginx_does_wrongly_is_named(site: Site):
    site.environment["CALLBACK_SECONDS"] = "60"
    with behind_nginx(site) as socket:
        assert is_healthy(socket)
        assert complaints(site, site.port) == ""
        for words, changes in BROKEN.items():
            port = free_port()
            with nginx_before(socket, port, **changes):
                assert words in complaints(site, port)
    assert not is_healthy(socket)
    assert site.rows() == []
