"""The site behind nginx, with the configuration that is shipped."""

from __future__ import annotations

import os
import pwd
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from wechat_site.serving.supervisor import web_server
from wechat_site.tests.launch import ROOT
from wechat_site.tests.serving.test_nodes import daemon, program
from wechat_site.tests.site import Site

__all__ = ["behind_nginx", "nginx_before"]

HTTP = """
daemon off;
user {user};
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {shipped}
}}
"""


@contextmanager
def behind_nginx(site: Site) -> Iterator[Path]:
    """Starts the site on a Unix socket, and at its port nginx as the shipped file has it."""
    with ExitStack() as stack:
        # nginx's processes are not all root, who alone may look into pytest's own folders.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        socket = folder / "site.sock"
        site.start(*web_server("", 0, uds=str(socket))[1:])
        stack.enter_context(nginx_before(socket, site.port))
        site.wait_for_socket(socket)
        yield socket


@contextmanager
def nginx_before(socket: Path, port: int, **changes: str) -> Iterator[None]:
    """nginx as the shipped file has it, but for `changes`: lines by the word they begin with."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shipped = (ROOT / "docs" / "deployment" / "nginx.conf").read_text()
        # What is the machine's: addresses and certificates.
        shipped = shipped.replace("/run/wechat/site.sock", str(socket))
        shipped = shipped.replace("listen 80;", f"listen 127.0.0.1:{port};")
        shipped = re.sub(r"listen 443 ssl;|ssl_certificate\w* .*;", "", shipped)
        # Here WeChat's lines and those of all strangers come from one address.
        shipped = shipped.replace("limit_conn wechat_lines 100;", "limit_conn wechat_lines 6000;")
        for word, line in changes.items():
            shipped, changed = re.subn(rf"\b{word}\b.*;", line, shipped)
            assert changed
        file = folder / "nginx.conf"
        user = pwd.getpwuid(os.geteuid()).pw_name
        file.write_text(HTTP.format(user=user, folder=folder, shipped=shipped))
        with daemon([program("nginx"), "-c", str(file)], port):
            yield
